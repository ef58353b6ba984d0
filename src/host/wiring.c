/* Who calls whom: the callbacks from each floor of a workspace up to the ones above it. Nothing
 * here decides anything. */
#include "host/parts.h"

#include "base/clock.h"
#include "base/memory.h"
#include "host/opening.h"
#include "messages/operator_answer.h"
#include "messages/spool.h"

#include <stdlib.h>
#include <string.h>

/* --- what the link asks --- */

static void on_link_failed(void *context, enum link_failure failure)
{
    workspace_fail(context, failure == LINK_REFUSED ? HOST_EXIT_REFUSED : HOST_EXIT_FAILED);
}

static void on_register_again(void *context)
{
    registration_start(&((struct workspace *)context)->registration, true);
}

static void on_registered(void *context)
{
    workspace_registered(context);
}

static void look_for_heartbeat(void *context, struct heartbeat_snapshot *now)
{
    const struct workspace *workspace = context;
    const struct dispatch *dispatch = &workspace->dispatch;
    const struct inbox_entry *running = inbox_first_running(workspace->inbox);
    const char *journal = journal_problem(workspace->journal);
    *now = (struct heartbeat_snapshot){
        .active = dispatch_active(dispatch),
        .handles = running != NULL,
        .answering = !running ? NULL
                     : running->message->source_id && running->message->peer_name
                         ? running->message->peer_name
                         : running->message->source_id,
        .problem = journal                  ? journal
                   : dispatch->uncounted[0] ? dispatch->uncounted
                                            : cursor_writer_problem(&workspace->cursor_writer),
        .wedged = workspace->watchdog.wedged,
        .uptime_ms = clock_monotonic_ms() - workspace->host->started_ms,
    };
}

static void on_hint(void *context)
{
    poller_hint(&((struct workspace *)context)->poller);
}

static bool has_room(void *context)
{
    return spool_has_room(&((struct workspace *)context)->dispatch);
}

static void make_room(void *context)
{
    spool_make_room(&((struct workspace *)context)->dispatch);
}

static bool knows(void *context, const char *row_id)
{
    return inbox_known(((struct workspace *)context)->inbox, row_id);
}

static void on_arrived(void *context, struct batch *batch)
{
    intake_take(&((struct workspace *)context)->intake, batch);
}

/* --- what the journal asks --- */

static void on_recovered(void *context)
{
    dispatch_step(&((struct workspace *)context)->dispatch);
}

static void on_changes_stand(void *context, struct changes *changes)
{
    dispatch_changes_stand(&((struct workspace *)context)->dispatch, changes);
}

static void look_for_cursor(void *context, struct cursor_now *now)
{
    const struct inbox *inbox = ((struct workspace *)context)->inbox;
    *now = (struct cursor_now){.watermark = inbox_watermark(inbox),
                               .stamp = inbox_watermark_stamp(inbox),
                               .deferred_changes = inbox_deferred_changes(inbox)};
}

static int64_t covered_ms(void *context)
{
    const struct workspace *workspace = context;
    return intake_covered_ms(&workspace->intake, workspace->poller.covered_ms);
}

static json_t *list_deferred(void *context)
{
    struct workspace *workspace = context;
    return intake_list_deferred(&workspace->intake, workspace->poller.deferred);
}

/* --- what the messages ask --- */

static void on_settled(void *context)
{
    struct workspace *workspace = context;
    cursor_writer_request(&workspace->cursor_writer);
    poller_resume(&workspace->poller);
}

static void on_ended(void *context)
{
    struct workspace *workspace = context;
    size_t active = dispatch_active(&workspace->dispatch);
    if (workspace->state == WORKSPACE_DRAINING && active == 0)
        workspace_close_down(workspace);
    else
        dispatch_step(&workspace->dispatch);
    heartbeat_changed(&workspace->heartbeat, dispatch_active(&workspace->dispatch));
}

static void on_look(void *context)
{
    struct workspace *workspace = context;
    if (workspace->state == WORKSPACE_RUNNING)
        poller_look(&workspace->poller);
}

static void on_handling(void *context)
{
    watchdog_start(&((struct workspace *)context)->watchdog);
}

/* --- what the watchdog asks --- */

static bool may_rest(void *context)
{
    const struct workspace *workspace = context;
    return inbox_running(workspace->inbox) == 0 && !workspace->dispatch.naming.under_way &&
           workspace->state != WORKSPACE_LOADING;
}

static void find_culprit(void *context, struct watchdog_culprit *found)
{
    const struct workspace *culprit = workspace_culprit(context);
    const struct script_job *job = script_current(culprit->script);
    const struct message *named = naming_current(&culprit->dispatch.naming);
    *found = (struct watchdog_culprit){
        .script = culprit->script,
        .options = &culprit->options,
        .message = job && job->message ? job->message : named,
        .naming = !(job && job->message) && named,
    };
}

static void on_wedged_changed(void *context)
{
    heartbeat_now(&((struct workspace *)context)->heartbeat);
}

static void on_stuck(void *context)
{
    workspace_fail(context, HOST_EXIT_STUCK);
}

/* --- what the control socket asks --- */

static void look_for_status(void *context, struct control_status *now)
{
    wiring_look(context, now);
}

static void on_due(void *context, struct journal_loaded *loaded)
{
    struct workspace *workspace = context;
    intake_resume(&workspace->intake, loaded, false);
    dispatch_step(&workspace->dispatch);
}

static void on_retry_dead(void *context, struct journal_loaded *loaded)
{
    struct workspace *workspace = context;
    inbox_forget(workspace->inbox, loaded->row_id);
    on_due(workspace, loaded);
}

static bool ask_timers(void *context, int64_t id, script_timers_callback *then, void *then_context)
{
    const struct workspace *workspace = context;
    if (!workspace->script)
        return false;
    if (id)
        script_run_timer(workspace->script, id, then, then_context);
    else
        script_list_timers(workspace->script, then, then_context);
    return true;
}

static bool answer_question(void *context, const char *code, const char *text,
                            void (*then)(void *client), void *client, char *problem,
                            size_t problem_size)
{
    struct workspace *workspace = context;
    return operator_answer(&workspace->dispatch, code, text, then, client, problem, problem_size);
}

void wiring_open_control(struct workspace *workspace)
{
    struct control_env env = {.options = &workspace->options,
                              .journal = workspace->journal,
                              .look = look_for_status,
                              .retry = on_retry_dead,
                              .timers = ask_timers,
                              .answer = answer_question,
                              .card = wiring_card,
                              .context = workspace};
    workspace->control = control_open(&workspace->host->controls, &env);
}

/* --- the wires --- */

static void on_saved(void *context)
{
    workspace_saved(context);
}

void wiring_open_cursor_writer(struct workspace *workspace, bool lost)
{
    struct host *host = workspace->host;
    struct cursor_writer_env env = {
        .workspace_id = workspace_id(workspace),
        .journal = workspace->journal,
        .disk = &host->disk,
        .network = &host->network,
        .reserve = &host->reserve,
        .workspaces = &host->open_workspaces,
        .fleet = host->options.fleet,
        .look = look_for_cursor,
        .covered_ms = covered_ms,
        .list_deferred = list_deferred,
        .saved = on_saved,
        .context = workspace,
    };
    struct cursor_writer *writer = &workspace->cursor_writer;
    cursor_writer_open(writer, &env, writer->cursor.last_since_id, lost);
}

void wiring_open_journal(struct workspace *workspace)
{
    const char *platform = workspace->options.serve ? "molecule serve"
                                                    : workspace->options.platform_name;
    struct journal_env env = {
        .workspace_id = workspace_id(workspace),
        .platform_url = platform ? platform : workspace->link.platform.base_url,
        .disk = &workspace->host->disk,
        .network = &workspace->host->network,
        .open = &workspace->host->ledgers,
        .recovered = on_recovered,
        .changes_stand = on_changes_stand,
        .context = workspace,
    };
    char *path = opening_path(&workspace->options, "db");
    workspace->journal = journal_open(&env, path);
    free(path);
}

void wiring_list_timers(struct workspace *workspace, uv_timer_t *timers[WORKSPACE_TIMERS])
{
    uv_timer_t *const all[WORKSPACE_TIMERS] = {
        &workspace->registration.timer,     &workspace->heartbeat.timer,
        &workspace->heartbeat.change_timer, &workspace->poller.timer,
        &workspace->stream.timer,           &workspace->stream.news_timer,
        &workspace->stream.doubt_timer,     &workspace->cursor_writer.timer,
        &workspace->dispatch.timer,         &workspace->drain_timer,
        &workspace->watchdog.timer};
    memcpy(timers, all, sizeof all);
}

static void wire_link(struct workspace *workspace)
{
    struct link *link = &workspace->link;
    link->options = &workspace->options;
    link->shared = &workspace->host->link;
    link->failed = on_link_failed;
    link->register_again = on_register_again;
    link->context = workspace;
    workspace->registration.link = link;
    workspace->registration.card = &workspace->card;
    workspace->registration.registered = on_registered;
    workspace->registration.context = workspace;
    workspace->registration.timer.data = &workspace->registration;
    workspace->heartbeat.link = link;
    workspace->heartbeat.look = look_for_heartbeat;
    workspace->heartbeat.context = workspace;
    workspace->heartbeat.timer.data = &workspace->heartbeat;
    workspace->heartbeat.change_timer.data = &workspace->heartbeat;
    workspace->stream.link = link;
    workspace->stream.hint = on_hint;
    workspace->stream.context = workspace;
    workspace->stream.timer.data = &workspace->stream;
    workspace->stream.news_timer.data = &workspace->stream;
    workspace->stream.doubt_timer.data = &workspace->stream;
    workspace->poller.link = link;
    workspace->poller.stream = &workspace->stream;
    workspace->poller.events = (struct poller_events){
        .has_room = has_room, .make_room = make_room, .knows = knows, .arrived = on_arrived};
    workspace->poller.context = workspace;
    workspace->poller.timer.data = &workspace->poller;
}

static void wire_messages(struct workspace *workspace)
{
    struct dispatch *dispatch = &workspace->dispatch;
    dispatch->link = &workspace->link;
    dispatch->inbox = workspace->inbox;
    dispatch->heartbeat = &workspace->heartbeat;
    dispatch->observer = (struct observer){.event = workspace->host->options.event,
                                           .context = workspace->host->options.context,
                                           .workspace_id = workspace_id(workspace)};
    dispatch->events = (struct dispatch_events){
        .settled = on_settled, .ended = on_ended, .look = on_look, .handling = on_handling};
    dispatch->context = workspace;
    dispatch->schedules.due = on_due;
    dispatch->schedules.context = workspace;
    dispatch_open(dispatch);
    workspace->intake.dispatch = dispatch;
    workspace->intake.poller = &workspace->poller;
}

static void on_not_reloaded(void *context, const char *problem)
{
    observer_script(&((struct workspace *)context)->dispatch.observer, problem);
}

static void on_said(void *context, const struct script_said *said)
{
    observer_said(&((struct workspace *)context)->dispatch.observer, said);
}

static void on_ask(void *context, struct script_ask *ask)
{
    struct dispatch *dispatch = &((struct workspace *)context)->dispatch;
    observer_asked(&dispatch->observer, ask);
    host_calls_ask(&dispatch->calls, ask);
}

static void on_schedule(void *context, struct script_schedule *said)
{
    schedules_take(&((struct workspace *)context)->dispatch.schedules, said);
}

void wiring_listen(struct workspace *workspace, struct script_events *events)
{
    events->ask = on_ask;
    events->schedule = on_schedule;
    events->context = workspace;
    if (!workspace->dispatch.observer.event)
        return;
    events->not_reloaded = on_not_reloaded;
    events->said = on_said;
}

static void wire_watchdog(struct workspace *workspace)
{
    struct watchdog *watchdog = &workspace->watchdog;
    watchdog->options = &workspace->options;
    watchdog->network = &workspace->host->network;
    watchdog->may_rest = may_rest;
    watchdog->find_culprit = find_culprit;
    watchdog->changed = on_wedged_changed;
    watchdog->stuck = on_stuck;
    watchdog->context = workspace;
    watchdog->timer.data = watchdog;
}

void wiring_connect(struct workspace *workspace)
{
    uv_timer_t *timers[WORKSPACE_TIMERS];
    wiring_list_timers(workspace, timers);
    for (size_t i = 0; i < WORKSPACE_TIMERS; i++)
        uv_timer_init(&workspace->host->network.loop, timers[i]);
    workspace->drain_timer.data = workspace;
    wire_link(workspace);
    wire_messages(workspace);
    wire_watchdog(workspace);
}
