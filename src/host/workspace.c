/* The one file that sees all parts of a workspace: it wires them, and leads through its life. The
 * end goes one way: close_down (loops stopped) -> cursor_writer_finish -> on_saved -> script closed
 * -> ledger closed -> host_workspace_ended. */
#include "host/workspace.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/timer.h"
#include "host/checks.h"
#include "host/control.h"
#include "host/opening.h"
#include "host/watchdog.h"
#include "journal/attempts.h"
#include "journal/cursor_writer.h"
#include "link/heartbeat.h"
#include "link/poller.h"
#include "link/registration.h"
#include "messages/intake.h"
#include "messages/spool.h"
#include "script/script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_NAME "molecule"
#define DEFAULT_DESCRIPTION "a Lua agent hosted by molecule"
#define CLOSE_MS 8000 /* for the script's stop and the last save, after the drain, */
/* and so much more for each workspace of a fleet, which all want the disk */
#define CLOSE_EACH_MS 3
#define TIMER_COUNT 11

enum workspace_state {
    WORKSPACE_LOADING, /* the script */
    WORKSPACE_REGISTERING,
    WORKSPACE_RUNNING,
    WORKSPACE_DRAINING, /* no new rows; what runs is finished */
    WORKSPACE_CLOSING,  /* saving, closing the script */
    WORKSPACE_CLOSED
};

struct workspace {
    struct workspace *next;
    struct host *host;
    struct molecule_workspace_options options;
    enum workspace_state state;
    enum host_exit exit_code;
    int lock;
    char *state_path;   /* the state directory, absolute; NULL: not opened */
    int64_t started_ms; /* wall clock */
    /* link */
    struct link link;
    struct registration registration;
    struct heartbeat heartbeat;
    struct event_stream stream;
    struct poller poller;
    struct platform_card card; /* its texts are owned */
    /* journal */
    struct journal *journal;
    struct attempts *attempts;
    struct cursor_writer cursor_writer;
    /* messages */
    struct inbox *inbox;
    struct dispatch dispatch;
    struct intake intake;
    /* script */
    struct script_settings script_settings;
    struct script *script;
    struct worker *worker;
    struct watchdog watchdog;
    bool stuck;   /* its script is what the process ends for with HOST_EXIT_STUCK */
    bool overdue; /* its script did not let go when it should have been closed */
    /* host */
    struct control *control;
    uv_timer_t drain_timer;
    size_t timers_left; /* on the loop, while it leaves it */
    void (*gone)(void *context, struct workspace *workspace);
    void *gone_context;
};

static void close_down(struct workspace *workspace);

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

/* Ends it with an error: as workspace_stop, but with this exit code and without waiting for
 * handlers. */
static void fail(struct workspace *workspace, enum host_exit code)
{
    if (workspace_over(workspace))
        return;
    workspace->exit_code = code;
    close_down(workspace);
}

/* --- what the link asks --- */

static void on_link_failed(void *context, enum link_failure failure)
{
    fail(context, failure == LINK_REFUSED ? HOST_EXIT_REFUSED : HOST_EXIT_FAILED);
}

static void on_register_again(void *context)
{
    registration_start(&((struct workspace *)context)->registration, true);
}

static void on_registered(void *context)
{
    struct workspace *workspace = context;
    set_state(workspace, WORKSPACE_RUNNING);
    heartbeat_start(&workspace->heartbeat);
    poller_start(&workspace->poller);
    if (workspace->options.wake_by_stream)
        event_stream_start(&workspace->stream);
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
        close_down(workspace);
    else
        dispatch_step(&workspace->dispatch);
    heartbeat_changed(&workspace->heartbeat, dispatch_active(&workspace->dispatch));
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

static struct workspace *culprit_of(struct workspace *workspace)
{
    if (script_current(workspace->script))
        return workspace;
    struct workspace *other = workspace->host->workspaces;
    while (other &&
           (other->worker != workspace->worker || !other->script || !script_current(other->script)))
        other = other->next;
    return other ? other : workspace;
}

static void find_culprit(void *context, struct watchdog_culprit *found)
{
    const struct workspace *culprit = culprit_of(context);
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
    fail(context, HOST_EXIT_STUCK);
}

/* --- what the control socket asks --- */

static const char *state_text(const struct workspace *workspace)
{
    switch (workspace->state) {
    case WORKSPACE_LOADING: return "loading";
    case WORKSPACE_REGISTERING: return "registering";
    case WORKSPACE_RUNNING:
        return workspace->watchdog.wedged            ? "wedged"
               : journal_problem(workspace->journal) ? "disk failing"
                                                     : "running";
    case WORKSPACE_DRAINING: return "draining";
    case WORKSPACE_CLOSING: return "closing";
    case WORKSPACE_CLOSED: break;
    }
    return "closed";
}

static void look_for_status(void *context, struct control_status *now)
{
    const struct workspace *workspace = context;
    const char *watermark = inbox_watermark(workspace->inbox);
    size_t pending = inbox_pending(workspace->inbox);
    size_t active = dispatch_active(&workspace->dispatch); /* some of them may be deferred */
    *now = (struct control_status){
        .state = state_text(workspace),
        .wake = event_stream_trusted(&workspace->stream) ? "stream" : "poll",
        .cursor = watermark ? watermark : workspace->cursor_writer.saved,
        .started_ms = workspace->started_ms,
        .last_poll_ms = workspace->poller.last_poll_ms,
        .last_heartbeat_ms = workspace->heartbeat.succeeded_ms,
        .waiting = pending > active ? pending - active : 0,
        .answered = workspace->dispatch.answered,
        .away_ms = workspace->link.away_ms,
        .away_reason = workspace->link.away_reason,
    };
}

static void on_retry_dead(void *context, struct journal_loaded *loaded)
{
    struct workspace *workspace = context;
    inbox_forget(workspace->inbox, loaded->row_id);
    intake_resume(&workspace->intake, loaded, false);
    dispatch_step(&workspace->dispatch);
}

static void open_control(struct workspace *workspace)
{
    struct control_env env = {.options = &workspace->options,
                              .journal = workspace->journal,
                              .look = look_for_status,
                              .retry = on_retry_dead,
                              .context = workspace};
    workspace->control = control_open(&workspace->host->controls, &env);
}

/* --- what the script tells --- */

static void free_card(struct workspace *workspace)
{
    free((char *)workspace->card.name);
    free((char *)workspace->card.description);
    json_decref((json_t *)workspace->card.skills);
}

/* true: the card is another one than before */
static bool take_card(struct workspace *workspace, const struct script_agent *agent)
{
    const struct molecule_workspace_options *options = &workspace->options;
    const struct platform_card *card = &workspace->card;
    const char *name = options->name ? options->name : agent->name ? agent->name : DEFAULT_NAME;
    const char *description = options->description ? options->description
                              : agent->description ? agent->description
                                                   : DEFAULT_DESCRIPTION;
    bool changed = !card->name || strcmp(card->name, name) != 0 ||
                   strcmp(card->description, description) != 0 ||
                   (agent->skills ? !json_equal(card->skills, agent->skills)
                                  : card->skills != NULL);
    struct platform_card next = {
        .name = memory_copy_text(name),
        .description = memory_copy_text(description),
        .version = MOLECULE_VERSION,
        .skills = agent->skills ? json_deep_copy(agent->skills) : NULL,
    };
    free_card(workspace);
    workspace->card = next;
    return changed;
}

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

static void on_loaded(void *context, const struct script_agent *agent)
{
    struct workspace *workspace = context;
    if (workspace->state != WORKSPACE_LOADING)
        return; /* stopped meanwhile */
    if (agent->problem) {
        log_error(workspace_id(workspace), "the %s does not load: %s",
                  workspace->options.script ? "script" : "backend", agent->problem);
        fail(workspace, HOST_EXIT_USAGE);
        return;
    }
    take_card(workspace, agent);
    take_agent(workspace, agent);
    set_state(workspace, WORKSPACE_REGISTERING);
    open_control(workspace);
    registration_start(&workspace->registration, false);
}

static void on_reloaded(void *context, const struct script_agent *agent)
{
    struct workspace *workspace = context;
    if (workspace_over(workspace))
        return;
    bool changed = take_card(workspace, agent);
    take_agent(workspace, agent);
    if (changed) /* the platform has the card of the script before */
        registration_changed(&workspace->registration);
    dispatch_step(&workspace->dispatch);
}

static void on_ask(void *context, struct script_ask *ask)
{
    host_calls_ask(&((struct workspace *)context)->dispatch.calls, ask);
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
    log_warn(workspace_id(workspace), "not everything was finished within --drain; unfinished "
                                      "messages will be redelivered at the next start");
    close_down(workspace);
}

/* A script stuck in C, or a disk that hangs, must not keep the process from ending. */
static void on_close_overdue(uv_timer_t *timer)
{
    struct workspace *workspace = timer->data;
    const struct host *host = workspace->host;
    const char *id = workspace_id(workspace);
    int64_t stuck_after_ms = workspace->options.stuck_after_ms;
    if (workspace->overdue && !host->stops) {
        log_error(id, "the script still did not shut down: exiting with code %d", HOST_EXIT_STUCK);
        host_exit_now(host, HOST_EXIT_STUCK);
    }
    if (!host->stops && host->open_workspaces > 1 && workspace->exit_code != HOST_EXIT_STUCK) {
        if (stuck_after_ms == 0)
            return;
        log_error(id,
                  "the script did not release the workspace; the others continue for %lld s "
                  "(--stuck-after), then this process ends with exit code %d",
                  (long long)stuck_after_ms / 1000, HOST_EXIT_STUCK);
        workspace->overdue = true;
        timer_arm(timer, on_close_overdue, stuck_after_ms);
        return;
    }
    log_error(id, "the script or the disk did not shut down in time; exiting anyway");
    host_exit_now(host, workspace->exit_code);
}

static void on_journal_closed(void *context)
{
    struct workspace *workspace = context;
    heartbeat_close(&workspace->heartbeat);
    uv_timer_stop(&workspace->drain_timer);
    set_state(workspace, WORKSPACE_CLOSED);
    workspace->dispatch.calls.closed = true;
    if (workspace->exit_code == HOST_EXIT_STOPPED)
        log_info(workspace_id(workspace), "stopped; %lu answered, %lu set aside",
                 workspace->dispatch.answered, workspace->dispatch.dead);
    host_workspace_ended(workspace->host, workspace);
}

static void on_script_closed(void *context)
{
    struct workspace *workspace = context;
    set_script(workspace, NULL);
    control_close(workspace->control); /* nothing more is asked of the ledger */
    workspace->control = NULL;
    journal_close(workspace->journal, on_journal_closed);
}

/* The one that is stuck keeps its counted attempt; the others, of all workspaces, are not to blame.
 */
static void uncount_innocent(const struct inbox_entry *entry, void *context)
{
    struct workspace *workspace = context;
    const struct script_job *guilty = workspace->stuck ? script_current(workspace->script) : NULL;
    if (!guilty || guilty->message != entry->message)
        attempts_leave(workspace->attempts, entry->place, false);
}

static void uncount_all_innocent(struct workspace *workspace)
{
    culprit_of(workspace)->stuck = true;
    for (struct workspace *each = workspace->host->workspaces; each; each = each->next)
        if (each->script)
            inbox_each_running(each->inbox, uncount_innocent, each);
}

static void on_stuck_closed(void *context)
{
    host_exit_now(((struct workspace *)context)->host, HOST_EXIT_STUCK);
}

static void on_saved(void *context)
{
    struct workspace *workspace = context;
    if (workspace->exit_code == HOST_EXIT_STUCK) { /* its worker will not answer */
        uncount_all_innocent(workspace);
        journal_close(workspace->journal, on_stuck_closed);
    } else if (workspace->script) {
        host_calls_interrupt(&workspace->dispatch.calls);
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

static void close_down(struct workspace *workspace)
{
    if (workspace_over(workspace))
        return;
    outbox_close(&workspace->dispatch.outbox, workspace->state == WORKSPACE_DRAINING);
    set_state(workspace, WORKSPACE_CLOSING);
    stop_fetching(workspace);
    registration_close(&workspace->registration);
    call_cancel(&workspace->link.query);
    uv_timer_stop(&workspace->dispatch.timer);
    watchdog_stop(&workspace->watchdog); /* the script is not there for long */
    timer_arm(&workspace->drain_timer, on_close_overdue,
              CLOSE_MS + CLOSE_EACH_MS * (int64_t)workspace->host->open_workspaces);
    cursor_writer_finish(&workspace->cursor_writer);
}

void workspace_stop(struct workspace *workspace)
{
    if (workspace->state >= WORKSPACE_DRAINING)
        return;
    bool was_running = workspace->state == WORKSPACE_RUNNING;
    set_state(workspace, WORKSPACE_DRAINING);
    if (!was_running || dispatch_active(&workspace->dispatch) == 0) {
        close_down(workspace);
        return;
    }
    stop_fetching(workspace);
    timer_arm(&workspace->drain_timer, on_drained, workspace->options.drain_ms);
}

/* --- opening --- */

/* Not in a ledger that was lost, or is not yet complete again. */
static bool is_in_ledger(const char *row_id, void *journal)
{
    return journal_knows(journal, row_id);
}

static void open_cursor_writer(struct workspace *workspace, bool lost)
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

static void open_journal(struct workspace *workspace)
{
    const char *platform = workspace->options.platform_name;
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

/* What an earlier process left goes on. */
static void take_up(struct workspace *workspace, struct opening *opening)
{
    struct journal_start *start = &opening->start;
    const struct cursor *cursor = opening->cursor;
    open_attempts(workspace, start->taken_over);
    open_cursor_writer(workspace, opening->cursor_status == CURSOR_DAMAGED);
    poller_open(&workspace->poller, cursor->last_since_id, start->anchor, opening->read_until_ms);
    struct deferred *deferred = deferred_read(cursor->members);
    deferred_leave_out(deferred, is_in_ledger, workspace->journal);
    poller_recover(&workspace->poller, deferred);
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
    open_journal(workspace);
    opened = opening_read(&opening, workspace->journal, problem, problem_size);
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
    if (!checks_open_platform(options, &workspace->link.platform, problem, problem_size))
        return false;
    token_open(&workspace->link);
    if (!token_available(&workspace->link) && !options->bootstrap)
        return checks_say_no_token(options, host->options.fleet, problem, problem_size);
    *code = HOST_EXIT_FAILED;
    if (!open_state(workspace, problem, problem_size))
        return false;
    set_state(workspace, WORKSPACE_LOADING);
    workspace->started_ms = clock_wall_ms();
    host->open_workspaces++;
    descriptors_share(&host->descriptors, host->open_workspaces);
    struct script_events events = {
        .loaded = on_loaded, .reloaded = on_reloaded, .ask = on_ask, .context = workspace};
    workspace->worker = host_take_worker(host);
    set_script(workspace, script_open(&workspace->worker->thread, &host->network,
                                      &workspace->script_settings, &events));
    watchdog_start(&workspace->watchdog);
    return true;
}

static void list_timers(struct workspace *workspace, uv_timer_t *timers[TIMER_COUNT])
{
    uv_timer_t *const all[TIMER_COUNT] = {
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
        .settled = on_settled, .ended = on_ended, .handling = on_handling};
    dispatch->context = workspace;
    dispatch_open(dispatch);
    workspace->intake.dispatch = dispatch;
    workspace->intake.poller = &workspace->poller;
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
    uv_timer_t *timers[TIMER_COUNT];
    list_timers(workspace, timers);
    for (size_t i = 0; i < TIMER_COUNT; i++)
        uv_timer_init(&host->network.loop, timers[i]);
    workspace->drain_timer.data = workspace;
    wire_link(workspace);
    wire_messages(workspace);
    wire_watchdog(workspace);
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
    if (--workspace->timers_left == 0)
        workspace->gone(workspace->gone_context, workspace);
}

void workspace_leave_loop(struct workspace *workspace,
                          void (*gone)(void *context, struct workspace *workspace), void *context)
{
    uv_timer_t *timers[TIMER_COUNT];
    list_timers(workspace, timers);
    workspace->gone = gone;
    workspace->gone_context = context;
    workspace->timers_left = TIMER_COUNT;
    for (size_t i = 0; i < TIMER_COUNT; i++) {
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
    dispatch_close(&workspace->dispatch);
    attempts_close(workspace->attempts);
    journal_free(workspace->journal);
    cursor_writer_close(&workspace->cursor_writer);
    poller_free(&workspace->poller);
    event_stream_free(&workspace->stream);
    token_close(&workspace->link);
    inbox_close(workspace->inbox);
    platform_close(&workspace->link.platform);
    free_card(workspace);
    free(workspace->state_path);
    if (workspace->lock >= 0)
        close(workspace->lock);
}

void workspace_free(struct workspace *workspace)
{
    free(workspace);
}
