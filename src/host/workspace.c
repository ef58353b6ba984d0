/* A workspace's life. The end goes one way: workspace_close_down (loops stopped) ->
 * cursor_writer_finish -> workspace_saved -> script closed -> ledger closed ->
 * host_workspace_ended. */
#include "host/parts.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/timer.h"
#include "host/card.h"
#include "host/checks.h"
#include "host/opening.h"
#include "host/serving.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLOSE_MS 8000 /* for the script's stop and the last save, after the drain, */
/* plus this for each workspace of a fleet: they all want the disk */
#define CLOSE_EACH_MS 3

const char *workspace_id(const struct workspace *workspace)
{
    return workspace->options.id;
}

bool workspace_over(const struct workspace *workspace)
{
    return workspace->state >= WORKSPACE_CLOSING;
}

enum host_exit workspace_exit_code(const struct workspace *workspace)
{
    return workspace->exit_code;
}

struct worker *workspace_worker(const struct workspace *workspace)
{
    return workspace->worker;
}

struct workspace *workspace_next(const struct workspace *workspace)
{
    return workspace->next;
}

void workspace_link(struct workspace *workspace, struct workspace *next)
{
    workspace->next = next;
}

static void set_state(struct workspace *workspace, enum workspace_state state)
{
    workspace->state = state;
    workspace->link.running = state == WORKSPACE_RUNNING;
    workspace->link.over = state >= WORKSPACE_CLOSING;
}

static void set_script(struct workspace *workspace, struct script *script)
{
    workspace->script = workspace->watchdog.script = script;
    dispatch_set_script(&workspace->dispatch, script);
}

void workspace_fail(struct workspace *workspace, enum host_exit code)
{
    if (workspace_over(workspace))
        return;
    workspace->exit_code = code;
    workspace_close_down(workspace);
}

void workspace_registered(struct workspace *workspace)
{
    check(workspace->state == WORKSPACE_REGISTERING);
    set_state(workspace, WORKSPACE_RUNNING);
    heartbeat_start(&workspace->heartbeat);
    if (workspace->link.pushed) {
        dispatch_step(&workspace->dispatch);
        return;
    }
    poller_start(&workspace->poller);
    host_calls_ask_again(&workspace->dispatch.calls);
    if (workspace->options.wake_by_stream)
        event_stream_start(&workspace->stream);
}

/* --- what the script reports --- */

static void take_agent(struct workspace *workspace, const struct script_agent *agent)
{
    struct dispatch *dispatch = &workspace->dispatch;
    dispatch->answers_replies = agent->answers_replies;
    dispatch->naming.wanted = agent->names_conversations;
    if (agent->names_conversations)
        inbox_await_names(workspace->inbox);
    else
        inbox_forgo_names(workspace->inbox);
    dispatch->concurrency = workspace->options.concurrency ? workspace->options.concurrency
                            : agent->concurrency > 0       ? (unsigned)agent->concurrency
                                                           : 1;
}

/* There is no platform to register with. */
static void start_serving(struct workspace *workspace)
{
    set_state(workspace, WORKSPACE_RUNNING);
    char *url = workspace->options.serve_host ? serving_url(workspace->serving) : NULL;
    log_info(LOG_WORKSPACE_SERVING, workspace_id(workspace), "serving %s%s%s", workspace->card.name,
             url ? " at " : "", url ? url : "");
    free(url);
    dispatch_step(&workspace->dispatch);
}

static void on_loaded(void *context, const struct script_agent *agent)
{
    struct workspace *workspace = context;
    if (workspace->state != WORKSPACE_LOADING)
        return; /* stopped meanwhile */
    observer_script(&workspace->dispatch.observer, agent->problem);
    if (agent->problem) {
        log_error(LOG_SCRIPT_NOT_LOADED, workspace_id(workspace), "the %s does not load: %s",
                  workspace->options.script ? "script" : "backend", agent->problem);
        workspace_fail(workspace, HOST_EXIT_USAGE);
        return;
    }
    card_take(&workspace->card, &workspace->options, agent);
    take_agent(workspace, agent);
    set_state(workspace, WORKSPACE_REGISTERING);
    wiring_open_control(workspace);
    if (!wiring_describe(workspace, agent))
        return;
    if (workspace->options.serve)
        start_serving(workspace);
    else
        registration_start(&workspace->registration, false);
}

static void on_reloaded(void *context, const struct script_agent *agent)
{
    struct workspace *workspace = context;
    if (workspace_over(workspace))
        return;
    observer_script(&workspace->dispatch.observer, NULL);
    bool changed = card_take(&workspace->card, &workspace->options, agent);
    take_agent(workspace, agent);
    wiring_describe(workspace, agent);
    if (changed && !workspace->options.serve) /* the platform has the previous script's card */
        registration_changed(&workspace->registration);
    dispatch_step(&workspace->dispatch);
}

void workspace_reload(struct workspace *workspace)
{
    if (!workspace->script || workspace->state >= WORKSPACE_DRAINING)
        return;
    script_reload(workspace->script);
    watchdog_look(&workspace->watchdog);
}

/* --- the end --- */

static void on_drained(uv_timer_t *timer)
{
    struct workspace *workspace = timer->data;
    log_warn(LOG_DRAIN_INCOMPLETE, workspace_id(workspace),
             "not everything was finished within --drain; unfinished "
             "messages will be redelivered at the next start");
    workspace_close_down(workspace);
}

static void on_journal_closed(void *context)
{
    struct workspace *workspace = context;
    heartbeat_close(&workspace->heartbeat);
    uv_timer_stop(&workspace->drain_timer);
    set_state(workspace, WORKSPACE_CLOSED);
    metrics_check(workspace);
    workspace->dispatch.calls.closed = true;
    if (workspace->exit_code == HOST_EXIT_STOPPED)
        log_info(LOG_WORKSPACE_STOPPED, workspace_id(workspace),
                 "stopped; %lu answered, %lu dead-lettered", workspace->dispatch.answered,
                 workspace->dispatch.dead);
    host_workspace_ended(workspace->host, workspace);
}

static void on_script_closed(void *context)
{
    struct workspace *workspace = context;
    if (workspace->script)
        script_tokens(workspace->script, workspace->tokens);
    set_script(workspace, NULL);
    control_close(workspace->control); /* no more queries to the ledger */
    workspace->control = NULL;
    journal_close(workspace->journal, on_journal_closed);
}

static void on_stuck_closed(void *context)
{
    host_exit_now(((struct workspace *)context)->host, HOST_EXIT_STUCK);
}

void workspace_saved(struct workspace *workspace)
{
    if (workspace->exit_code == HOST_EXIT_STUCK) { /* its worker will not answer */
        workspace_uncount_innocent(workspace);
        journal_close(workspace->journal, on_stuck_closed);
    } else if (workspace->script) {
        host_calls_interrupt(&workspace->dispatch.calls);
        schedules_interrupt(&workspace->dispatch.schedules);
        script_close(workspace->script, true, on_script_closed, workspace);
    } else {
        on_script_closed(workspace);
    }
}

static void stop_fetching(struct workspace *workspace)
{
    event_stream_close(&workspace->stream);
    poller_close(&workspace->poller);
    intake_cancel(&workspace->intake);
}

void workspace_close_down(struct workspace *workspace)
{
    if (workspace_over(workspace))
        return;
    outbox_close(&workspace->dispatch.outbox, workspace->state == WORKSPACE_DRAINING);
    set_state(workspace, WORKSPACE_CLOSING);
    serving_dismiss(workspace->serving);
    stop_fetching(workspace);
    registration_close(&workspace->registration);
    call_cancel(&workspace->link.query);
    uv_timer_stop(&workspace->dispatch.timer);
    watchdog_stop(&workspace->watchdog); /* the script is about to close */
    timer_arm(&workspace->drain_timer, workspace_close_overdue,
              CLOSE_MS + CLOSE_EACH_MS * (int64_t)workspace->host->open_workspaces);
    cursor_writer_finish(&workspace->cursor_writer);
}

void workspace_stop(struct workspace *workspace)
{
    if (workspace->state >= WORKSPACE_DRAINING)
        return;
    bool was_running = workspace->state == WORKSPACE_RUNNING;
    serving_drain(workspace->serving);
    set_state(workspace, WORKSPACE_DRAINING);
    if (!was_running || dispatch_active(&workspace->dispatch) == 0) {
        workspace_close_down(workspace);
        return;
    }
    stop_fetching(workspace);
    timer_arm(&workspace->drain_timer, on_drained, workspace->options.drain_ms);
}

/* --- opening --- */

/* false in a ledger that was lost, or is not yet complete again. */
static bool is_in_ledger(const char *row_id, void *journal)
{
    return journal_knows(journal, row_id);
}

static void open_attempts(struct workspace *workspace, bool taken_over)
{
    struct attempts_env env = {.workspace_id = workspace_id(workspace),
                               .journal = workspace->journal,
                               .disk = &workspace->host->disk,
                               .network = &workspace->host->network,
                               .reserve = &workspace->host->reserve};
    char *path = opening_path(&workspace->options, "runs");
    if (taken_over)
        unlink(path); /* what was under way is the other client's */
    workspace->attempts = attempts_open(&env, path);
    free(path);
    dispatch_set_journal(&workspace->dispatch, workspace->journal, workspace->attempts);
}

/* Resumes what an earlier process left. */
static void take_up(struct workspace *workspace, struct opening *opening)
{
    struct journal_start *start = &opening->start;
    const struct cursor *cursor = opening->cursor;
    open_attempts(workspace, start->taken_over);
    wiring_open_cursor_writer(workspace, opening->cursor_status == CURSOR_DAMAGED);
    poller_open(&workspace->poller, cursor->last_since_id, start->anchor, opening->read_until_ms);
    struct deferred *deferred = deferred_read(cursor->members);
    deferred_leave_out(deferred, is_in_ledger, workspace->journal);
    poller_recover(&workspace->poller, deferred);
    for (const struct journal_question *each = start->questions; each; each = each->next)
        questions_load(&workspace->dispatch.questions, each->row_id, each->key, each->asked,
                       each->posted);
    workspace->dispatch.questions.say_again = start->taken_over;
    if (workspace->host->options.fleet)
        journal_rest(workspace->journal);
    while (start->open) {
        struct journal_loaded *loaded = start->open;
        start->open = loaded->next;
        intake_resume(&workspace->intake, loaded, false);
    }
}

static bool open_state(struct workspace *workspace, char *problem, size_t problem_size)
{
    struct opening opening = {
        .options = &workspace->options,
        .sweep = host_has_leftovers(workspace->host, workspace->options.state_directory),
        .cursor = &workspace->cursor_writer.cursor,
    };
    bool opened = opening_lock(&opening, problem, problem_size);
    workspace->lock = opening.lock;
    workspace->state_path = opening.state_path;
    if (!workspace->options.temporary_state)
        workspace->dispatch.state_path = workspace->state_path;
    if (!opened)
        return false;
    wiring_open_journal(workspace);
    opened = opening_read(&opening, workspace->journal, problem, problem_size);
    opened = opened && wiring_open_serving(workspace, problem, problem_size);
    if (opened)
        take_up(workspace, &opening);
    opening_free(&opening);
    return opened;
}

static bool open_workspace(struct workspace *workspace, enum host_exit *code, char *problem,
                           size_t problem_size)
{
    struct host *host = workspace->host;
    const struct molecule_workspace_options *options = &workspace->options;
    *code = HOST_EXIT_USAGE;
    if (!options->serve) {
        if (!checks_open_platform(options, &workspace->link.platform, problem, problem_size))
            return false;
        token_open(&workspace->link);
        if (!token_available(&workspace->link) && !options->bootstrap)
            return checks_say_no_token(options, host->options.fleet, problem, problem_size);
    }
    *code = HOST_EXIT_FAILED;
    if (!open_state(workspace, problem, problem_size))
        return false;
    workspace->link.pushed = options->push;
    inbound_secret_open(&workspace->link);
    set_state(workspace, WORKSPACE_LOADING);
    workspace->started_ms = clock_wall_ms();
    host->open_workspaces++;
    descriptors_share(&host->descriptors, host->open_workspaces);
    struct script_events events = {.loaded = on_loaded, .reloaded = on_reloaded};
    wiring_listen(workspace, &events);
    workspace->worker = host_take_worker(host);
    set_script(workspace, script_open(&workspace->worker->thread, &host->network,
                                      &workspace->script_settings, &events));
    watchdog_start(&workspace->watchdog);
    return true;
}

bool workspace_open(struct host *host, const struct molecule_workspace_options *options,
                    enum host_exit *code, char *problem, size_t problem_size)
{
    struct workspace *workspace = memory_allocate(sizeof *workspace);
    workspace->host = host;
    workspace->options = *options;
    workspace->script_settings = (struct script_settings){.options = &workspace->options,
                                                          .ca_file = host->options.ca_file};
    workspace->lock = -1;
    workspace->inbox = inbox_open(&host->pending_bytes);
    wiring_connect(workspace);
    workspace->next = host->workspaces;
    host->workspaces = workspace; /* from here on the host frees it */
    set_state(workspace, WORKSPACE_CLOSED);
    if (open_workspace(workspace, code, problem, problem_size))
        return true;
    host_workspace_refused(host, workspace);
    return false;
}

static void on_timer_gone(uv_handle_t *timer)
{
    struct workspace *workspace = timer->data;
    if (--workspace->timers_left > 0)
        return;
    metrics_keep(workspace);
    workspace->gone(workspace->gone_context, workspace);
}

void workspace_leave_loop(struct workspace *workspace,
                          void (*gone)(void *context, struct workspace *workspace), void *context)
{
    uv_timer_t *timers[WORKSPACE_TIMERS];
    wiring_list_timers(workspace, timers);
    workspace->gone = gone;
    workspace->gone_context = context;
    workspace->timers_left = WORKSPACE_TIMERS;
    for (size_t i = 0; i < WORKSPACE_TIMERS; i++) {
        timers[i]->data = workspace; /* its part is closed */
        uv_close((uv_handle_t *)timers[i], on_timer_gone);
    }
}

void workspace_close(struct workspace *workspace)
{
    set_state(workspace, WORKSPACE_CLOSED);
    stop_fetching(workspace);
    registration_close(&workspace->registration);
    heartbeat_close(&workspace->heartbeat);
    control_close(workspace->control);
    workspace->control = NULL;
    call_cancel(&workspace->link.query);
    serving_close(workspace->serving);
    dispatch_close(&workspace->dispatch);
    attempts_close(workspace->attempts);
    journal_free(workspace->journal);
    serving_free(workspace->serving);
    workspace->serving = NULL;
    cursor_writer_close(&workspace->cursor_writer);
    poller_free(&workspace->poller);
    event_stream_free(&workspace->stream);
    token_close(&workspace->link);
    inbound_secret_close(&workspace->link);
    inbox_close(workspace->inbox);
    platform_close(&workspace->link.platform);
    card_free(&workspace->card);
    free(workspace->state_path);
    if (workspace->lock >= 0)
        close(workspace->lock);
}

void workspace_free(struct workspace *workspace)
{
    free(workspace);
}
