/* The ends of attempts, each recorded before anything follows from it. */
#include "messages/outcome_private.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/shell.h"
#include "journal/attempts.h"
#include "journal/journal.h"
#include "journal/transcript.h"
#include "link/link.h"
#include "messages/door.h"
#include "messages/spans.h"
#include "script/script.h"
#include "wire/artifacts.h"

#include <stdlib.h>
#include <string.h>

/* The entry as it is now, for the journal; with what its handler stored. */
static struct journal_step step_of(struct dispatch *dispatch, struct inbox_entry *entry,
                                   journal_callback *then)
{
    struct changes *changes = entry->changes;
    entry->changes = NULL;
    return (struct journal_step){
        .entry = entry,
        .names = entry->names,
        .row_id = entry->row_id,
        .created_at = entry->stamp,
        .source = entry->source,
        .row = entry->row,
        .row_length = entry->row_length,
        .attempts = entry->attempts,
        .failures = entry->failures,
        .retries = entry->retries,
        .first_seen_ms = entry->first_seen_ms,
        .age_ms = clock_awake_ms() - entry->awake_from_ms,
        .has_steps = entry->has_steps,
        .changes = changes,
        .then = then,
        .context = dispatch,
    };
}

/* What becomes of the task that it came with; NULL: it has none. */
static struct journal_task *task_of(struct dispatch *dispatch, const struct inbox_entry *entry,
                                    struct door_end end)
{
    const struct door *door = dispatch->door;
    end.said = entry->said;
    return door && entry->message && entry->message->served
               ? door->ends(door->context, entry->message, &end)
               : NULL;
}

void outcome_drop_changes(struct dispatch *dispatch, struct inbox_entry *entry)
{
    struct changes *changes = entry->changes;
    entry->changes = NULL;
    if (changes)
        script_unlock(dispatch->script, changes->locks);
    changes_free(changes);
}

void outcome_settle_suspect(struct dispatch *dispatch, struct inbox_entry *entry)
{
    if (!entry->suspect)
        return;
    entry->suspect = false;
    dispatch->suspects--;
}

static void settled(struct dispatch *dispatch)
{
    dispatch->events.settled(dispatch->context);
}

static void note_outcome(struct dispatch *dispatch, struct inbox_entry *entry, const char *outcome,
                         const char *reason, const char *traceback)
{
    const struct molecule_workspace_options *options = dispatch->link->options;
    entry->outcome = message_outcome_of(outcome);
    observer_finished(&dispatch->observer, entry, outcome, reason, traceback);
    if (!options->record_file || !entry->message || entry->message->run)
        return;
    struct transcript_line line = {.path = options->record_file,
                                   .workspace_id = options->id,
                                   .row_id = entry->row_id,
                                   .message = inbox_content(entry, options->id),
                                   .outcome = outcome,
                                   .reason = reason,
                                   .reply = entry->reply,
                                   .calls = entry->calls};
    transcript_write(dispatch->link->shared->disk, &line);
    free(entry->calls);
    entry->calls = NULL;
}

/* --- finished --- */

static void on_finished(struct inbox_entry *entry, void *context)
{
    struct dispatch *dispatch = context;
    struct question *answered = entry->answers;
    entry->answers = NULL;
    if (answered)
        questions_close(&dispatch->questions, answered);
    outcome_settle_suspect(dispatch, entry);
    struct inbox_entry *parked = inbox_parked_after(entry);
    if (dispatch->door && entry->message && entry->message->served)
        dispatch->door->ended(dispatch->door->context, entry->message);
    message_count_finished(&dispatch->counts, entry);
    span_message(dispatch->link->options->id, entry);
    inbox_finish(dispatch->inbox, entry);
    if (dispatch->link->over)
        return;
    if (parked)
        outbox_release(&dispatch->outbox, parked);
    host_calls_go_on(&dispatch->calls);
    settled(dispatch);
    dispatch->events.ended(dispatch->context);
}

/* From now on its questions can no longer be answered. */
static void forget_questions(struct dispatch *dispatch, const struct inbox_entry *entry)
{
    if (entry->has_steps)
        questions_forget(&dispatch->questions, entry->row_id);
}

void outcome_record_finish(struct dispatch *dispatch, struct inbox_entry *entry,
                           const char *outcome, const char *reason)
{
    check(entry->state == INBOX_RECORDING);
    note_outcome(dispatch, entry, outcome, reason, NULL);
    forget_questions(dispatch, entry);
    struct journal_step step = step_of(dispatch, entry, on_finished);
    step.task = task_of(dispatch, entry, (struct door_end){.outcome = outcome, .reason = reason});
    journal_finish(dispatch->journal, &step, outcome, entry->reply);
}

void outcome_finish(struct dispatch *dispatch, struct inbox_entry *entry, const char *outcome)
{
    inbox_start(dispatch->inbox, entry);
    inbox_record(dispatch->inbox, entry);
    outcome_record_finish(dispatch, entry, outcome, NULL);
}

void outcome_answer(struct dispatch *dispatch, struct inbox_entry *entry,
                    const struct question_answer *answer)
{
    struct question *question = answer->question;
    json_t *object = question_answer_value(answer, entry->message);
    char *value = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    char *key = memory_join(question->key, "/answer");
    struct journal_handler_step step = {
        .row_id = question->row_id, .key = key, .kind = "answer", .digest = "", .value = value};
    log_info(LOG_MESSAGE_ANSWER, inbox_subject(dispatch->link->options->id, entry, "answer"),
             "message %s from %s: the answer to question %s of message %s", entry->row_id,
             inbox_sender(entry), question->code, question->row_id);
    question->closing = true;
    entry->answers = question;
    inbox_start(dispatch->inbox, entry);
    inbox_record(dispatch->inbox, entry);
    char *reason = memory_join("the answer to question ", question->code);
    note_outcome(dispatch, entry, "answer", reason, NULL);
    free(reason);
    struct journal_step finish = step_of(dispatch, entry, on_finished);
    finish.answer = &step;
    finish.task = task_of(dispatch, entry, (struct door_end){.outcome = "answer"});
    journal_finish(dispatch->journal, &finish, "answer", NULL);
    free(key);
    free(value);
    json_decref(object);
}

void outcome_answered(void *context, struct inbox_entry *entry)
{
    struct dispatch *dispatch = context;
    log_info(LOG_MESSAGE_ANSWER, inbox_subject(dispatch->link->options->id, entry, "answer"),
             "message %s from %s: the answer to what a handler asked", entry->row_id,
             inbox_sender(entry));
    outcome_finish(dispatch, entry, "answer");
}

/* A handler that gets further each time is not at fault if it is interrupted often. */
void outcome_advanced(void *context, const char *row_id)
{
    struct dispatch *dispatch = context;
    struct inbox_entry *entry = inbox_find_running(dispatch->inbox, row_id);
    if (!entry)
        return;
    entry->has_steps = true;
    if (entry->failures == 0)
        return;
    entry->failures = 0;
    attempts_recount(dispatch->attempts, entry->place, row_id,
                     (struct attempt_counts){entry->attempts, 0});
}

/* --- dead --- */

/* Commands that work as they stand. */
static void say_what_next(const struct dispatch *dispatch, const struct inbox_entry *entry)
{
    if (!dispatch->state_path)
        return;
    const char *id = dispatch->link->options->id;
    char *directory = shell_word(dispatch->state_path), *row_id = shell_word(entry->row_id);
    log_info(LOG_MESSAGE_HINT, id,
             "to see the dead letter: molecule dead show %s %s --state-dir %s\n"
             "to hand it to the script again: molecule dead retry %s %s --state-dir %s",
             id, row_id, directory, id, row_id, directory);
    free(row_id);
    free(directory);
}

void outcome_record_dead(struct dispatch *dispatch, struct inbox_entry *entry, const char *reason,
                         const char *traceback)
{
    check(entry->state == INBOX_RECORDING || entry->state == INBOX_SETTLED);
    dispatch->dead++;
    say_what_next(dispatch, entry);
    note_outcome(dispatch, entry, "dead", reason, traceback);
    forget_questions(dispatch, entry);
    struct journal_step step = step_of(dispatch, entry, on_finished);
    step.task = task_of(dispatch, entry, (struct door_end){.outcome = "dead", .reason = reason});
    journal_dead(dispatch->journal, &step, reason, traceback);
}

void outcome_dead(struct dispatch *dispatch, struct inbox_entry *entry, const char *reason)
{
    inbox_start(dispatch->inbox, entry);
    inbox_record(dispatch->inbox, entry);
    outcome_record_dead(dispatch, entry, reason, NULL);
}

/* --- a reply --- */

static void on_reply_recorded(struct inbox_entry *entry, void *context)
{
    struct dispatch *dispatch = context;
    if (dispatch->link->over) /* the next start posts it */
        return;
    outbox_post(&dispatch->outbox, entry);
    dispatch_step(dispatch); /* the next one of its conversation */
}

/* Its task is where the reply goes: nothing has to be posted. */
static void finish_served(struct dispatch *dispatch, struct inbox_entry *entry,
                          const struct reply *reply)
{
    dispatch->answered++;
    observer_answer(&dispatch->observer, entry, reply);
    note_outcome(dispatch, entry, "replied", NULL, NULL);
    struct journal_step step = step_of(dispatch, entry, on_finished);
    step.task = task_of(dispatch, entry, (struct door_end){.outcome = "replied", .reply = reply});
    journal_finish(dispatch->journal, &step, "replied", NULL);
}

void outcome_store_reply(struct dispatch *dispatch, struct inbox_entry *entry, struct reply *reply,
                         const char *purpose, const char *dead_reason, const char *traceback)
{
    struct reply_request request = {0};
    char problem[512];
    struct message answered = *entry->message;
    if (entry->reply_to) {
        answered.message_id = entry->reply_to;
        answered.hops = entry->reply_hops;
    }
    link_fit_reply(dispatch->link, reply);
    inbox_record(dispatch->inbox, entry);
    forget_questions(dispatch, entry);
    const struct door *door = dispatch->door;
    if (door && entry->message->served && !door->late(door->context, entry->message)) {
        finish_served(dispatch, entry, reply);
        return;
    }
    artifacts_join(reply);
    char traceparent[TRACE_PARENT_SIZE];
    struct trace_context post;
    trace_below(&entry->trace, SPAN_POST, &post);
    trace_write(&post, traceparent);
    reply->traceparent = traceparent;
    bool built = reply_build(&answered, reply, purpose, &request, problem, sizeof problem);
    reply->traceparent = NULL;
    if (!built) {
        outcome_drop_changes(dispatch, entry);
        log_error(LOG_MESSAGE_DEAD, inbox_subject(dispatch->link->options->id, entry, "dead"),
                  "message %s from %s is set aside as a dead letter: its reply cannot be sent: %s",
                  entry->row_id, inbox_sender(entry), problem);
        outcome_record_dead(dispatch, entry, dead_reason ? dead_reason : problem, traceback);
        return;
    }
    check(!entry->reply); /* it would be answered twice */
    entry->reply = reply_request_share(&request);
    if (dead_reason) {
        entry->dead = true;
        dispatch->dead++;
        say_what_next(dispatch, entry);
    }
    struct journal_step step = step_of(dispatch, entry, on_reply_recorded);
    step.soon = inbox_has_sent(entry);
    journal_reply(dispatch->journal, &step, entry->reply, dead_reason, traceback);
}

static void on_replied(void *context, struct inbox_entry *entry)
{
    struct dispatch *dispatch = context;
    dispatch->answered++;
    note_outcome(dispatch, entry, "replied", NULL, NULL);
    inbox_settle(dispatch->inbox, entry);
    struct journal_step step = step_of(dispatch, entry, on_finished);
    step.soon = !inbox_is_followed(entry);
    step.task = task_of(dispatch, entry, (struct door_end){.outcome = "replied"});
    journal_finish(dispatch->journal, &step, "replied", entry->reply);
}

/* It is no longer on its way: nothing else may be recorded of it meanwhile. */
static void on_reply_failed(void *context, struct inbox_entry *entry, const char *reason)
{
    struct dispatch *dispatch = context;
    if (entry->state == INBOX_SENT)
        inbox_settle(dispatch->inbox, entry);
    outcome_record_dead(dispatch, entry, reason, NULL);
}

static void on_reply_deferred(struct inbox_entry *entry, void *context)
{
    struct dispatch *dispatch = context;
    if (!entry->post) /* the host is stopping */
        return;
    inbox_defer(dispatch->inbox, entry);
    outbox_go_on(entry);
    settled(dispatch);
}

static void on_reply_waits(void *context, struct inbox_entry *entry, int64_t delay_ms,
                           const char *reason)
{
    struct dispatch *dispatch = context;
    struct journal_step step = step_of(dispatch, entry, on_reply_deferred);
    journal_defer(dispatch->journal, &step, clock_steady_ms() + delay_ms, true, reason);
}

const struct outbox_events outcome_outbox_events = {
    .replied = on_replied, .failed = on_reply_failed, .defer = on_reply_waits};

/* --- another attempt --- */

static void on_wait_recorded(struct inbox_entry *entry, void *context)
{
    struct dispatch *dispatch = context;
    inbox_retry(dispatch->inbox, entry, entry->wait.until_ms, entry->wait.hold,
                !entry->wait.asleep);
    entry->asleep = entry->wait.asleep;
    entry->wait.asleep = false;
    if (entry->wait.defer) {
        outcome_settle_suspect(dispatch, entry);
        inbox_defer(dispatch->inbox, entry);
    }
    if (dispatch->link->over)
        return;
    if (entry->canceled)
        outcome_finish(dispatch, entry, script_outcome_text(SCRIPT_CANCELED));
    settled(dispatch);
    dispatch->events.ended(dispatch->context);
}

static void wait(struct dispatch *dispatch, struct inbox_entry *entry, int64_t delay_ms,
                 const char *reason)
{
    entry->wait.until_ms = clock_monotonic_ms() + delay_ms;
    inbox_record(dispatch->inbox, entry);
    struct journal_step step = step_of(dispatch, entry, on_wait_recorded);
    step.attempts -= entry->wait.asleep;
    if (entry->wait.defer)
        journal_defer(dispatch->journal, &step, clock_steady_ms() + delay_ms, entry->wait.hold,
                      reason);
    else
        journal_wait(dispatch->journal, &step);
}

/* A long wait is the ledger's: the cursor passes the message. */
void outcome_try_later(struct dispatch *dispatch, struct inbox_entry *entry, int64_t delay_ms,
                       bool hold, const char *reason)
{
    observer_later(&dispatch->observer, entry, delay_ms, reason);
    free(entry->calls); /* the next attempt's are recorded */
    entry->calls = NULL;
    entry->wait.hold = hold;
    entry->wait.defer = delay_ms >= DEFER_AFTER_MS || entry->deferred;
    wait(dispatch, entry, delay_ms, reason);
}

void outcome_sleep(struct dispatch *dispatch, struct inbox_entry *entry, int64_t delay_ms,
                   bool hold, const char *reason)
{
    entry->wait.asleep = true;
    outcome_try_later(dispatch, entry, delay_ms, hold, reason);
    entry->awake_from_ms += delay_ms; /* its age stands still meanwhile */
}

void outcome_defer(struct dispatch *dispatch, struct inbox_entry *entry, int64_t delay_ms,
                   const char *reason)
{
    entry->wait.hold = entry->state != INBOX_ASIDE || delay_ms == 0;
    entry->wait.defer = true;
    wait(dispatch, entry, delay_ms, reason);
}

static void on_blocked_deferred(struct inbox_entry *entry, void *context)
{
    struct dispatch *dispatch = context;
    entry->deferring = false;
    inbox_defer(dispatch->inbox, entry);
    if (!dispatch->link->over)
        settled(dispatch);
}

/* Its counts are those from before this attempt, and what the handler stores is left alone. */
static void defer_running(struct dispatch *dispatch, struct inbox_entry *entry, const char *reason)
{
    struct journal_step step = step_of(dispatch, entry, on_blocked_deferred);
    step.attempts--;
    journal_defer(dispatch->journal, &step, 0, true, reason);
}

bool outcome_defer_blocked(struct dispatch *dispatch, struct inbox_entry *entry, int64_t now_ms,
                           const char *reason)
{
    if (entry->state == INBOX_RECORDING || entry->state == INBOX_SETTLED)
        return false;
    if (entry->deferring)
        return true;
    entry->deferring = !inbox_is_waiting(entry);
    if (entry->state == INBOX_RUNNING) {
        defer_running(dispatch, entry, reason);
    } else if (inbox_is_waiting(entry)) {
        int64_t wait_ms = entry->not_before_ms - now_ms;
        outcome_defer(dispatch, entry, wait_ms > 0 ? wait_ms : 0, reason);
    } else { /* its reply is stored */
        struct journal_step step = step_of(dispatch, entry, on_blocked_deferred);
        journal_defer(dispatch->journal, &step, clock_steady_ms(), true, reason);
    }
    return true;
}
