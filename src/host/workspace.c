/* A workspace's life: loading, registering, running, draining, closing. The end goes one way:
 * close_down (loops stopped)
 * -> saver_finish -> workspace_saved -> script closed -> ledger closed -> host_workspace_ended. */
#include "host/workspace.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "host/descriptors.h"
#include "base/memory.h"
#include "host/breaker.h"
#include "host/control.h"
#include "host/running.h"
#include "host/host_calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_NAME "molecule"
#define DEFAULT_DESCRIPTION "a Lua agent hosted by molecule"
#define CLOSE_MS 8000 /* for the script's stop and the last save, after the drain, */
/* and so much more for each workspace of a fleet, which all want the disk */
#define CLOSE_EACH_MS 3

static void close_down(struct workspace *workspace);

void workspace_arm(uv_timer_t *timer, uv_timer_cb callback, int64_t after_ms)
{
    uv_update_time(timer->loop);
    uv_timer_start(timer, callback, after_ms > 0 ? (uint64_t)after_ms : 0, 0);
}

void workspace_timer(struct workspace *workspace, uv_timer_t *timer)
{
    uv_timer_init(&workspace->host->network.loop, timer);
    timer->data = workspace;
}

bool workspace_over(const struct workspace *workspace)
{
    return workspace->state >= WORKSPACE_CLOSING;
}

static bool is_idle(const struct workspace *workspace)
{
    return inbox_running(workspace->inbox) == 0 && inbox_posting(workspace->inbox) == 0;
}

void workspace_step(struct workspace *workspace)
{
    if (workspace->state == WORKSPACE_DRAINING && is_idle(workspace))
        close_down(workspace);
    else
        workspace_dispatch(workspace);
    heartbeat_changed(workspace);
}

void workspace_registered(struct workspace *workspace)
{
    workspace->state = WORKSPACE_RUNNING;
    heartbeat_start(workspace);
    poller_start(workspace);
    if (workspace->settings.wake_by_stream)
        event_stream_start(workspace);
}

/* true: the card is another one than before */
static bool take_card(struct workspace *workspace, const struct script_agent *agent)
{
    const struct molecule_workspace_options *settings = &workspace->settings;
    const char *name = settings->name ? settings->name : agent->name ? agent->name : DEFAULT_NAME;
    const char *description = settings->description ? settings->description
                              : agent->description  ? agent->description
                                                    : DEFAULT_DESCRIPTION;
    bool changed = !workspace->name || strcmp(workspace->name, name) != 0 ||
                   strcmp(workspace->description, description) != 0 ||
                   (agent->skills ? !json_equal(workspace->skills, agent->skills)
                                  : workspace->skills != NULL);
    free(workspace->name);
    free(workspace->description);
    json_decref(workspace->skills);
    workspace->name = memory_copy_text(name);
    workspace->description = memory_copy_text(description);
    workspace->skills = agent->skills ? json_deep_copy(agent->skills) : NULL;
    workspace->answers_replies = agent->answers_replies;
    workspace->names_conversations = agent->names_conversations;
    if (agent->names_conversations)
        inbox_await_names(workspace->inbox);
    else
        inbox_forgo_names(workspace->inbox);
    workspace->concurrency = settings->concurrency    ? settings->concurrency
                             : agent->concurrency > 0 ? (unsigned)agent->concurrency
                                                      : 1;
    return changed;
}

static void on_loaded(void *context, const struct script_agent *agent)
{
    struct workspace *workspace = context;
    if (workspace->state != WORKSPACE_LOADING)
        return; /* stopped meanwhile */
    if (agent->problem) {
        log_error(workspace->settings.id, "the %s does not load: %s",
                  workspace->settings.script ? "script" : "backend", agent->problem);
        workspace_fail(workspace, HOST_EXIT_USAGE);
        return;
    }
    take_card(workspace, agent);
    workspace->state = WORKSPACE_REGISTERING;
    control_open(workspace);
    registration_start(workspace, false);
}

static void on_reloaded(void *context, const struct script_agent *agent)
{
    struct workspace *workspace = context;
    if (workspace_over(workspace))
        return;
    if (take_card(workspace, agent))
        registration_changed(workspace); /* the platform has the card of the script before */
    workspace_dispatch(workspace);
}

void workspace_reload(struct workspace *workspace)
{
    if (!workspace->script || workspace->state >= WORKSPACE_DRAINING)
        return;
    script_reload(workspace->script);
    watchdog_look(workspace);
}

static void on_ask(void *context, struct script_ask *ask)
{
    host_calls_ask(context, ask);
}

static void on_drained(uv_timer_t *timer)
{
    struct workspace *workspace = timer->data;
    log_warn(workspace->settings.id, "not everything was finished within --drain; unfinished "
                                     "messages will be redelivered at the next start");
    close_down(workspace);
}

/* A script stuck in C, or a disk that hangs, must not keep the process from ending. */
static void on_close_overdue(uv_timer_t *timer)
{
    struct workspace *workspace = timer->data;
    const struct host *host = workspace->host;
    if (workspace->overdue && !host->stops) {
        log_error(workspace->settings.id,
                  "the script still did not shut down: exiting with code %d", HOST_EXIT_STUCK);
        host_exit_now(host, HOST_EXIT_STUCK);
    }
    if (!host->stops && host->open_workspaces > 1 && workspace->exit_code != HOST_EXIT_STUCK) {
        if (workspace->settings.stuck_after_ms == 0)
            return;
        log_error(workspace->settings.id,
                  "the script did not release the workspace; the others continue for %lld s "
                  "(--stuck-after), then this process ends with exit code %d",
                  (long long)workspace->settings.stuck_after_ms / 1000, HOST_EXIT_STUCK);
        workspace->overdue = true;
        workspace_arm(timer, on_close_overdue, workspace->settings.stuck_after_ms);
        return;
    }
    log_error(workspace->settings.id,
              "the script or the disk did not shut down in time; exiting anyway");
    host_exit_now(host, workspace->exit_code);
}

static void on_record_closed(struct workspace *workspace)
{
    heartbeat_close(workspace);
    uv_timer_stop(&workspace->drain_timer);
    workspace->state = WORKSPACE_CLOSED;
    if (workspace->exit_code == HOST_EXIT_STOPPED)
        log_info(workspace->settings.id, "stopped; %lu answered, %lu set aside",
                 workspace->answered, workspace->dead);
    host_workspace_ended(workspace->host, workspace);
}

static void on_script_closed(void *context)
{
    struct workspace *workspace = context;
    workspace->script = NULL;
    control_close(workspace); /* nothing more is asked of the ledger */
    journal_close(workspace->journal, on_record_closed);
}

/* The one that is stuck keeps its counted attempt; the others, of all workspaces, are not to blame.
 */
static void uncount_innocent(const struct inbox_entry *entry, void *context)
{
    struct workspace *workspace = context;
    const struct script_job *guilty = workspace->stuck ? script_current(workspace->script) : NULL;
    if (!guilty || guilty->message != entry->message)
        running_leave(workspace, entry, false);
}

static void uncount_all_innocent(struct workspace *workspace)
{
    watchdog_culprit(workspace)->stuck = true;
    for (struct workspace *each = workspace->host->workspaces; each; each = each->next)
        if (each->script)
            inbox_each_running(each->inbox, uncount_innocent, each);
}

static void on_stuck_closed(struct workspace *workspace)
{
    host_exit_now(workspace->host, HOST_EXIT_STUCK);
}

void workspace_saved(struct workspace *workspace)
{
    if (workspace->exit_code == HOST_EXIT_STUCK) { /* its worker will not answer */
        uncount_all_innocent(workspace);
        journal_close(workspace->journal, on_stuck_closed);
    } else if (workspace->script) {
        host_calls_interrupt(workspace);
        script_close(workspace->script, true, on_script_closed, workspace);
    } else {
        on_script_closed(workspace);
    }
}

static void close_down(struct workspace *workspace)
{
    if (workspace_over(workspace))
        return;
    outbox_close(workspace);
    workspace->state = WORKSPACE_CLOSING;
    start_queue_leave(workspace);
    event_stream_close(workspace);
    poller_close(workspace);
    registration_close(workspace);
    exchange_cancel(&workspace->query);
    uv_timer_stop(&workspace->dispatch_timer);
    uv_timer_stop(&workspace->watchdog); /* the script is not there for long */
    workspace_arm(&workspace->drain_timer, on_close_overdue,
                  CLOSE_MS + CLOSE_EACH_MS * (int64_t)workspace->host->open_workspaces);
    saver_finish(workspace);
}

void workspace_stop(struct workspace *workspace)
{
    if (workspace->state >= WORKSPACE_DRAINING)
        return;
    bool was_running = workspace->state == WORKSPACE_RUNNING;
    workspace->state = WORKSPACE_DRAINING;
    if (!was_running || is_idle(workspace)) {
        close_down(workspace);
        return;
    }
    event_stream_close(workspace);
    poller_close(workspace);
    workspace_arm(&workspace->drain_timer, on_drained, workspace->settings.drain_ms);
}

void workspace_away(struct workspace *workspace, const char *reason)
{
    if (reason && !workspace->away_wall_ms)
        workspace->away_wall_ms = clock_wall_ms();
    if (!reason)
        workspace->away_wall_ms = 0;
    snprintf(workspace->away_reason, sizeof workspace->away_reason, "%s", reason ? reason : "");
}

void workspace_fail(struct workspace *workspace, enum host_exit code)
{
    if (workspace_over(workspace))
        return;
    workspace->exit_code = code;
    close_down(workspace);
}

#define TIMER_COUNT 11

static void list_timers(struct workspace *workspace, uv_timer_t *timers[TIMER_COUNT])
{
    uv_timer_t *const all[TIMER_COUNT] = {
        &workspace->registration.timer, &workspace->heartbeat.timer,
        &workspace->poller.timer,       &workspace->heartbeat.change_timer,
        &workspace->saver.timer,        &workspace->dispatch_timer,
        &workspace->drain_timer,        &workspace->watchdog,
        &workspace->stream.timer,       &workspace->stream.news_timer,
        &workspace->stream.doubt_timer};
    memcpy(timers, all, sizeof all);
}

static void on_timer_gone(uv_handle_t *timer)
{
    struct workspace *workspace = timer->data;
    if (--workspace->timers_left == 0)
        workspace->gone(workspace);
}

void workspace_leave_loop(struct workspace *workspace, void (*gone)(struct workspace *workspace))
{
    uv_timer_t *timers[TIMER_COUNT];
    list_timers(workspace, timers);
    workspace->gone = gone;
    workspace->timers_left = TIMER_COUNT;
    for (size_t i = 0; i < TIMER_COUNT; i++)
        uv_close((uv_handle_t *)timers[i], on_timer_gone);
}

int64_t workspace_phase(const struct workspace *workspace, int64_t span_ms)
{
    return span_ms > 0 ? (int64_t)((hash_text(workspace->settings.id) >> 11) % (uint64_t)span_ms)
                       : 0;
}

/* Opens the platform if nothing is wrong with it. */
static bool check_platform(const struct molecule_workspace_options *settings,
                           struct platform *platform, char *problem, size_t problem_size)
{
    const char *url_problem;
    if (!platform_open(platform, settings->api_url, settings->id, settings->org_id, &url_problem)) {
        snprintf(problem, problem_size, "--api-url %s: %s", settings->api_url, url_problem);
        return false;
    }
    if (!platform_is_private(platform) && !settings->insecure_http) {
        snprintf(problem, problem_size,
                 "--api-url %s would send the token unencrypted to another machine; use https, or "
                 "--insecure-http if "
                 "you mean it",
                 settings->api_url);
        return false;
    }
    return true;
}

static bool say_no_token(const struct molecule_workspace_options *settings, bool fleet,
                         char *problem, size_t problem_size)
{
    if (settings->token_file)
        snprintf(problem, problem_size, "there is no token in %s", settings->token_file);
    else
        snprintf(problem, problem_size,
                 "no token: set MOLECULE_WORKSPACE_TOKEN or --token-file, or give --bootstrap if "
                 "this workspace has never had "
                 "one (the platform then mints it, and it is kept)%s",
                 fleet ? "; a fleet's file has token_env and token_file" : "");
    return false;
}

bool workspace_check_address(const struct molecule_workspace_options *settings, char *problem,
                             size_t problem_size)
{
    struct platform platform = {0};
    bool fine = check_platform(settings, &platform, problem, problem_size);
    platform_close(&platform);
    return fine;
}

bool workspace_check_token(const struct molecule_workspace_options *settings, char *problem,
                           size_t problem_size)
{
    return settings->bootstrap || token_exists(settings, problem, problem_size) ||
           (!*problem && say_no_token(settings, false, problem, problem_size));
}

bool workspace_check(const struct molecule_workspace_options *settings, char *problem,
                     size_t problem_size)
{
    if (!workspace_check_address(settings, problem, problem_size))
        return false;
    if (!settings->bootstrap && !token_exists(settings, problem, problem_size))
        return *problem ? false : say_no_token(settings, true, problem, problem_size);
    struct script_settings script = {.options = settings};
    return script_check(&script, problem, problem_size);
}

static bool open_workspace(struct workspace *workspace, enum host_exit *code, char *problem,
                           size_t problem_size)
{
    struct host *host = workspace->host;
    const struct molecule_workspace_options *settings = &workspace->settings;
    *code = HOST_EXIT_USAGE;
    if (!check_platform(settings, &workspace->platform, problem, problem_size))
        return false;
    token_open(workspace);
    if (!token_available(workspace) && !settings->bootstrap)
        return say_no_token(settings, host->options.fleet, problem, problem_size);
    *code = HOST_EXIT_FAILED;
    if (!workspace_open_state(workspace, problem, problem_size))
        return false;
    workspace->state = WORKSPACE_LOADING;
    workspace->started_wall_ms = clock_wall_ms();
    host->open_workspaces++;
    descriptors_share(host);
    struct script_events events = {
        .loaded = on_loaded, .reloaded = on_reloaded, .ask = on_ask, .context = workspace};
    workspace->worker = host_take_worker(host);
    workspace->script = script_open(&workspace->worker->thread, &host->network,
                                    &workspace->script_settings, &events);
    watchdog_start(workspace);
    return true;
}

bool workspace_open(struct host *host, const struct molecule_workspace_options *settings,
                    enum host_exit *code, char *problem, size_t problem_size)
{
    struct workspace *workspace = memory_allocate(sizeof *workspace);
    workspace->host = host;
    workspace->settings = *settings;
    workspace->script_settings = (struct script_settings){.options = &workspace->settings,
                                                          .ca_file = host->options.ca_file};
    workspace->lock = -1;
    workspace->inbox = inbox_open(&workspace->host->pending_bytes);
    uv_timer_t *timers[TIMER_COUNT];
    list_timers(workspace, timers);
    for (size_t i = 0; i < TIMER_COUNT; i++)
        workspace_timer(workspace, timers[i]);
    workspace->next = host->workspaces;
    host->workspaces = workspace; /* from here on the host frees it */
    workspace->state = WORKSPACE_CLOSED;
    if (open_workspace(workspace, code, problem, problem_size))
        return true;
    host_workspace_refused(workspace);
    return false;
}

static void free_reply(struct inbox_entry *entry, void *context)
{
    (void)context;
    workspace_free_reply(entry);
}

void workspace_close(struct workspace *workspace)
{
    workspace->state = WORKSPACE_CLOSED;
    outbox_close(workspace);
    event_stream_close(workspace);
    poller_close(workspace);
    registration_close(workspace);
    heartbeat_close(workspace);
    control_close(workspace);
    exchange_cancel(&workspace->query);
    host_calls_close(workspace);
    breaker_close(workspace);
    running_close(workspace->running);
    journal_free(workspace->journal);
    saver_close(workspace);
    inbox_each(workspace->inbox, free_reply, NULL);
    echoes_free(&workspace->echoes);
    free(workspace->upload_limits);
    token_close(workspace);
    inbox_close(workspace->inbox);
    platform_close(&workspace->platform);
    json_decref(workspace->skills);
    free(workspace->state_path);
    free(workspace->name);
    free(workspace->description);
    if (workspace->lock >= 0)
        close(workspace->lock);
}
