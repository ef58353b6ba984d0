/* The life of a message: its handler is started, its outcome applied and recorded, its reply handed
 * to the outbox. No step happens until the previous one is recorded (host/journal.h). */
#include "host/workspace.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/shell.h"
#include "host/breaker.h"
#include "host/observer.h"
#include "host/running.h"
#include "host/host_calls.h"
#include "host/transcript.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRIES_AT_ONCE 3 /* then molecule.retry {after = 0} waits, too */
#define RETRY_LEAST_MS 100
#define FAILURE_BASE_MS 500 /* between the attempts of a message whose handler fails */
#define FAILURE_CAP_MS 60000
#define EXCUSED_SAY 3           /* every so many times */
#define UNCOUNTED_AGAIN_MS 1000 /* after an attempt that could not be counted */
/* who must wait longer is kept in the ledger, and the cursor passes */
#define KEEP_AFTER_MS 30000

struct attempt {
    struct script_job job; /* first */
    struct workspace *workspace;
    struct inbox_entry *entry;
    int64_t started_ms;
    bool large;        /* its message is parsed for the attempt alone */
    char problem[512]; /* why the attempt could not be counted */
};

const char *workspace_sender(const struct inbox_entry *entry)
{
    return entry->message->source_id ? entry->message->source_id : "the canvas";
}

static int64_t failure_delay(unsigned failures)
{
    struct retry_backoff backoff = {.base_ms = FAILURE_BASE_MS,
                                    .cap_ms = FAILURE_CAP_MS,
                                    .failures = failures > 0 ? failures - 1 : 0};
    return retry_next_delay(&backoff, 0, host_random());
}

size_t workspace_message_maximum(const struct workspace *workspace)
{
    return workspace->poller.numbered ? REPLY_BODY_MAXIMUM_LATEST : REPLY_BODY_MAXIMUM;
}

void workspace_fit(const struct workspace *workspace, struct reply *reply)
{
    reply->maximum = workspace_message_maximum(workspace);
    reply->cut_summary = !workspace->poller.numbered;
}

bool workspace_expired(const struct workspace *workspace, const struct inbox_entry *entry)
{
    return workspace->settings.reply_ttl_ms > 0 &&
           clock_awake_ms() - entry->awake_from_ms > workspace->settings.reply_ttl_ms;
}

void workspace_free_reply(struct inbox_entry *entry)
{
    struct stored_reply *stored = entry->context;
    if (!stored)
        return;
    reply_request_free(&stored->request);
    free(stored);
    entry->context = NULL;
}

void workspace_changes_stand(struct workspace *workspace, struct inbox_entry *entry)
{
    struct changes *changes = entry->changes;
    entry->changes = NULL;
    if (changes && !workspace_over(workspace)) {
        script_unlock(workspace->script, changes->locks);
        for (size_t i = 0; i < changes->upload_count; i++)
            host_calls_acknowledge(workspace, changes->uploads[i]);
    }
    changes_free(changes);
}

/* The handler's outcome turned out to be a failure. */
static void drop_changes(struct workspace *workspace, struct inbox_entry *entry)
{
    struct changes *changes = entry->changes;
    entry->changes = NULL;
    if (changes)
        script_unlock(workspace->script, changes->locks);
    changes_free(changes);
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
    workspace_free_reply(entry);
    struct inbox_entry *parked = inbox_parked_behind(entry);
    inbox_finish(workspace->inbox, entry);
    if (workspace_over(workspace))
        return;
    if (parked)
        outbox_go_on(workspace, parked);
    host_calls_go_on(workspace);
    saver_request(workspace);
    poller_resume(workspace);
    workspace_step(workspace);
}

static void note_outcome(struct workspace *workspace, struct inbox_entry *entry,
                         const char *outcome, const char *reason)
{
    observer_finished(workspace, entry, outcome, reason);
    transcript_write(workspace, entry, outcome, reason);
}

static void finish(struct workspace *workspace, struct inbox_entry *entry, const char *outcome,
                   const char *reason)
{
    note_outcome(workspace, entry, outcome, reason);
    journal_finish(workspace->journal, entry, outcome, false, on_finished, NULL);
}

void workspace_finish(struct workspace *workspace, struct inbox_entry *entry, const char *outcome)
{
    finish(workspace, entry, outcome, NULL);
}

void workspace_replied(struct workspace *workspace, struct inbox_entry *entry)
{
    note_outcome(workspace, entry, "replied", NULL);
    inbox_settle(workspace->inbox, entry);
    journal_finish(workspace->journal, entry, "replied", !inbox_is_followed(entry), on_finished,
                   NULL);
}

/* Commands that work as they stand. */
static void say_what_next(const struct workspace *workspace, const struct inbox_entry *entry)
{
    if (workspace->settings.temporary_state)
        return;
    const char *id = workspace->settings.id;
    char *directory = shell_word(workspace->state_path), *row_id = shell_word(entry->row_id);
    log_info(id,
             "to see the dead letter: molecule dead show %s %s --state-dir %s\nto hand it to the "
             "script again: molecule dead "
             "retry %s %s --state-dir %s",
             id, row_id, directory, id, row_id, directory);
    free(row_id);
    free(directory);
}

void workspace_dead(struct workspace *workspace, struct inbox_entry *entry, const char *reason,
                    const char *traceback)
{
    workspace->dead++;
    say_what_next(workspace, entry);
    note_outcome(workspace, entry, "dead", reason);
    journal_dead(workspace->journal, entry, reason, traceback, on_finished, NULL);
}

static void on_reply_recorded(struct workspace *workspace, struct inbox_entry *entry, void *context)
{
    (void)context;
    if (workspace_over(workspace)) /* the next start posts it */
        return;
    outbox_post(workspace, entry);
    workspace_dispatch(workspace); /* the next of its conversation */
}

/* The reply is stored before it is posted. `dead_reason`: it tells the sender that the message was
 * given up. */
static void store_reply(struct workspace *workspace, struct inbox_entry *entry, struct reply *reply,
                        const char *purpose, const char *dead_reason, const char *traceback)
{
    workspace_fit(workspace, reply);
    struct stored_reply *stored = memory_allocate(sizeof *stored);
    char problem[512];
    inbox_post(workspace->inbox, entry);
    if (!reply_build(entry->message, reply, purpose, &stored->request, problem, sizeof problem)) {
        free(stored);
        drop_changes(workspace, entry);
        log_error(workspace->settings.id,
                  "message %s from %s is set aside as a dead letter: its reply cannot be sent: %s",
                  entry->row_id, workspace_sender(entry), problem);
        workspace_dead(workspace, entry, dead_reason ? dead_reason : problem, traceback);
        return;
    }
    entry->context = stored;
    if (dead_reason) {
        workspace->dead++;
        say_what_next(workspace, entry);
    }
    struct journal_reply recorded = {.request = &stored->request,
                                     .dead_after_reply = dead_reason != NULL,
                                     .reason = dead_reason,
                                     .traceback = traceback,
                                     .soon = inbox_has_sent(entry)};
    journal_reply(workspace->journal, entry, &recorded, on_reply_recorded, NULL);
}

/* Given up: a dead letter, and a word to its sender if the operator wants one. */
static void give_up(struct workspace *workspace, struct inbox_entry *entry, const char *reason,
                    const char *traceback)
{
    if (workspace->settings.error_reply && !entry->message->unanswerable) {
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
    workspace_step(workspace);
}

/* Again in `delay_ms`. A long wait is the ledger's: the cursor passes the message. */
static void try_later(struct workspace *workspace, struct inbox_entry *entry, int64_t delay_ms,
                      bool hold, const char *reason)
{
    struct wait *wait = memory_allocate(sizeof *wait);
    observer_later(workspace, entry, delay_ms, reason);
    wait->at_ms = clock_monotonic_ms() + delay_ms;
    wait->hold = hold;
    wait->kept = delay_ms >= KEEP_AFTER_MS || entry->kept;
    inbox_post(workspace->inbox, entry);
    if (wait->kept)
        journal_keep(workspace->journal, entry, clock_steady_ms() + delay_ms, hold, reason,
                     on_wait_recorded, wait);
    else
        journal_wait(workspace->journal, entry, on_wait_recorded, wait);
}

void workspace_keep(struct workspace *workspace, struct inbox_entry *entry, int64_t delay_ms,
                    const char *reason)
{
    struct wait *wait = memory_allocate(sizeof *wait);
    wait->at_ms = clock_monotonic_ms() + delay_ms;
    wait->hold = !entry->aside || delay_ms == 0;
    wait->kept = true;
    inbox_post(workspace->inbox, entry);
    journal_keep(workspace->journal, entry, clock_steady_ms() + delay_ms, wait->hold, reason,
                 on_wait_recorded, wait);
}

static void handler_failed(struct workspace *workspace, struct inbox_entry *entry,
                           const struct script_outcome *outcome)
{
    const char *id = workspace->settings.id;
    const char *reason = outcome->reason ? outcome->reason : "it failed";
    unsigned maximum = workspace->settings.max_attempts;
    heartbeat_record(workspace, reason);
    entry->failures++;
    if (outcome->hopeless)
        maximum = entry->failures;
    if (entry->failures >= maximum) {
        log_error(id,
                  "message %s from %s: the handler failed (attempt %u of %u): %s%s%s\nthe message "
                  "is set aside as a "
                  "dead letter; the inbox continues",
                  entry->row_id, workspace_sender(entry), entry->failures, maximum, reason,
                  outcome->traceback ? "\n" : "", outcome->traceback ? outcome->traceback : "");
        give_up(workspace, entry, reason, outcome->traceback);
        return;
    }
    int64_t delay = failure_delay(entry->failures);
    log_warn(id,
             "message %s from %s: the handler failed (attempt %u of %u, again in %.1f s): %s%s%s",
             entry->row_id, workspace_sender(entry), entry->failures, maximum, (double)delay / 1000,
             reason, outcome->traceback ? "\n" : "", outcome->traceback ? outcome->traceback : "");
    try_later(workspace, entry, delay, true, reason);
}

static void handler_retries(struct workspace *workspace, struct inbox_entry *entry,
                            const struct script_outcome *outcome)
{
    int64_t delay = outcome->retry_after_ms >= 0 ? outcome->retry_after_ms
                                                 : failure_delay(entry->attempts);
    if (delay < RETRY_LEAST_MS && entry->attempts > RETRIES_AT_ONCE)
        delay = RETRY_LEAST_MS;
    const char *reason = outcome->reason ? outcome->reason : "the script asked for a retry";
    if (workspace_expired(workspace, entry)) {
        log_error(workspace->settings.id,
                  "message %s from %s is set aside as a dead letter: still no outcome after "
                  "--reply-ttl: %s",
                  entry->row_id, workspace_sender(entry), reason);
        give_up(workspace, entry, reason, NULL);
        return;
    }
    log_info(workspace->settings.id, "message %s from %s: retry in %.1f s%s%s", entry->row_id,
             workspace_sender(entry), (double)delay / 1000, outcome->reason ? ": " : "",
             outcome->reason ? outcome->reason : "");
    try_later(workspace, entry, delay, outcome->hold, reason);
}

/* It was ended for no fault of its own: by the Lua state being replaced, or the script not loading.
 * Not counted, but what it did until then is done again, so it does not come at once each time. */
static void handler_excused(struct workspace *workspace, struct inbox_entry *entry,
                            const struct script_outcome *outcome)
{
    const char *id = workspace->settings.id,
               *reason = outcome->reason ? outcome->reason : "it was ended";
    int64_t wait = outcome->retry_after_ms > 0 ? outcome->retry_after_ms
                   : entry->excused > 0        ? failure_delay(entry->excused)
                                               : 0;
    if (workspace_expired(workspace, entry)) {
        log_error(id,
                  "message %s from %s is set aside as a dead letter: still no outcome after "
                  "--reply-ttl: %s",
                  entry->row_id, workspace_sender(entry), reason);
        give_up(workspace, entry, reason, NULL);
        return;
    }
    if (outcome->retry_after_ms > 0)
        heartbeat_record(workspace, reason);
    else if (++entry->excused % EXCUSED_SAY == 0)
        log_warn(id, "message %s from %s: restarted %u times through no fault of its own: %s",
                 entry->row_id, workspace_sender(entry), entry->excused, reason);
    log_debug(id, "message %s from %s: runs again in %lld ms: %s", entry->row_id,
              workspace_sender(entry), (long long)wait, reason);
    inbox_retry(workspace->inbox, entry, clock_monotonic_ms() + wait, true, false);
}

static void apply_outcome(struct workspace *workspace, struct inbox_entry *entry,
                          struct script_outcome *outcome, int64_t took_ms)
{
    const char *id = workspace->settings.id;
    entry->changes = outcome->changes;
    outcome->changes = NULL;
    if (outcome->kind != SCRIPT_AGAIN && workspace->uncounted[0]) {
        log_info(id, "state: attempts can be counted again");
        workspace->uncounted[0] = '\0';
    }
    if (outcome->kind != SCRIPT_FAILED && outcome->kind != SCRIPT_AGAIN) {
        heartbeat_record(workspace, NULL);
        settle_suspect(workspace, entry);
    }
    switch (outcome->kind) {
    case SCRIPT_REPLIED:
        if (entry->message->unanswerable) {
            log_info(id,
                     "message %s: no_reply: what its handler returned would reach nobody, as this "
                     "is the result of a delegation",
                     entry->row_id);
            inbox_post(workspace->inbox, entry);
            workspace_finish(workspace, entry, script_outcome_text(SCRIPT_NO_REPLY));
            return;
        }
        log_debug(id, "message %s from %s: handled in %lld ms", entry->row_id,
                  workspace_sender(entry), (long long)took_ms);
        store_reply(workspace, entry, &outcome->reply, "/reply", NULL, NULL);
        return;
    case SCRIPT_NO_REPLY:
    case SCRIPT_SKIPPED:
        log_info(id, "message %s from %s: %s%s%s", entry->row_id, workspace_sender(entry),
                 script_outcome_text(outcome->kind), outcome->reason ? ": " : "",
                 outcome->reason ? outcome->reason : "");
        inbox_post(workspace->inbox, entry);
        finish(workspace, entry, script_outcome_text(outcome->kind), outcome->reason);
        return;
    case SCRIPT_CANCELED:
        log_info(id, "message %s from %s: canceled%s%s", entry->row_id, workspace_sender(entry),
                 outcome->reason ? ": " : "", outcome->reason ? outcome->reason : "");
        drop_changes(workspace, entry);
        inbox_post(workspace->inbox, entry);
        workspace_finish(workspace, entry, script_outcome_text(SCRIPT_CANCELED));
        return;
    case SCRIPT_RETRY: handler_retries(workspace, entry, outcome); return;
    case SCRIPT_DEAD:
        log_warn(id, "message %s from %s: dead letter%s%s", entry->row_id, workspace_sender(entry),
                 outcome->reason ? ": " : "", outcome->reason ? outcome->reason : "");
        inbox_post(workspace->inbox, entry);
        workspace_dead(workspace, entry,
                       outcome->reason ? outcome->reason : "dead-lettered by the script", NULL);
        return;
    case SCRIPT_FAILED: handler_failed(workspace, entry, outcome); return;
    case SCRIPT_AGAIN: handler_excused(workspace, entry, outcome); return;
    }
}

/* The disk is full, or gone: the handler was not run. */
static void could_not_count(struct workspace *workspace, struct attempt *attempt)
{
    if (!workspace->uncounted[0])
        log_error(workspace->settings.id,
                  "state: %s; nothing is handled or posted until it can be written again",
                  attempt->problem);
    snprintf(workspace->uncounted, sizeof workspace->uncounted, "%s", attempt->problem);
    heartbeat_record(workspace, attempt->problem);
    inbox_retry(workspace->inbox, attempt->entry, clock_monotonic_ms() + UNCOUNTED_AGAIN_MS, true,
                false);
}

static void on_handled(struct script_job *job)
{
    struct attempt *attempt = (struct attempt *)job;
    struct workspace *workspace = attempt->workspace;
    struct inbox_entry *entry = attempt->entry;
    bool over = workspace_over(workspace); /* the drain ran out: it runs again at the next start */
    entry->job = NULL;
    if (attempt->large)
        message_shed(entry->message); /* it has not, if it did not fit */
    running_leave(workspace, entry, !over && job->outcome.kind != SCRIPT_AGAIN);
    if (over)
        inbox_retry(workspace->inbox, entry, 0, true, false);
    else if (attempt->problem[0])
        could_not_count(workspace, attempt);
    else
        apply_outcome(workspace, entry, &job->outcome, clock_monotonic_ms() - attempt->started_ms);
    script_outcome_free(&job->outcome);
    free(attempt);
    workspace_step(workspace);
}

/* On the worker thread, in front of the handler. */
static bool on_starting(struct script_job *job)
{
    struct attempt *attempt = (struct attempt *)job;
    return running_mark(attempt->workspace->running, attempt->entry, attempt->problem,
                        sizeof attempt->problem);
}

static void start_handler(struct workspace *workspace, struct inbox_entry *entry)
{
    int64_t held_ms = breaker_wait(workspace, entry);
    if (held_ms > 0) {
        workspace_keep(workspace, entry, held_ms, "its peer is held (--breaker)");
        return;
    }
    inbox_start(workspace->inbox, entry);
    struct attempt *attempt = memory_allocate(sizeof *attempt);
    attempt->workspace = workspace;
    attempt->entry = entry;
    attempt->large = entry->message->shed;
    attempt->job.message = entry->message;
    attempt->job.row = (struct page_row){.bytes = entry->row, .length = entry->row_length};
    attempt->job.attempt = entry->attempts;
    attempt->job.redelivered = entry->attempts > 1;
    attempt->job.retries = entry->attempts - 1 > entry->failures
                               ? entry->attempts - 1 - entry->failures
                               : 0;
    attempt->job.starting = on_starting;
    attempt->job.done = on_handled;
    entry->job = &attempt->job;
    running_take(workspace->running, entry);
    attempt->started_ms = clock_monotonic_ms();
    script_submit(workspace->script, &attempt->job);
}

static void on_dispatch_timer(uv_timer_t *timer)
{
    workspace_dispatch(timer->data);
}

void workspace_dispatch(struct workspace *workspace)
{
    if (workspace->state != WORKSPACE_RUNNING || journal_problem(workspace->journal))
        return;
    naming_step(workspace);
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
        } else if (!workspace_screens_out(workspace, entry)) {
            start_handler(workspace, entry);
        }
    }
    if (wait_ms >= 0)
        workspace_arm(&workspace->dispatch_timer, on_dispatch_timer, wait_ms);
    heartbeat_changed(workspace);
    if (inbox_running(workspace->inbox) > 0 || workspace->naming)
        watchdog_start(workspace);
}
