#include "messages/intake.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/plural.h"
#include "base/shared.h"
#include "journal/attempts.h"
#include "journal/journal.h"
#include "link/poller.h"
#include "messages/cancel.h"
#include "messages/outcome.h"
#include "messages/spool.h"
#include "script/script.h"
#include "wire/served.h"

#include <stdio.h>
#include <stdlib.h>

#define NAMELESS_SAY_EVERY_MS 60000

static const char *id_of(const struct intake *intake)
{
    return intake->dispatch->link->options->id;
}

/* A row without an id comes with every poll until another follows it. */
static void say_nameless(struct intake *intake, const struct message *message)
{
    int64_t now = clock_monotonic_ms();
    if (intake->nameless_said_ms && now - intake->nameless_said_ms < NAMELESS_SAY_EVERY_MS)
        return;
    intake->nameless_said_ms = now;
    log_error(LOG_ROW_UNREADABLE, id_of(intake),
              "row without an id cannot be read and is set aside: %s; the inbox continues",
              message->problem ? message->problem : "?");
}

/* Echoes of what an earlier process told come before the inbox's end was first reached. */
static void look_at_echo(struct intake *intake, const struct message *message, bool newer)
{
    const char *text = message->echo;
    struct echoes *echoes = &intake->dispatch->echoes;
    if (text && !echoes_take(echoes, text) && newer && echoes_say(echoes, clock_monotonic_ms()))
        log_warn(LOG_SECOND_HOST, id_of(intake),
                 "the canvas was told something this host did not send: \"%.60s\" (row %s); if "
                 "another host serves this workspace, with another state directory or on another "
                 "machine, both answer every message: stop one of them",
                 text, message->row_id);
}

/* An earlier process ended while handling this message: that attempt counts, and the message runs
 * alone. true: that happened too often, and it was dead-lettered. */
static bool was_interrupted_too_often(struct intake *intake, struct inbox_entry *entry)
{
    struct dispatch *dispatch = intake->dispatch;
    const char *id = id_of(intake);
    struct attempt_counts counts = {entry->attempts, entry->failures};
    if (!attempts_interrupted(dispatch->attempts, entry->row_id, &counts))
        return false;
    entry->attempts = counts.attempts;
    entry->failures = counts.failures + 1; /* the attempt under way ended with its process */
    if (entry->failures < dispatch->link->options->max_attempts) {
        log_warn(LOG_MESSAGE_INTERRUPTED, inbox_subject(id, entry, NULL),
                 "message %s was being handled when an earlier process ended (attempt %u); it runs "
                 "again, alone",
                 entry->row_id, entry->attempts);
        dispatch_suspect(dispatch, entry);
        return false;
    }
    char reason[160];
    snprintf(reason, sizeof reason, "the process ended %u time%s while handling this message",
             entry->failures, plural(entry->failures));
    log_error(LOG_MESSAGE_DEAD, inbox_subject(id, entry, "dead"),
              "message %s is set aside as a dead letter: %s", entry->row_id, reason);
    attempts_forget(dispatch->attempts, entry->row_id);
    outcome_dead(dispatch, entry, reason);
    return true;
}

/* --- rows of a poll --- */

static struct inbox_entry *admit(struct intake *intake, struct message *message,
                                 const struct batch_row *row, bool in_order)
{
    struct inbox_entry *entry = inbox_admit(intake->dispatch->inbox, message, row->row, row->length,
                                            in_order);
    if (entry) {
        entry->first_seen_ms = clock_steady_ms();
        entry->awake_from_ms = clock_awake_ms();
    }
    return entry;
}

/* A question of a handler (ctx.ask). */
static bool answers(struct dispatch *dispatch, struct inbox_entry *entry)
{
    const char *id = dispatch->link->options->id;
    if (!dispatch->questions.first)
        return false;
    const struct message *message = inbox_content(entry, id);
    struct question_answer answer = questions_match(&dispatch->questions, message);
    if (answer.question)
        outcome_answer(dispatch, entry, &answer);
    else if (answer.hint)
        host_calls_say(&dispatch->calls, message, answer.hint, "/hint", false);
    free(answer.hint);
    return answer.question;
}

/* Decides about a row that was just admitted, and of which the ledger knows `state`. */
static void sort_out(struct intake *intake, struct inbox_entry *entry, enum ledger_state state,
                     bool in_order)
{
    struct dispatch *dispatch = intake->dispatch;
    const struct message *message = entry->message;
    enum envelope_kind kind = message->kind;
    const char *id = id_of(intake);
    bool counts = state == LEDGER_UNKNOWN &&
                  (kind == ENVELOPE_MESSAGE || kind == ENVELOPE_UNREADABLE);
    if (counts)
        message_count_received(&dispatch->counts, entry);
    bool may_cancel = state == LEDGER_UNKNOWN &&
                      (kind == ENVELOPE_MESSAGE || kind == ENVELOPE_EMPTY);
    if (may_cancel && cancel_carry_out(dispatch, message, in_order)) {
        if (!counts)
            message_count_received(&dispatch->counts, entry);
        /* recorded, so that it is not carried out again after a restart */
        outcome_finish(dispatch, entry, script_outcome_text(SCRIPT_CANCELED));
    } else if (state != LEDGER_UNKNOWN) {
        log_debug(LOG_ROW_KNOWN, inbox_subject(id, entry, NULL), "row %s is already known: %s",
                  entry->row_id, ledger_state_text(state));
        dispatch->counts.repeats_avoided += kind == ENVELOPE_MESSAGE;
        inbox_finish(dispatch->inbox, entry);
    } else if (kind == ENVELOPE_UNREADABLE) {
        const char *problem = message->problem ? message->problem : "it cannot be read";
        log_error(LOG_ROW_UNREADABLE, inbox_subject(id, entry, NULL),
                  "row %s cannot be read and is set aside: %s; the inbox continues", entry->row_id,
                  message->problem ? message->problem : "?");
        outcome_dead(dispatch, entry, problem);
    } else if (kind != ENVELOPE_MESSAGE) {
        log_debug(LOG_ROW_SKIPPED, inbox_subject(id, entry, NULL), "row %s skipped: %s",
                  entry->row_id, envelope_kind_text(kind));
        inbox_finish(dispatch->inbox, entry);
    } else if (!host_calls_take_answer(&dispatch->calls, entry) && !answers(dispatch, entry) &&
               !was_interrupted_too_often(intake, entry) && !in_order) {
        outcome_defer(dispatch, entry, 0, "it was committed late");
    }
}

static void take_row(struct intake *intake, struct batch_row *row, enum ledger_state state)
{
    const struct batch *batch = intake->batch;
    struct message *message = row->message;
    bool in_order = !batch->again;
    row->message = NULL;
    if (message->kind == ENVELOPE_ECHO)
        look_at_echo(intake, message, batch->newer);
    /* the inbox has forgotten it, but it is not new */
    if (!in_order && state != LEDGER_UNKNOWN) {
        message_free(message);
        return;
    }
    if (!message->row_id) {
        say_nameless(intake, message);
        message_free(message);
        return;
    }
    enum envelope_kind kind = message->kind;
    if (message->repaired && kind == ENVELOPE_MESSAGE)
        log_debug(LOG_ROW_REPAIRED, id_of(intake),
                  "row %s is not quite JSON; the script gets a repaired copy", message->row_id);
    struct inbox_entry *entry = admit(intake, message, row, in_order);
    if (!entry)
        return;
    /* a handler that an earlier process ended when it stopped may have left some */
    entry->has_steps = journal_had_steps(intake->dispatch->journal) && !batch->newer;
    if (!in_order)
        log_debug(LOG_ROW_LATE, inbox_subject(id_of(intake), entry, NULL), "row %s came late",
                  entry->row_id);
    if (in_order && kind == ENVELOPE_MESSAGE && state == LEDGER_UNKNOWN) {
        intake->found = true;
        event_stream_found(intake->poller->stream);
    }
    sort_out(intake, entry, state, in_order);
}

/* Rows come in the platform's order: the last one is the newest. */
static void note_newest(struct intake *intake)
{
    const struct batch *batch = intake->batch;
    size_t i = batch->count;
    while (i > 0 && !batch->rows[i - 1].message->created_at)
        i--;
    if (i > 0)
        questions_saw(&intake->dispatch->questions, batch->rows[i - 1].message->created_at,
                      batch->rows[i - 1].message->row_id);
}

/* Nothing that follows at once from a row closes the poller: what ends a workspace comes later. */
static void take_rows(struct intake *intake, const struct journal_known *known)
{
    struct dispatch *dispatch = intake->dispatch;
    struct batch *batch = intake->batch;
    size_t asked = 0;
    note_newest(intake);
    for (size_t i = 0; i < batch->count; i++) {
        struct batch_row *row = &batch->rows[i];
        enum ledger_state state = LEDGER_UNKNOWN;
        struct journal_loaded *loaded = NULL;
        if (known && intake->asked[i]) {
            state = known->states[asked];
            loaded = known->loaded[asked];
            known->loaded[asked++] = NULL;
        }
        if (loaded)
            intake_resume(intake, loaded, !batch->again);
        else
            take_row(intake, row, state);
        shared_release(row->row);
        row->row = NULL;
    }
    int64_t read_since_ms = batch->again || intake->poller->more ? 0 : intake->poller->began_ms;
    intake_cancel(intake);
    spool_follow(dispatch);
    poller_taken(intake->poller, intake->found);
    dispatch_step(dispatch);
    if (read_since_ms)
        host_calls_polled(&dispatch->calls, read_since_ms);
    dispatch->events.settled(dispatch->context);
}

static void on_known(void *context, struct journal_known *known)
{
    struct intake *intake = context;
    if (intake->batch)
        take_rows(intake, known);
}

/* What an earlier process finished is not handled again, whatever brings it back: the ledger knows.
 */
void intake_take(struct intake *intake, struct batch *batch)
{
    struct journal *journal = intake->dispatch->journal;
    size_t count = 0;
    check(!intake->batch);
    const char **ids = memory_allocate((batch->count + 1) * sizeof *ids);
    intake->batch = batch;
    intake->asked = memory_allocate((batch->count + 1) * sizeof *intake->asked);
    intake->found = false;
    /* only what comes after our cursor can be ours again; a window reaches before it */
    bool asks = journal_exists(journal) && !batch->newer;
    for (size_t i = 0; i < batch->count; i++) {
        const struct message *message = batch->rows[i].message;
        bool may_be_known = message->kind == ENVELOPE_MESSAGE ||
                            message->kind == ENVELOPE_UNREADABLE;
        intake->asked[i] = asks && message->row_id && may_be_known &&
                           !inbox_known(intake->dispatch->inbox, message->row_id);
        if (intake->asked[i])
            ids[count++] = message->row_id;
    }
    if (count == 0)
        take_rows(intake, NULL);
    else
        journal_known(journal, ids, count, !batch->window && !batch->again, on_known, intake);
    free(ids);
}

void intake_cancel(struct intake *intake)
{
    intake->batch = NULL;
    free(intake->asked);
    intake->asked = NULL;
}

/* --- what an earlier process left --- */

/* The question may have been answered otherwise meanwhile, or given up. */
static void resume_answer(struct intake *intake, struct inbox_entry *entry)
{
    struct dispatch *dispatch = intake->dispatch;
    const struct message *message = inbox_content(entry, id_of(intake));
    struct question_answer answer = questions_match_task(&dispatch->questions,
                                                         served_task_id(message), message->text);
    if (answer.question)
        outcome_answer(dispatch, entry, &answer);
    else
        outcome_finish(dispatch, entry, "answer");
    free(answer.hint);
}

/* A dead letter that someone retried, though it cannot be handled. */
static void resume_unreadable(struct intake *intake, struct inbox_entry *entry)
{
    const char *reason = entry->message->problem ? entry->message->problem
                                                 : envelope_kind_text(entry->message->kind);
    log_error(LOG_MESSAGE_DEAD, inbox_subject(id_of(intake), entry, "dead"),
              "message %s stays a dead letter: it cannot be handled: %s", entry->row_id, reason);
    outcome_dead(intake->dispatch, entry, reason);
}

/* What is left of a wait that an earlier process began. Never more than it was: the clock may have
 * been set back since. */
static int64_t left_ms(const struct journal_loaded *loaded)
{
    int64_t left = loaded->due_ms - clock_steady_ms(), whole = loaded->due_ms - loaded->updated_ms;
    return loaded->due_ms <= 0 || left <= 0 ? 0 : left < whole ? left : whole;
}

/* An earlier process's time that is ahead of ours says nothing: the message counts as seen first of
 * all. */
static int64_t seen_ms(const struct journal_loaded *loaded)
{
    return loaded->first_seen_ms <= clock_steady_ms() ? loaded->first_seen_ms : 0;
}

static void resume_reply(struct intake *intake, struct inbox_entry *entry,
                         struct journal_loaded *loaded)
{
    entry->reply = reply_request_share(&loaded->reply);
    entry->reply_restarted = true;
    log_debug(LOG_REPLY_RESUMED, inbox_subject(id_of(intake), entry, NULL),
              "message %s: its reply was stored by an earlier process and is posted",
              entry->row_id);
}

static void resume_entry(struct intake *intake, struct inbox_entry *entry,
                         struct journal_loaded *loaded)
{
    entry->attempts = loaded->attempts;
    entry->failures = loaded->failures;
    entry->retries = loaded->retries;
    entry->first_seen_ms = seen_ms(loaded);
    entry->awake_from_ms = clock_awake_ms() - loaded->age_ms;
    entry->has_steps = true; /* for all that is known here */
    const struct questions *questions = &intake->dispatch->questions;
    int64_t wait_ms = questions_any_turn(questions, entry->row_id) ? 0 : left_ms(loaded);
    entry->asleep = wait_ms > 0;
    if (wait_ms > 0) /* its handler may sleep for days: that is not the message's age */
        entry->awake_from_ms += wait_ms;
    if (wait_ms > 0)
        inbox_postpone(intake->dispatch->inbox, entry, clock_monotonic_ms() + wait_ms,
                       loaded->hold);
    if (entry->message->kind != ENVELOPE_MESSAGE)
        resume_unreadable(intake, entry);
    else if (entry->message->served && served_pushed(entry->message) && entry->attempts == 0 &&
             !loaded->reply.body &&
             (host_calls_take_answer(&intake->dispatch->calls, entry) ||
              answers(intake->dispatch, entry)))
        return;
    else if (entry->message->served && served_answers(entry->message))
        resume_answer(intake, entry);
    else if (loaded->reply.body)
        resume_reply(intake, entry, loaded);
    else
        was_interrupted_too_often(intake, entry);
}

void intake_resume(struct intake *intake, struct journal_loaded *loaded, bool moves_cursor)
{
    struct inbox *inbox = intake->dispatch->inbox;
    const char *bytes = shared_copy(loaded->row, loaded->row ? loaded->row_length : 0);
    struct page_row row = {.bytes = bytes, .length = loaded->row ? loaded->row_length : 0};
    struct message *message = ledger_row_read(row, id_of(intake));
    if (!message->row_id)
        message->row_id = memory_copy_text(loaded->row_id);
    message_shed_large(message, row);
    struct inbox_entry *entry = inbox_admit(inbox, message, bytes, row.length, moves_cursor);
    shared_release(bytes);
    if (entry) {
        message_count_received(&intake->dispatch->counts, entry);
        resume_entry(intake, entry, loaded);
        if (!moves_cursor)
            inbox_defer(inbox, entry);
    }
    journal_loaded_free(loaded);
}

void intake_take_pushed(struct intake *intake, struct journal_loaded *loaded)
{
    struct dispatch *dispatch = intake->dispatch;
    char *row_id = memory_copy_text(loaded->row_id);
    intake_resume(intake, loaded, false);
    struct inbox_entry *entry = inbox_find(dispatch->inbox, row_id);
    free(row_id);
    if (entry && inbox_is_waiting(entry) &&
        cancel_carry_out(dispatch, inbox_content(entry, id_of(intake)), true))
        outcome_finish(dispatch, entry, script_outcome_text(SCRIPT_CANCELED));
    dispatch_step(dispatch);
}

/* --- for the cursor file --- */

int64_t intake_covered_ms(const struct intake *intake, int64_t covered_ms)
{
    const struct inbox_entry *oldest = inbox_oldest_pending(intake->dispatch->inbox);
    if (!oldest || covered_ms == 0)
        return covered_ms;
    int64_t us, seen = oldest->first_seen_ms;
    int64_t created = oldest->stamp && clock_parse(oldest->stamp, &us) ? us / 1000 : 0;
    int64_t since = created > 0 && (seen == 0 || created < seen) ? created : seen;
    return since > 0 && since < covered_ms ? since : covered_ms;
}

/* Also those that came out of order and are on their way into the ledger. */
static void list_one(struct inbox_entry *entry, void *context)
{
    int64_t us;
    if (entry->message && (entry->message->run || entry->message->served)) /* the platform does not
                                                                              have it */
        return;
    if ((entry->deferred || !entry->moves_cursor) && entry->row_id)
        deferred_list_add(context, entry->row_id,
                          entry->stamp && clock_parse(entry->stamp, &us) ? us / 1000
                                                                         : entry->first_seen_ms);
}

json_t *intake_list_deferred(struct intake *intake, const struct deferred *left)
{
    struct deferred_list list = {0};
    deferred_list_add_left(&list, left);
    inbox_each(intake->dispatch->inbox, list_one, &list);
    return deferred_list_take(&list);
}
