#include "host/workspace.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "host/control.h"
#include "host/transcript.h"
#include "state/atomic_file.h"
#include "state/lock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_NAME "molecule"
#define DEFAULT_DESCRIPTION "a Lua agent hosted by molecule"
#define FAILURE_BASE_MS 500      /* between the attempts of a message whose handler fails */
#define FAILURE_CAP_MS 60000
#define KEEP_AFTER_MS 30000      /* who must wait longer is kept in the ledger, and the cursor passes */
#define WATCHDOG_EVERY_MS 1000
#define WEDGED_SLACK_MS 5000     /* beyond --cpu-limit: the hook would have ended Lua code by then */
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

/* --- messages --- */

struct handling {
    struct script_job job; /* first */
    struct workspace *workspace;
    struct inbox_entry *entry;
    int64_t started_ms;
};

static const char *sender(const struct inbox_entry *entry)
{
    return entry->message->source_id ? entry->message->source_id : "the canvas";
}

static int64_t failure_delay(unsigned failures)
{
    struct retry_backoff backoff = {.base_ms = FAILURE_BASE_MS, .cap_ms = FAILURE_CAP_MS,
                                    .failures = failures > 0 ? failures - 1 : 0};
    return retry_next_delay(&backoff, 0, host_random());
}

bool workspace_expired(const struct workspace *workspace, const struct inbox_entry *entry)
{
    return workspace->settings.reply_ttl_ms > 0 &&
           clock_wall_ms() - entry->first_seen_ms > workspace->settings.reply_ttl_ms;
}

static void free_reply(struct inbox_entry *entry)
{
    struct stored_reply *stored = entry->context;
    if (!stored)
        return;
    reply_request_free(&stored->request);
    free(stored);
    entry->context = NULL;
}

static void settle_suspect(struct workspace *workspace, struct inbox_entry *entry)
{
    if (!entry->suspect)
        return;
    entry->suspect = false;
    workspace->suspects--;
}

static void on_finished(struct workspace *workspace, struct inbox_entry *entry, void *context)
{
    (void)context;
    settle_suspect(workspace, entry);
    free_reply(entry);
    inbox_finish(workspace->inbox, entry);
    if (workspace_over(workspace))
        return;
    saver_request(workspace);
    poller_resume(workspace);
    if (workspace->state == WORKSPACE_DRAINING && is_idle(workspace))
        close_down(workspace);
    else
        workspace_dispatch(workspace);
}

void workspace_finish(struct workspace *workspace, struct inbox_entry *entry, const char *outcome)
{
    transcript_write(workspace, entry, outcome, NULL);
    record_finish(workspace->record, entry, outcome, on_finished, NULL);
}

void workspace_dead(struct workspace *workspace, struct inbox_entry *entry, const char *reason, const char *traceback)
{
    workspace->dead++;
    transcript_write(workspace, entry, "dead", reason);
    record_dead(workspace->record, entry, reason, traceback, on_finished, NULL);
}

static void on_reply_recorded(struct workspace *workspace, struct inbox_entry *entry, void *context)
{
    (void)context;
    if (!workspace_over(workspace)) /* else the next start posts it */
        outbox_post(workspace, entry);
}

/* The reply is stored before it is posted. `dead_reason`: it tells the sender that the message was given up. */
static void store_reply(struct workspace *workspace, struct inbox_entry *entry, const struct reply *reply,
                        const char *purpose, const char *dead_reason, const char *traceback)
{
    struct stored_reply *stored = memory_allocate(sizeof *stored);
    char problem[512];
    inbox_post(workspace->inbox, entry);
    if (!reply_build(entry->message, reply, purpose, &stored->request, problem, sizeof problem)) {
        free(stored);
        log_error(workspace->settings.id, "message %s from %s is set aside as a dead letter: its reply cannot be sent: %s",
                  entry->row_id, sender(entry), problem);
        workspace_dead(workspace, entry, dead_reason ? dead_reason : problem, traceback);
        return;
    }
    entry->context = stored;
    if (dead_reason)
        workspace->dead++;
    record_reply(workspace->record, entry, &stored->request, dead_reason != NULL, dead_reason, traceback,
                 on_reply_recorded, NULL);
}

/* Given up: a dead letter, and a word to its sender if the operator wants one. */
static void give_up(struct workspace *workspace, struct inbox_entry *entry, const char *reason, const char *traceback)
{
    if (workspace->settings.error_reply) {
        struct reply reply = {.text = (char *)workspace->settings.error_reply,
                              .text_length = strlen(workspace->settings.error_reply)};
        store_reply(workspace, entry, &reply, "/error", reason, traceback);
        return;
    }
    inbox_post(workspace->inbox, entry);
    workspace_dead(workspace, entry, reason, traceback);
}

struct wait {
    int64_t at_ms;
    bool hold, kept;
};

static void on_wait_recorded(struct workspace *workspace, struct inbox_entry *entry, void *context)
{
    struct wait *wait = context;
    inbox_retry(workspace->inbox, entry, wait->at_ms, wait->hold, true);
    if (wait->kept) {
        settle_suspect(workspace, entry);
        inbox_keep(workspace->inbox, entry);
    }
    free(wait);
    if (workspace_over(workspace))
        return;
    saver_request(workspace);
    poller_resume(workspace);
    if (workspace->state == WORKSPACE_DRAINING && is_idle(workspace))
        close_down(workspace);
    else
        workspace_dispatch(workspace);
}

/* Again in `delay_ms`. A long wait is the ledger's: the cursor passes the message. */
static void try_later(struct workspace *workspace, struct inbox_entry *entry, int64_t delay_ms, bool hold,
                      const char *reason)
{
    struct wait *wait = memory_allocate(sizeof *wait);
    wait->at_ms = clock_monotonic_ms() + delay_ms;
    wait->hold = hold;
    wait->kept = delay_ms >= KEEP_AFTER_MS || entry->kept;
    inbox_post(workspace->inbox, entry);
    if (wait->kept)
        record_keep(workspace->record, entry, clock_wall_ms() + delay_ms, hold, reason, on_wait_recorded, wait);
    else
        record_wait(workspace->record, entry, on_wait_recorded, wait);
}

void workspace_keep(struct workspace *workspace, struct inbox_entry *entry, const char *reason)
{
    struct wait *wait = memory_allocate(sizeof *wait);
    wait->at_ms = clock_monotonic_ms();
    wait->hold = wait->kept = true;
    inbox_post(workspace->inbox, entry);
    record_keep(workspace->record, entry, clock_wall_ms(), true, reason, on_wait_recorded, wait);
}

static void handler_failed(struct workspace *workspace, struct inbox_entry *entry, const struct script_outcome *outcome)
{
    const char *id = workspace->settings.id;
    const char *reason = outcome->reason ? outcome->reason : "it failed";
    unsigned maximum = workspace->settings.max_attempts;
    heartbeat_record(workspace, reason);
    entry->failures++;
    if (entry->failures >= maximum) {
        log_error(id, "message %s from %s: the handler failed (attempt %u of %u): %s%s%s\nthe message is set aside as a "
                      "dead letter; the inbox goes on (molecule dead show %s %s)", entry->row_id, sender(entry),
                  entry->failures, maximum, reason, outcome->traceback ? "\n" : "",
                  outcome->traceback ? outcome->traceback : "", id, entry->row_id);
        give_up(workspace, entry, reason, outcome->traceback);
        return;
    }
    int64_t delay = failure_delay(entry->failures);
    log_warn(id, "message %s from %s: the handler failed (attempt %u of %u, again in %.1f s): %s%s%s", entry->row_id,
             sender(entry), entry->failures, maximum, (double)delay / 1000, reason, outcome->traceback ? "\n" : "",
             outcome->traceback ? outcome->traceback : "");
    try_later(workspace, entry, delay, true, reason);
}

static void handler_retries(struct workspace *workspace, struct inbox_entry *entry, const struct script_outcome *outcome)
{
    int64_t delay = outcome->retry_after_ms >= 0 ? outcome->retry_after_ms : failure_delay(entry->attempts);
    const char *reason = outcome->reason ? outcome->reason : "the script asked for a retry";
    if (workspace_expired(workspace, entry)) {
        log_error(workspace->settings.id, "message %s from %s is set aside as a dead letter: still no outcome after "
                  "--reply-ttl: %s", entry->row_id, sender(entry), reason);
        give_up(workspace, entry, reason, NULL);
        return;
    }
    log_info(workspace->settings.id, "message %s from %s: retry in %.1f s%s%s", entry->row_id, sender(entry),
             (double)delay / 1000, outcome->reason ? ": " : "", outcome->reason ? outcome->reason : "");
    try_later(workspace, entry, delay, outcome->hold, reason);
}

static void apply_outcome(struct workspace *workspace, struct inbox_entry *entry, const struct script_outcome *outcome,
                          int64_t took_ms)
{
    const char *id = workspace->settings.id;
    if (outcome->kind != SCRIPT_FAILED && outcome->kind != SCRIPT_AGAIN) {
        heartbeat_record(workspace, NULL);
        settle_suspect(workspace, entry);
    }
    switch (outcome->kind) {
    case SCRIPT_REPLIED:
        log_debug(id, "message %s from %s: handled in %lld ms", entry->row_id, sender(entry), (long long)took_ms);
        store_reply(workspace, entry, &outcome->reply, "/reply", NULL, NULL);
        return;
    case SCRIPT_NO_REPLY:
    case SCRIPT_SKIPPED:
        log_info(id, "message %s from %s: %s%s%s", entry->row_id, sender(entry), script_outcome_text(outcome->kind),
                 outcome->reason ? ": " : "", outcome->reason ? outcome->reason : "");
        inbox_post(workspace->inbox, entry);
        workspace_finish(workspace, entry, script_outcome_text(outcome->kind));
        return;
    case SCRIPT_RETRY:
        handler_retries(workspace, entry, outcome);
        return;
    case SCRIPT_DEAD:
        log_warn(id, "message %s from %s: the script made it a dead letter%s%s", entry->row_id, sender(entry),
                 outcome->reason ? ": " : "", outcome->reason ? outcome->reason : "");
        inbox_post(workspace->inbox, entry);
        workspace_dead(workspace, entry, outcome->reason ? outcome->reason : "the script made it a dead letter", NULL);
        return;
    case SCRIPT_FAILED:
        handler_failed(workspace, entry, outcome);
        return;
    case SCRIPT_AGAIN:
        log_debug(id, "message %s from %s: runs again: %s", entry->row_id, sender(entry), outcome->reason);
        inbox_retry(workspace->inbox, entry, 0, true, false);
        record_uncount(workspace->record, entry->row_id);
        return;
    }
}

static void on_handled(struct script_job *job)
{
    struct handling *handling = (struct handling *)job;
    struct workspace *workspace = handling->workspace;
    struct inbox_entry *entry = handling->entry;
    if (workspace_over(workspace)) { /* the drain ran out: it runs again at the next start */
        inbox_retry(workspace->inbox, entry, 0, true, false);
        record_uncount(workspace->record, entry->row_id);
    } else {
        apply_outcome(workspace, entry, &job->outcome, clock_monotonic_ms() - handling->started_ms);
    }
    script_outcome_free(&job->outcome);
    free(handling);
    if (workspace->state == WORKSPACE_DRAINING && is_idle(workspace))
        close_down(workspace);
    else
        workspace_dispatch(workspace);
}

/* The attempt is counted: the handler may run. */
static void on_start_recorded(struct workspace *workspace, struct inbox_entry *entry, void *context)
{
    struct handling *handling = context;
    if (workspace_over(workspace)) {
        inbox_retry(workspace->inbox, entry, 0, true, false);
        record_uncount(workspace->record, entry->row_id);
        free(handling);
        return;
    }
    handling->started_ms = clock_monotonic_ms();
    script_submit(workspace->script, &handling->job);
}

/* Another molecule host's reply is marked (wire/reply.c). Answered by default, two hosts would talk for ever. false: it is
 * a message for the script. */
static bool passes_over(struct workspace *workspace, struct inbox_entry *entry)
{
    const struct message *message = entry->message;
    const char *id = workspace->settings.id;
    if (!message->in_reply_to || (workspace->answers_replies && message->hops < workspace->settings.max_hops))
        return false;
    if (workspace->answers_replies)
        log_warn(id, "message %s from %s: skipped, it is the %dth reply in a row between two agents (--max-hops)",
                 entry->row_id, sender(entry), message->hops);
    else
        log_info(id, "message %s from %s: skipped, it is a reply to ours (an agent with answers_replies = true sees these)",
                 entry->row_id, sender(entry));
    inbox_start(workspace->inbox, entry);
    inbox_post(workspace->inbox, entry);
    workspace_finish(workspace, entry, "answer");
    return true;
}

static void start_handler(struct workspace *workspace, struct inbox_entry *entry)
{
    inbox_start(workspace->inbox, entry);
    struct handling *handling = memory_allocate(sizeof *handling);
    handling->workspace = workspace;
    handling->entry = entry;
    handling->job.message = entry->message;
    handling->job.attempt = entry->attempts;
    handling->job.redelivered = entry->attempts > 1;
    handling->job.done = on_handled;
    record_start(workspace->record, entry, on_start_recorded, handling);
}

/* --- what an earlier process left --- */

static void resume_reply(struct workspace *workspace, struct inbox_entry *entry, struct record_loaded *loaded)
{
    struct stored_reply *stored = memory_allocate(sizeof *stored);
    stored->request = loaded->reply;
    stored->restarted = true;
    loaded->reply = (struct reply_request){0};
    entry->context = stored;
    log_debug(workspace->settings.id, "message %s: its reply was stored by an earlier process and is posted", entry->row_id);
}

static void resume_running(struct workspace *workspace, struct inbox_entry *entry)
{
    char reason[160];
    entry->failures++; /* the attempt under way ended with its process */
    if (entry->failures >= workspace->settings.max_attempts) {
        snprintf(reason, sizeof reason, "the process ended %u times while it handled this message", entry->failures);
        log_error(workspace->settings.id, "message %s is set aside as a dead letter: %s", entry->row_id, reason);
        inbox_start(workspace->inbox, entry);
        inbox_post(workspace->inbox, entry);
        workspace_dead(workspace, entry, reason, NULL);
        return;
    }
    log_warn(workspace->settings.id, "message %s was being handled when an earlier process ended (attempt %u); it runs "
                                     "again, alone", entry->row_id, entry->attempts);
    entry->suspect = true;
    workspace->suspects++;
}

/* A dead letter that somebody retried, though it is none to answer. */
static void resume_unreadable(struct workspace *workspace, struct inbox_entry *entry)
{
    const char *reason = entry->message->problem ? entry->message->problem : envelope_kind_text(entry->message->kind);
    log_error(workspace->settings.id, "message %s stays a dead letter, it cannot be handled: %s", entry->row_id, reason);
    inbox_start(workspace->inbox, entry);
    inbox_post(workspace->inbox, entry);
    workspace_dead(workspace, entry, reason, NULL);
}

void workspace_resume(struct workspace *workspace, struct record_loaded *loaded, bool moves_cursor)
{
    struct page_row row = {.bytes = loaded->row ? loaded->row : "", .length = loaded->row_length};
    struct message *message = envelope_read(row, workspace->settings.id);
    if (!message->row_id)
        message->row_id = memory_copy_text(loaded->row_id);
    struct inbox_entry *entry = inbox_admit(workspace->inbox, message, row.bytes, row.length, moves_cursor);
    if (entry) {
        entry->attempts = loaded->attempts;
        entry->failures = loaded->failures;
        entry->first_seen_ms = loaded->first_seen_ms;
        int64_t wait_ms = loaded->due_ms - clock_wall_ms();
        if (loaded->due_ms > 0 && wait_ms > 0) {
            entry->not_before_ms = clock_monotonic_ms() + wait_ms;
            entry->aside = !loaded->hold;
        }
        if (entry->message->kind != ENVELOPE_MESSAGE)
            resume_unreadable(workspace, entry);
        else if (loaded->reply.body)
            resume_reply(workspace, entry, loaded);
        else if (loaded->state == LEDGER_RUNNING)
            resume_running(workspace, entry);
        if (!moves_cursor)
            inbox_keep(workspace->inbox, entry);
    }
    record_loaded_free(loaded);
}

static void on_dispatch_timer(uv_timer_t *timer)
{
    workspace_dispatch(timer->data);
}

static void on_watchdog(uv_timer_t *timer);

void workspace_dispatch(struct workspace *workspace)
{
    if (workspace->state != WORKSPACE_RUNNING || record_problem(workspace->record))
        return;
    int64_t wait_ms = -1;
    unsigned concurrency = workspace->suspects > 0 ? 1 : workspace->concurrency;
    while (inbox_running(workspace->inbox) < concurrency) {
        struct inbox_entry *entry = inbox_next(workspace->inbox, clock_monotonic_ms(), &wait_ms);
        if (!entry)
            break;
        if (entry->context) {
            inbox_start(workspace->inbox, entry);
            inbox_post(workspace->inbox, entry);
            outbox_post(workspace, entry);
        } else if (!passes_over(workspace, entry)) {
            start_handler(workspace, entry);
        }
    }
    if (wait_ms >= 0)
        workspace_arm(&workspace->dispatch_timer, on_dispatch_timer, wait_ms);
    if (inbox_running(workspace->inbox) > 0 && !uv_is_active((uv_handle_t *)&workspace->watchdog))
        uv_timer_start(&workspace->watchdog, on_watchdog, WATCHDOG_EVERY_MS, WATCHDOG_EVERY_MS);
}

/* --- a script that does not come back --- */

static void on_alive(void *context)
{
    struct workspace *workspace = context;
    workspace->ping_sent_ms = 0;
    if (workspace->wedged) {
        log_info(workspace->settings.id, "the script answers again");
        workspace->wedged = false;
        heartbeat_now(workspace);
    }
}

static void on_watchdog(uv_timer_t *timer)
{
    struct workspace *workspace = timer->data;
    const struct workspace_settings *settings = &workspace->settings;
    const struct inbox_entry *running = inbox_first_running(workspace->inbox);
    if (!running && !workspace->wedged) {
        uv_timer_stop(timer);
        return;
    }
    int64_t now = clock_monotonic_ms();
    if (!workspace->ping_sent_ms) {
        workspace->ping_sent_ms = now;
        script_ping(workspace->script, on_alive, workspace);
        return;
    }
    int64_t silent = now - workspace->ping_sent_ms;
    int64_t patience = settings->script.cpu_limit_ms + WEDGED_SLACK_MS;
    if (settings->stuck_after_ms && patience >= settings->stuck_after_ms)
        patience = settings->stuck_after_ms / 2; /* the platform hears of it before the end */
    if (!workspace->wedged && silent >= patience) {
        workspace->wedged = true;
        log_error(settings->id,
                  "the script has been stuck in C code for %lld s with message %s from %s and cannot be interrupted; "
                  "heartbeats go on%s", (long long)silent / 1000, running ? running->row_id : "?",
                  running ? sender(running) : "?", settings->stuck_after_ms ? "" : " (--stuck-after 0: for ever)");
        heartbeat_now(workspace);
    }
    if (settings->stuck_after_ms && silent >= settings->stuck_after_ms && !workspace_over(workspace)) {
        log_error(settings->id, "still stuck after %lld s (--stuck-after): ending with exit code %d, so that whoever "
                                "supervises this process starts it again; message %s comes again then",
                  (long long)settings->stuck_after_ms / 1000, HOST_EXIT_STUCK, running ? running->row_id : "?");
        workspace_fail(workspace, HOST_EXIT_STUCK);
    }
}

/* --- its life --- */

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

static char *state_path(const struct workspace_settings *settings, const char *ending)
{
    return memory_format("%s/%s.%s", settings->state_directory, settings->id, ending);
}

/* A damaged cursor file is replaced by the ledger's copy; without one nothing is guessed. */
static bool recover_cursor(struct workspace *workspace, const char *what, const char *copy, char *problem,
                           size_t problem_size)
{
    const struct workspace_settings *settings = &workspace->settings;
    struct cursor *cursor = &workspace->saver.cursor;
    if (!copy) {
        snprintf(problem, problem_size,
                 "%s; it says how far the inbox was answered, so nothing is guessed: repair it, or start afresh with "
                 "--reset-state (it is kept beside as .reset; messages of the last %lld s are answered)",
                 what, (long long)settings->since_secs);
        return false;
    }
    char *aside = memory_format("%s.damaged", cursor->path);
    bool moved = rename(cursor->path, aside) == 0;
    if (moved)
        log_warn(settings->id, "%s; going on from the ledger's copy, the damaged file is %s", what, aside);
    else
        snprintf(problem, problem_size, "%s; it cannot be moved to %s: %s", what, aside, strerror(errno));
    free(aside);
    free(cursor->last_since_id);
    cursor->last_since_id = memory_copy_text(copy);
    return moved;
}

/* What the ledger knows: the messages that an earlier process left go on. */
static bool open_record(struct workspace *workspace, enum cursor_status status, const char *what, char *problem,
                        size_t problem_size)
{
    const char *id = workspace->settings.id;
    struct cursor *cursor = &workspace->saver.cursor;
    struct record_start start;
    char *path = state_path(&workspace->settings, "db");
    workspace->record = record_open(workspace, path, workspace->platform.base_url);
    record_load(workspace->record, cursor->last_since_id, status != CURSOR_DAMAGED, &start);
    bool opened = !start.failed;
    if (!opened)
        snprintf(problem, problem_size, "%s", start.problem);
    if (start.set_aside)
        log_error(id, "%s; it was moved to %s.damaged-…, and a fresh ledger begins: which messages were answered is known "
                      "from the cursor alone, one under way at the end may be answered again", start.set_aside, path);
    if (opened && status == CURSOR_DAMAGED)
        opened = recover_cursor(workspace, what, start.cursor, problem, problem_size);
    if (start.taken_over)
        log_info(id, "another client moved the cursor since this one ran last; what it passed counts as answered elsewhere");
    if (opened) {
        json_t *last_poll = json_object_get(cursor->members, "last_poll_ms");
        int64_t polled = json_integer_value(last_poll);
        workspace->saver.saved = status == CURSOR_DAMAGED ? NULL : memory_copy_text(cursor->last_since_id);
        poller_open(workspace, cursor->last_since_id, start.anchor, start.last_poll_ms > polled ? start.last_poll_ms : polled);
        if (start.open_count > 0)
            log_info(id, "%zu messages of an earlier run go on", start.open_count);
    }
    while (start.open) {
        struct record_loaded *loaded = start.open;
        start.open = loaded->next;
        if (opened)
            workspace_resume(workspace, loaded, false);
        else
            record_loaded_free(loaded);
    }
    free(start.cursor);
    free(start.anchor);
    free(start.set_aside);
    free(path);
    return opened;
}

/* The directory, the lock, the cursor, the ledger. Blocks on the disk: nothing runs yet. */
static bool open_state(struct workspace *workspace, char *problem, size_t problem_size)
{
    const struct workspace_settings *settings = &workspace->settings;
    if (!atomic_file_make_directory(settings->state_directory, problem, problem_size))
        return false;
    char *lock = state_path(settings, "lock");
    workspace->lock = lock_take(lock, problem, problem_size);
    free(lock);
    if (workspace->lock < 0)
        return false;
    char *path = state_path(settings, "json"), what[512];
    atomic_file_sweep(path);
    if (settings->reset_state) {
        char *aside = memory_format("%s.reset", path);
        int error = rename(path, aside) == 0 ? 0 : errno;
        if (error == 0)
            log_info(settings->id, "state: starting afresh; the old file is %s", aside);
        else if (error != ENOENT)
            snprintf(problem, problem_size, "--reset-state: cannot move %s to %s: %s", path, aside, strerror(error));
        free(aside);
        if (error != 0 && error != ENOENT) {
            free(path);
            return false;
        }
    }
    enum cursor_status status = cursor_load(&workspace->saver.cursor, path, settings->id, what, sizeof what);
    free(path);
    return open_record(workspace, status, what, problem, problem_size);
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
    if (!open_state(workspace, problem, problem_size))
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
    inbox_each(workspace->inbox, free_reply);
    token_close(workspace);
    inbox_close(workspace->inbox);
    platform_close(&workspace->platform);
    json_decref(workspace->skills);
    free(workspace->name);
    free(workspace->description);
    if (workspace->lock >= 0)
        close(workspace->lock);
}
