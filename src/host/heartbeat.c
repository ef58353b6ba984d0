/* The heartbeat: at once after registration, then every --heartbeat-ms, on connections of its own.
 * Nothing that the inbox, the script or the disk does can delay it, and nothing it meets stops the
 * inbox. */
#include "host/workspace.h"

#include "base/clock.h"
#include "base/log.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 10000
#define BACKOFF_CAP_MS 15000 /* the platform calls a workspace stale after 90 s (contract §6) */
#define FLOOR_MAXIMUM_MS 30000
#define SAMPLE_LIFE_MS 300000
#define BUSY_AFTER_MS 150 /* a handler that ends sooner is not worth a heartbeat */
#define IDLE_AFTER_MS 250 /* the next one may begin at once */
#define CHANGE_EVERY_MS 1000
#define STANDING_EVERY 3 /* heartbeats */
#define STANDING_MAXIMUM (1 << 20)

static void beat(struct workspace *workspace);

static void on_timer(uv_timer_t *timer)
{
    beat(timer->data);
}

static void schedule(struct workspace *workspace, int64_t after_ms)
{
    workspace_arm(&workspace->heartbeat.timer, on_timer, after_ms);
}

static void schedule_regular(struct workspace *workspace)
{
    int64_t left = workspace->heartbeat.due_ms - clock_monotonic_ms();
    schedule(workspace, left > 0 ? left : 0);
}

static double error_rate(const struct heartbeat *heartbeat)
{
    unsigned failures = 0;
    for (unsigned i = 0; i < heartbeat->result_count; i++)
        failures += heartbeat->results[i];
    return heartbeat->result_count ? (double)failures / heartbeat->result_count : 0;
}

void heartbeat_record(struct workspace *workspace, const char *failure)
{
    struct heartbeat *heartbeat = &workspace->heartbeat;
    unsigned size = sizeof heartbeat->results / sizeof *heartbeat->results;
    heartbeat->results[heartbeat->result_next] = failure != NULL;
    heartbeat->result_next = (heartbeat->result_next + 1) % size;
    if (heartbeat->result_count < size)
        heartbeat->result_count++;
    if (failure) {
        snprintf(heartbeat->sample, sizeof heartbeat->sample, "%s", failure);
        log_redact(heartbeat->sample);
        heartbeat->sample_ms = clock_monotonic_ms();
    }
}

static void recovered(struct workspace *workspace)
{
    struct heartbeat *heartbeat = &workspace->heartbeat;
    if (heartbeat->stopped)
        log_info(workspace->settings.id, "heartbeat: resumed");
    else if (heartbeat->failing)
        log_info(workspace->settings.id, "heartbeat: recovered");
    heartbeat->stopped = heartbeat->failing = false;
    workspace->last_beat_wall_ms = clock_wall_ms();
    retry_succeeded(&heartbeat->backoff);
}

/* Says it once; the rest is for -v. */
static void failed(struct workspace *workspace, const struct exchange_answer *answer)
{
    struct heartbeat *heartbeat = &workspace->heartbeat;
    const struct retry_verdict *verdict = &answer->verdict;
    if (verdict->class == RETRY_PERMANENT || verdict->class == RETRY_GONE) {
        if (!heartbeat->stopped)
            log_error(workspace->settings.id,
                      "%s; heartbeat stopped, the inbox continues; asking again every %d s",
                      verdict->reason, BACKOFF_CAP_MS / 1000);
        heartbeat->stopped = true;
        schedule(workspace, BACKOFF_CAP_MS);
        return;
    }
    int64_t floor = verdict->floor_ms < FLOOR_MAXIMUM_MS ? verdict->floor_ms : FLOOR_MAXIMUM_MS;
    if (verdict->class == RETRY_UNAUTHORIZED) {
        token_refused(workspace, answer);
        floor = token_floor_ms(workspace);
    } else if (!heartbeat->failing) {
        log_warn(workspace->settings.id, "%s; retrying", verdict->reason);
    } else {
        log_debug(workspace->settings.id, "%s; retrying", verdict->reason);
    }
    heartbeat->failing = true;
    schedule(workspace, retry_next_delay(&heartbeat->backoff, floor, host_random()));
}

/* T1 leaves a workspace that was paused and resumed `failed`, whatever beats, until it registers
 * (contract §1.4). */
static void on_standing(const struct exchange_answer *answer, void *context)
{
    struct workspace *workspace = context;
    if (answer->verdict.class != RETRY_OK || workspace->state != WORKSPACE_RUNNING)
        return;
    json_t *standing = json_loadb(answer->body, answer->body_length, JSON_ALLOW_NUL, NULL);
    const char *status = json_string_value(json_object_get(standing, "status"));
    if (status && strcmp(status, "failed") == 0) {
        log_warn(workspace->settings.id,
                 "the platform shows the workspace as failed; registering again");
        registration_start(workspace, true);
    }
    json_decref(standing);
}

static void look_at_standing(struct workspace *workspace)
{
    struct heartbeat *heartbeat = &workspace->heartbeat;
    /* later versions show it online again with a heartbeat */
    bool is_t1 = !workspace->poller.numbered;
    if (!is_t1 || ++heartbeat->beats < STANDING_EVERY || exchange_busy(&heartbeat->standing))
        return;
    heartbeat->beats = 0;
    struct exchange_limits limits = {.timeout_ms = TIMEOUT_MS,
                                     .response_maximum = STANDING_MAXIMUM};
    exchange_start(&heartbeat->standing, &workspace->budget, workspace->host->client,
                   platform_state(&workspace->platform, workspace->token.current), &limits,
                   on_standing, workspace);
}

static void on_answer(const struct exchange_answer *answer, void *context)
{
    struct workspace *workspace = context;
    if (!workspace->heartbeat.running)
        return;
    if (answer->verdict.class == RETRY_OK) {
        recovered(workspace);
        look_at_standing(workspace);
        schedule_regular(workspace);
        heartbeat_changed(workspace);
    } else {
        failed(workspace, answer);
    }
}

static size_t count_active(const struct workspace *workspace)
{
    return inbox_running(workspace->inbox) + inbox_posting(workspace->inbox);
}

static void beat(struct workspace *workspace)
{
    struct heartbeat *heartbeat = &workspace->heartbeat;
    if (!heartbeat->running || exchange_busy(&heartbeat->exchange))
        return;
    int64_t now = clock_monotonic_ms();
    heartbeat->due_ms = now + workspace->settings.heartbeat_ms;
    size_t active = count_active(workspace);
    heartbeat->told_ms = now;
    heartbeat->told_busy = active > 0;
    const struct inbox_entry *running = inbox_first_running(workspace->inbox);
    bool sample = heartbeat->sample[0] && now - heartbeat->sample_ms < SAMPLE_LIFE_MS;
    char task[160] = "";
    if (running)
        snprintf(task, sizeof task, "answering %s",
                 !running->message->source_id  ? "the canvas"
                 : running->message->peer_name ? running->message->peer_name
                                               : running->message->source_id);
    struct platform_beat snapshot = {
        .error_rate = error_rate(heartbeat),
        .sample_error = journal_problem(workspace->journal) ? journal_problem(workspace->journal)
                        : workspace->uncounted[0]           ? workspace->uncounted
                        : workspace->saver.failing          ? workspace->saver.problem
                        : sample                            ? heartbeat->sample
                                                            : NULL,
        .active_tasks = (int)active,
        .uptime_seconds = (now - workspace->host->started_ms) / 1000,
        .current_task = task,
        .wedged = workspace->wedged,
    };
    struct exchange_limits limits = {.timeout_ms = TIMEOUT_MS,
                                     .response_maximum = 1024 * 1024,
                                     .fresh_connection = heartbeat->backoff.failures > 0};
    exchange_start(&heartbeat->exchange, &workspace->budget, workspace->host->heartbeats,
                   platform_heartbeat(&workspace->platform, workspace->token.current, &snapshot),
                   &limits, on_answer, workspace);
}

static void on_change(uv_timer_t *timer)
{
    struct workspace *workspace = timer->data;
    if ((count_active(workspace) > 0) != workspace->heartbeat.told_busy)
        beat(workspace);
}

void heartbeat_changed(struct workspace *workspace)
{
    struct heartbeat *heartbeat = &workspace->heartbeat;
    bool busy = count_active(workspace) > 0, changed = busy != heartbeat->told_busy;
    if (!heartbeat->running || heartbeat->stopped || heartbeat->failing ||
        workspace->budget.hint_gap_ms > 0)
        return;
    if (!changed) {
        uv_timer_stop(&heartbeat->change_timer);
    } else if (!uv_is_active((uv_handle_t *)&heartbeat->change_timer)) {
        int64_t wait = heartbeat->told_ms + CHANGE_EVERY_MS - clock_monotonic_ms(),
                least = busy ? BUSY_AFTER_MS : IDLE_AFTER_MS;
        workspace_arm(&heartbeat->change_timer, on_change, wait > least ? wait : least);
    }
}

void heartbeat_now(struct workspace *workspace)
{
    if (workspace->heartbeat.running)
        beat(workspace);
}

void heartbeat_start(struct workspace *workspace)
{
    struct heartbeat *heartbeat = &workspace->heartbeat;
    heartbeat->running = true;
    heartbeat->backoff = (struct retry_backoff){.base_ms = 500, .cap_ms = BACKOFF_CAP_MS};
    beat(workspace);
    if (workspace->host->options.fleet)
        heartbeat->due_ms = clock_monotonic_ms() +
                            workspace_phase(workspace, workspace->settings.heartbeat_ms);
}

void heartbeat_close(struct workspace *workspace)
{
    workspace->heartbeat.running = false;
    exchange_cancel(&workspace->heartbeat.exchange);
    exchange_cancel(&workspace->heartbeat.standing);
    uv_timer_stop(&workspace->heartbeat.timer);
    uv_timer_stop(&workspace->heartbeat.change_timer);
}
