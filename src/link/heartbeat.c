#include "link/heartbeat.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/timer.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
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

static void beat(struct heartbeat *heartbeat);

static void on_timer(uv_timer_t *timer)
{
    beat(timer->data);
}

static void schedule(struct heartbeat *heartbeat, int64_t after_ms)
{
    timer_arm(&heartbeat->timer, on_timer, after_ms);
}

static void schedule_regular(struct heartbeat *heartbeat)
{
    int64_t left = heartbeat->due_ms - clock_monotonic_ms();
    schedule(heartbeat, left > 0 ? left : 0);
}

static double error_rate(const struct heartbeat *heartbeat)
{
    unsigned failures = 0;
    for (unsigned i = 0; i < heartbeat->result_count; i++)
        failures += heartbeat->results[i];
    return heartbeat->result_count ? (double)failures / heartbeat->result_count : 0;
}

void heartbeat_record(struct heartbeat *heartbeat, const char *failure)
{
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

/* It may be another one than before (contract §1.4). */
static void take_secret(struct link *link, const struct call_answer *answer)
{
    struct platform_registered told;
    if (!link->pushed)
        return;
    platform_read_registered(answer->body, answer->body_length, &told);
    inbound_secret_take(link, told.platform_inbound_secret);
    free(told.delivery_mode);
    memory_wipe(told.auth_token);
    memory_wipe(told.platform_inbound_secret);
}

static void recovered(struct heartbeat *heartbeat)
{
    if (heartbeat->stopped)
        log_info(LOG_HEARTBEAT_RECOVERED, heartbeat->link->options->id, "heartbeat: resumed");
    else if (heartbeat->failing)
        log_info(LOG_HEARTBEAT_RECOVERED, heartbeat->link->options->id, "heartbeat: recovered");
    heartbeat->stopped = heartbeat->failing = false;
    heartbeat->succeeded_ms = clock_wall_ms();
    retry_succeeded(&heartbeat->backoff);
}

/* Logs it once; the rest only with -v. */
static void failed(struct heartbeat *heartbeat, const struct call_answer *answer)
{
    const struct retry_verdict *verdict = &answer->verdict;
    if (verdict->class == RETRY_PERMANENT || verdict->class == RETRY_GONE) {
        if (!heartbeat->stopped)
            log_error(LOG_HEARTBEAT_STOPPED, heartbeat->link->options->id,
                      "%s; heartbeat stopped, inbox continues; retrying every %d s",
                      verdict->reason, BACKOFF_CAP_MS / 1000);
        heartbeat->stopped = true;
        schedule(heartbeat, BACKOFF_CAP_MS);
        return;
    }
    int64_t floor = verdict->floor_ms < FLOOR_MAXIMUM_MS ? verdict->floor_ms : FLOOR_MAXIMUM_MS;
    if (verdict->class == RETRY_UNAUTHORIZED) {
        token_refused(heartbeat->link, answer);
        floor = token_floor_ms(heartbeat->link);
    } else if (!heartbeat->failing) {
        log_warn(LOG_HEARTBEAT_FAILING, heartbeat->link->options->id, "%s; retrying",
                 verdict->reason);
    } else {
        log_debug(LOG_HEARTBEAT_FAILING, heartbeat->link->options->id, "%s; retrying",
                  verdict->reason);
    }
    heartbeat->failing = true;
    schedule(heartbeat, retry_next_delay(&heartbeat->backoff, floor, random_number()));
}

/* T1 leaves a workspace that was paused and resumed `failed`, despite heartbeats, until it
 * registers (contract §1.4). */
static void on_standing(const struct call_answer *answer, void *context)
{
    struct heartbeat *heartbeat = context;
    if (answer->verdict.class != RETRY_OK || !heartbeat->link->running)
        return;
    json_t *standing = json_loadb(answer->body, answer->body_length, JSON_ALLOW_NUL, NULL);
    const char *status = json_string_value(json_object_get(standing, "status"));
    if (status && strcmp(status, "failed") == 0) {
        log_warn(LOG_WORKSPACE_SHOWN_FAILED, heartbeat->link->options->id,
                 "the platform shows the workspace as failed; registering again");
        heartbeat->link->register_again(heartbeat->link->context);
    }
    json_decref(standing);
}

static void look_at_standing(struct heartbeat *heartbeat)
{
    /* later versions show it online again after a heartbeat */
    bool is_t1 = !heartbeat->link->numbered;
    if (!is_t1 || ++heartbeat->beats < STANDING_EVERY || call_busy(&heartbeat->standing))
        return;
    heartbeat->beats = 0;
    struct call_limits limits = {.timeout_ms = TIMEOUT_MS, .response_maximum = STANDING_MAXIMUM};
    link_call(heartbeat->link, &heartbeat->standing,
              platform_state(&heartbeat->link->platform, heartbeat->link->token.current), &limits,
              on_standing, heartbeat);
}

static void on_answer(const struct call_answer *answer, void *context)
{
    struct heartbeat *heartbeat = context;
    if (!heartbeat->running)
        return;
    if (answer->verdict.class == RETRY_OK) {
        recovered(heartbeat);
        take_secret(heartbeat->link, answer);
        look_at_standing(heartbeat);
        schedule_regular(heartbeat);
        heartbeat_changed(heartbeat, heartbeat->active);
    } else {
        failed(heartbeat, answer);
    }
}

static void beat(struct heartbeat *heartbeat)
{
    if (!heartbeat->running || call_busy(&heartbeat->call))
        return;
    struct link *link = heartbeat->link;
    struct heartbeat_snapshot now_is = {0};
    int64_t now = clock_monotonic_ms();
    heartbeat->look(heartbeat->context, &now_is);
    heartbeat->due_ms = now + link->options->heartbeat_ms;
    heartbeat->told_ms = now;
    heartbeat->active = now_is.active;
    heartbeat->told_busy = now_is.active > 0;
    bool sample = heartbeat->sample[0] && now - heartbeat->sample_ms < SAMPLE_LIFE_MS;
    char task[160] = "";
    if (now_is.handles)
        snprintf(task, sizeof task, "answering %s",
                 now_is.answering ? now_is.answering : "the canvas");
    struct platform_beat told = {
        .error_rate = error_rate(heartbeat),
        .sample_error = now_is.problem ? now_is.problem
                        : sample       ? heartbeat->sample
                                       : NULL,
        .active_tasks = (int)now_is.active,
        .uptime_seconds = now_is.uptime_ms / 1000,
        .current_task = task,
        .wedged = now_is.wedged,
    };
    struct call_limits limits = {.timeout_ms = TIMEOUT_MS,
                                 .response_maximum = 1024 * 1024,
                                 .fresh_connection = heartbeat->backoff.failures > 0};
    heartbeat->call.answers = link->answers;
    call_start(&heartbeat->call, &link->budget, link->shared->heartbeats,
               platform_heartbeat(&link->platform, link->token.current, &told), &limits, on_answer,
               heartbeat);
}

static void on_change(uv_timer_t *timer)
{
    struct heartbeat *heartbeat = timer->data;
    if ((heartbeat->active > 0) != heartbeat->told_busy)
        beat(heartbeat);
}

void heartbeat_changed(struct heartbeat *heartbeat, size_t active)
{
    heartbeat->active = active;
    bool busy = active > 0;
    if (!heartbeat->running || heartbeat->stopped || heartbeat->failing ||
        heartbeat->link->budget.hint_gap_ms > 0)
        return;
    if (busy == heartbeat->told_busy) {
        uv_timer_stop(&heartbeat->change_timer);
    } else if (!uv_is_active((uv_handle_t *)&heartbeat->change_timer)) {
        int64_t wait = heartbeat->told_ms + CHANGE_EVERY_MS - clock_monotonic_ms();
        int64_t least = busy ? BUSY_AFTER_MS : IDLE_AFTER_MS;
        timer_arm(&heartbeat->change_timer, on_change, wait > least ? wait : least);
    }
}

void heartbeat_now(struct heartbeat *heartbeat)
{
    if (heartbeat->running)
        beat(heartbeat);
}

void heartbeat_start(struct heartbeat *heartbeat)
{
    heartbeat->running = true;
    heartbeat->backoff = (struct retry_backoff){.base_ms = 500, .cap_ms = BACKOFF_CAP_MS};
    beat(heartbeat);
    if (heartbeat->link->shared->fleet)
        heartbeat->due_ms = clock_monotonic_ms() +
                            link_phase(heartbeat->link, heartbeat->link->options->heartbeat_ms);
}

void heartbeat_close(struct heartbeat *heartbeat)
{
    heartbeat->running = false;
    call_cancel(&heartbeat->call);
    call_cancel(&heartbeat->standing);
    uv_timer_stop(&heartbeat->timer);
    uv_timer_stop(&heartbeat->change_timer);
}
