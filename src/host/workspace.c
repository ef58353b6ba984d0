/* A workspace's life: loading, registering, running, draining, closing. The end goes one way: close_down (loops stopped)
 * -> saver_finish -> workspace_saved -> script closed -> ledger closed -> host_workspace_ended. */
#include "host/workspace.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "host/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DEFAULT_NAME "molecule"
#define DEFAULT_DESCRIPTION "a Lua agent hosted by molecule"
#define CLOSE_MS 8000            /* for the script's stop and the last save, after the drain */

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
}

void workspace_registered(struct workspace *workspace)
{
    workspace->state = WORKSPACE_RUNNING;
    heartbeat_start(workspace);
    poller_start(workspace);
}

static void take_card(struct workspace *workspace, const struct script_agent *agent)
{
    const struct workspace_settings *settings = &workspace->settings;
    const char *name = settings->name ? settings->name : agent->name ? agent->name : DEFAULT_NAME;
    const char *description = settings->description ? settings->description
                              : agent->description  ? agent->description
                                                    : DEFAULT_DESCRIPTION;
    workspace->name = memory_copy_text(name);
    workspace->description = memory_copy_text(description);
    workspace->skills = agent->skills ? json_deep_copy(agent->skills) : NULL;
    workspace->answers_replies = agent->answers_replies;
    workspace->concurrency = settings->concurrency    ? settings->concurrency
                             : agent->concurrency > 0 ? (unsigned)agent->concurrency
                                                      : 1;
}

static void on_loaded(void *context, const struct script_agent *agent)
{
    struct workspace *workspace = context;
    if (workspace->state != WORKSPACE_LOADING)
        return; /* stopped meanwhile */
    if (agent->problem) {
        log_error(workspace->settings.id, "the %s does not load: %s",
                  workspace->settings.script.path ? "script" : "backend", agent->problem);
        workspace_fail(workspace, HOST_EXIT_USAGE);
        return;
    }
    take_card(workspace, agent);
    workspace->state = WORKSPACE_REGISTERING;
    control_open(workspace);
    registration_start(workspace, false);
}

static void on_drained(uv_timer_t *timer)
{
    struct workspace *workspace = timer->data;
    log_warn(workspace->settings.id, "not everything was finished within --drain; what is left comes again at the next "
                                     "start");
    close_down(workspace);
}

/* A script stuck in C, or a disk that hangs, must not keep the process from ending. */
static void on_close_overdue(uv_timer_t *timer)
{
    struct workspace *workspace = timer->data;
    log_error(workspace->settings.id, "the script or the disk does not let go; ending without them");
    log_flush();
    _exit(workspace->exit_code);
}

static void on_record_closed(struct workspace *workspace)
{
    heartbeat_close(workspace);
    uv_timer_stop(&workspace->drain_timer);
    workspace->state = WORKSPACE_CLOSED;
    if (workspace->exit_code == HOST_EXIT_STOPPED)
        log_info(workspace->settings.id, "stopped; %lu answered, %lu set aside", workspace->answered, workspace->dead);
    host_workspace_ended(workspace->host, workspace->exit_code);
}

static void on_script_closed(void *context)
{
    struct workspace *workspace = context;
    workspace->script = NULL;
    control_close(workspace); /* nothing more is asked of the ledger */
    record_close(workspace->record, on_record_closed);
}

/* The one that is stuck keeps its counted attempt; the others are not to blame. */
static void uncount_innocent(const struct inbox_entry *entry, void *context)
{
    struct workspace *workspace = context;
    const struct script_job *guilty = script_current(workspace->script);
    if (!guilty || guilty->message != entry->message)
        record_uncount(workspace->record, entry->row_id);
}

static void on_stuck_closed(struct workspace *workspace)
{
    (void)workspace;
    log_flush();
    _exit(HOST_EXIT_STUCK);
}

void workspace_saved(struct workspace *workspace)
{
    if (workspace->exit_code == HOST_EXIT_STUCK) { /* its worker will not answer */
        inbox_each_running(workspace->inbox, uncount_innocent, workspace);
        record_close(workspace->record, on_stuck_closed);
    } else if (workspace->script) {
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
    poller_close(workspace);
    registration_close(workspace);
    exchange_cancel(&workspace->query);
    uv_timer_stop(&workspace->dispatch_timer);
    uv_timer_stop(&workspace->watchdog); /* the script is not there for long */
    workspace_arm(&workspace->drain_timer, on_close_overdue, CLOSE_MS);
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
    poller_close(workspace);
    workspace_arm(&workspace->drain_timer, on_drained, workspace->settings.drain_ms);
}

void workspace_fail(struct workspace *workspace, enum host_exit code)
{
    if (workspace_over(workspace))
        return;
    workspace->exit_code = code;
    close_down(workspace);
}

static void init_timers(struct workspace *workspace)
{
    uv_timer_t *timers[] = {&workspace->registration.timer, &workspace->heartbeat.timer, &workspace->poller.timer,
                            &workspace->saver.timer, &workspace->dispatch_timer, &workspace->drain_timer,
                            &workspace->watchdog};
    for (size_t i = 0; i < sizeof timers / sizeof *timers; i++)
        workspace_timer(workspace, timers[i]);
}

bool workspace_open(struct host *host, const struct workspace_settings *settings, enum host_exit *code, char *problem,
                    size_t problem_size)
{
    struct workspace *workspace = memory_allocate(sizeof *workspace);
    workspace->host = host;
    workspace->settings = *settings;
    workspace->lock = -1;
    workspace->inbox = inbox_open();
    init_timers(workspace);
    workspace->next = host->workspaces;
    host->workspaces = workspace; /* from here on host_close frees it */
    workspace->state = WORKSPACE_CLOSED;
    const char *url_problem;
    *code = HOST_EXIT_USAGE;
    if (!platform_open(&workspace->platform, settings->api_url, workspace->settings.id, settings->org_id, &url_problem)) {
        snprintf(problem, problem_size, "--api-url %s: %s", settings->api_url, url_problem);
        return false;
    }
    if (!platform_is_private(&workspace->platform) && !settings->insecure_http) {
        snprintf(problem, problem_size,
                 "--api-url %s would send the token unencrypted to another machine; use https, or --insecure-http if "
                 "you mean it", settings->api_url);
        return false;
    }
    token_open(workspace);
    if (!token_available(workspace) && !settings->bootstrap) {
        snprintf(problem, problem_size,
                 "no token: set MOLECULE_WORKSPACE_TOKEN or --token-file, or give --bootstrap if this workspace has "
                 "never had one (the platform then mints it, and it is kept)");
        return false;
    }
    *code = HOST_EXIT_FAILED;
    if (!workspace_open_state(workspace, problem, problem_size))
        return false;
    workspace->state = WORKSPACE_LOADING;
    workspace->started_wall_ms = clock_wall_ms();
    host->open_workspaces++;
    struct script_events events = {.loaded = on_loaded, .context = workspace};
    workspace->script = script_open(&host->worker, &host->network, &workspace->settings.script, &events);
    return true;
}

void workspace_close(struct workspace *workspace)
{
    workspace->state = WORKSPACE_CLOSED;
    outbox_close(workspace);
    poller_close(workspace);
    registration_close(workspace);
    heartbeat_close(workspace);
    control_close(workspace);
    exchange_cancel(&workspace->query);
    record_free(workspace->record);
    saver_close(workspace);
    inbox_each(workspace->inbox, workspace_free_reply);
    token_close(workspace);
    inbox_close(workspace->inbox);
    platform_close(&workspace->platform);
    json_decref(workspace->skills);
    free(workspace->name);
    free(workspace->description);
    if (workspace->lock >= 0)
        close(workspace->lock);
}
