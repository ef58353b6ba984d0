#include "messages/outcome_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "link/heartbeat.h"
#include "script/script.h"

#include <stdlib.h>
#include <string.h>

#define RETRIES_AT_ONCE 3 /* then molecule.retry {after = 0} waits, too */
#define RETRY_LEAST_MS 100
#define FAILURE_BASE_MS 500 /* between the attempts of a message whose handler fails */
#define FAILURE_CAP_MS 60000
#define EXCUSED_SAY 3 /* every this many times */

static int64_t failure_delay(unsigned failures)
{
    struct retry_backoff backoff = {.base_ms = FAILURE_BASE_MS,
                                    .cap_ms = FAILURE_CAP_MS,
                                    .failures = failures > 0 ? failures - 1 : 0};
    return retry_next_delay(&backoff, 0, random_number());
}

/* Given up: a dead letter, and a reply to its sender if the operator wants one. */
static void give_up(struct dispatch *dispatch, struct inbox_entry *entry, const char *reason,
                    const char *traceback)
{
    const char *words = dispatch->link->options->error_reply;
    if (words && !entry->message->unanswerable && !entry->message->served) {
        struct reply reply = {.text = (char *)words, .text_length = strlen(words)};
        outcome_store_reply(dispatch, entry, &reply, "/error", reason, traceback);
        return;
    }
    inbox_record(dispatch->inbox, entry);
    outcome_record_dead(dispatch, entry, reason, traceback);
}

/* For the status. Without tokens, before it is cut. */
static void note_failure(struct dispatch *dispatch, const struct inbox_entry *entry,
                         const char *reason)
{
    char *words = memory_copy_text(reason);
    log_redact(words);
    snprintf(dispatch->failed.row_id, sizeof dispatch->failed.row_id, "%s",
             entry->row_id ? entry->row_id : "");
    snprintf(dispatch->failed.reason, sizeof dispatch->failed.reason, "%s", words);
    dispatch->failed.at_ms = clock_wall_ms();
    free(words);
}

static void handler_failed(struct dispatch *dispatch, struct inbox_entry *entry,
                           const struct script_outcome *outcome)
{
    const char *id = dispatch->link->options->id;
    const char *reason = outcome->reason ? outcome->reason : "it failed";
    unsigned maximum = dispatch->link->options->max_attempts;
    heartbeat_record(dispatch->heartbeat, reason);
    note_failure(dispatch, entry, reason);
    entry->failures++;
    if (outcome->hopeless)
        maximum = entry->failures;
    if (entry->failures >= maximum) {
        log_error(LOG_MESSAGE_DEAD, inbox_subject(id, entry, "dead"),
                  "message %s from %s: the handler failed (attempt %u of %u): %s%s%s\nthe message "
                  "is set aside as a "
                  "dead letter; the inbox continues",
                  entry->row_id, inbox_sender(entry), entry->failures, maximum, reason,
                  outcome->traceback ? "\n" : "", outcome->traceback ? outcome->traceback : "");
        give_up(dispatch, entry, reason, outcome->traceback);
        return;
    }
    int64_t delay = failure_delay(entry->failures);
    log_warn(
        LOG_HANDLER_FAILED, inbox_subject(id, entry, NULL),
        "message %s from %s: the handler failed (attempt %u of %u, retrying in %.1f s): %s%s%s",
        entry->row_id, inbox_sender(entry), entry->failures, maximum, (double)delay / 1000, reason,
        outcome->traceback ? "\n" : "", outcome->traceback ? outcome->traceback : "");
    outcome_try_later(dispatch, entry, delay, true, reason);
}

/* One of the questions whose keys these are, a line each, has its answer, or can be posted now. */
static bool can_continue(const struct dispatch *dispatch, const char *row_id, const char *keys)
{
    const struct questions *questions = &dispatch->questions;
    bool waits = true;
    for (const char *at = keys; at && *at && waits;) {
        size_t length = strcspn(at, "\n");
        char *key = memory_copy(at, length);
        const struct question *question = questions_find(questions, row_id, key);
        waits = question && !(question->waits_turn && questions_may_post(questions, question));
        free(key);
        at += length + (at[length] == '\n');
    }
    return !waits;
}

/* ctx.sleep and ctx.ask: the next run is the same attempt, and the time until then is not the
 * message's age. */
static void handler_sleeps(struct dispatch *dispatch, struct inbox_entry *entry,
                           const struct script_outcome *outcome)
{
    log_debug(LOG_MESSAGE_RETRY, inbox_subject(dispatch->link->options->id, entry, NULL),
              "message %s from %s: %s", entry->row_id, inbox_sender(entry), outcome->reason);
    entry->has_steps = true;
    bool is_over = can_continue(dispatch, entry->row_id, outcome->asks);
    outcome_sleep(dispatch, entry, is_over ? 0 : outcome->retry_after_ms, outcome->hold,
                  outcome->reason);
}

static void handler_retries(struct dispatch *dispatch, struct inbox_entry *entry,
                            const struct script_outcome *outcome)
{
    int64_t delay = outcome->retry_after_ms >= 0 ? outcome->retry_after_ms
                                                 : failure_delay(entry->attempts);
    if (delay < RETRY_LEAST_MS && entry->attempts > RETRIES_AT_ONCE)
        delay = RETRY_LEAST_MS;
    const char *reason = outcome->reason ? outcome->reason : "the script asked for a retry";
    if (outbox_expired(dispatch->link, entry)) {
        log_error(LOG_MESSAGE_DEAD, inbox_subject(dispatch->link->options->id, entry, "dead"),
                  "message %s from %s is set aside as a dead letter: still no outcome after "
                  "--reply-ttl: %s",
                  entry->row_id, inbox_sender(entry), reason);
        give_up(dispatch, entry, reason, NULL);
        return;
    }
    log_info(LOG_MESSAGE_RETRY, inbox_subject(dispatch->link->options->id, entry, NULL),
             "message %s from %s: retry in %.1f s%s%s", entry->row_id, inbox_sender(entry),
             (double)delay / 1000, outcome->reason ? ": " : "",
             outcome->reason ? outcome->reason : "");
    entry->retries++;
    outcome_try_later(dispatch, entry, delay, outcome->hold, reason);
}

static void handler_gives_up(struct dispatch *dispatch, struct inbox_entry *entry,
                             const struct script_outcome *outcome)
{
    const char *reason = outcome->reason;
    log_warn(LOG_MESSAGE_DEAD, inbox_subject(dispatch->link->options->id, entry, "dead"),
             "message %s from %s: dead letter%s%s", entry->row_id, inbox_sender(entry),
             reason ? ": " : "", reason ? reason : "");
    entry->said = reason != NULL;
    inbox_record(dispatch->inbox, entry);
    outcome_record_dead(dispatch, entry, reason ? reason : "dead-lettered by the script", NULL);
}

/* Elsewhere than in a task the reason is the reply. */
static void handler_rejects(struct dispatch *dispatch, struct inbox_entry *entry,
                            const struct script_outcome *outcome)
{
    const char *reason = outcome->reason;
    const char *rejected = script_outcome_text(SCRIPT_REJECTED);
    bool replies = !entry->message->served && !entry->message->unanswerable && reason;
    log_info(LOG_MESSAGE_REJECTED,
             inbox_subject(dispatch->link->options->id, entry, replies ? NULL : rejected),
             "message %s from %s: %s%s%s", entry->row_id, inbox_sender(entry), rejected,
             reason ? ": " : "", reason ? reason : "");
    entry->said = true;
    if (!replies) {
        inbox_record(dispatch->inbox, entry);
        outcome_record_finish(dispatch, entry, rejected, reason);
        return;
    }
    struct reply reply = {.text = outcome->reason, .text_length = strlen(reason)};
    outcome_store_reply(dispatch, entry, &reply, "/reply", NULL, NULL);
}

static void handler_waits(struct dispatch *dispatch, struct inbox_entry *entry,
                          const struct script_outcome *outcome)
{
    if (outcome->asleep)
        handler_sleeps(dispatch, entry, outcome);
    else
        handler_retries(dispatch, entry, outcome);
}

/* It was ended through no fault of its own: the Lua state was replaced, or the script did not load.
 * Not counted, but what it did until then is done again, so it is delayed each time. */
static void handler_excused(struct dispatch *dispatch, struct inbox_entry *entry,
                            const struct script_outcome *outcome)
{
    const char *id = dispatch->link->options->id,
               *reason = outcome->reason ? outcome->reason : "it was ended";
    entry->has_steps = true; /* one may be on its way to the disk */
    int64_t wait = outcome->retry_after_ms > 0 ? outcome->retry_after_ms
                   : entry->excused > 0        ? failure_delay(entry->excused)
                                               : 0;
    if (outbox_expired(dispatch->link, entry)) {
        log_error(LOG_MESSAGE_DEAD, inbox_subject(id, entry, "dead"),
                  "message %s from %s is set aside as a dead letter: still no outcome after "
                  "--reply-ttl: %s",
                  entry->row_id, inbox_sender(entry), reason);
        give_up(dispatch, entry, reason, NULL);
        return;
    }
    if (outcome->retry_after_ms > 0)
        heartbeat_record(dispatch->heartbeat, reason);
    else if (++entry->excused % EXCUSED_SAY == 0)
        log_warn(LOG_MESSAGE_RESTARTED, inbox_subject(id, entry, NULL),
                 "message %s from %s: restarted %u times through no fault of its own: %s",
                 entry->row_id, inbox_sender(entry), entry->excused, reason);
    log_debug(LOG_MESSAGE_RETRY, inbox_subject(id, entry, NULL),
              "message %s from %s: retrying in %lld ms: %s", entry->row_id, inbox_sender(entry),
              (long long)wait, reason);
    inbox_retry(dispatch->inbox, entry, clock_monotonic_ms() + wait, true, false);
    if (entry->canceled)
        outcome_finish(dispatch, entry, script_outcome_text(SCRIPT_CANCELED));
}

void outcome_apply(struct dispatch *dispatch, struct inbox_entry *entry,
                   struct script_outcome *outcome, int64_t took_ms)
{
    const char *id = dispatch->link->options->id;
    entry->changes = outcome->changes;
    outcome->changes = NULL;
    free(entry->reply_to);
    entry->reply_to = outcome->reply_to;
    entry->reply_hops = outcome->reply_hops;
    outcome->reply_to = NULL;
    free(entry->calls);
    entry->calls = outcome->calls;
    outcome->calls = NULL;
    if (outcome->kind != SCRIPT_AGAIN && dispatch->uncounted[0]) {
        log_info(LOG_STATE_RECOVERED, id, "state: attempts can be counted again");
        dispatch->uncounted[0] = '\0';
    }
    if (outcome->kind != SCRIPT_FAILED && outcome->kind != SCRIPT_AGAIN) {
        heartbeat_record(dispatch->heartbeat, NULL);
        outcome_settle_suspect(dispatch, entry);
    }
    switch (outcome->kind) {
    case SCRIPT_REPLIED:
        if (entry->message->unanswerable) {
            log_info(LOG_MESSAGE_NO_REPLY,
                     inbox_subject(id, entry, script_outcome_text(SCRIPT_NO_REPLY)),
                     "message %s: no_reply: what its handler returned would reach nobody, because "
                     "this is the result of a delegation",
                     entry->row_id);
            inbox_record(dispatch->inbox, entry);
            outcome_record_finish(dispatch, entry, script_outcome_text(SCRIPT_NO_REPLY), NULL);
            return;
        }
        log_debug(LOG_MESSAGE_HANDLED, inbox_subject(id, entry, NULL),
                  "message %s from %s: handled in %lld ms", entry->row_id, inbox_sender(entry),
                  (long long)took_ms);
        outcome_store_reply(dispatch, entry, &outcome->reply, "/reply", NULL, NULL);
        return;
    case SCRIPT_NO_REPLY:
    case SCRIPT_SKIPPED:
        log_info(outcome->kind == SCRIPT_SKIPPED ? LOG_MESSAGE_SKIPPED : LOG_MESSAGE_NO_REPLY,
                 inbox_subject(id, entry, script_outcome_text(outcome->kind)),
                 "message %s from %s: %s%s%s", entry->row_id, inbox_sender(entry),
                 script_outcome_text(outcome->kind), outcome->reason ? ": " : "",
                 outcome->reason ? outcome->reason : "");
        inbox_record(dispatch->inbox, entry);
        outcome_record_finish(dispatch, entry, script_outcome_text(outcome->kind), outcome->reason);
        return;
    case SCRIPT_CANCELED:
        log_info(LOG_MESSAGE_CANCELED,
                 inbox_subject(id, entry, script_outcome_text(SCRIPT_CANCELED)),
                 "message %s from %s: canceled%s%s", entry->row_id, inbox_sender(entry),
                 outcome->reason ? ": " : "", outcome->reason ? outcome->reason : "");
        outcome_drop_changes(dispatch, entry);
        inbox_record(dispatch->inbox, entry);
        outcome_record_finish(dispatch, entry, script_outcome_text(SCRIPT_CANCELED), NULL);
        return;
    case SCRIPT_RETRY: handler_waits(dispatch, entry, outcome); return;
    case SCRIPT_REJECTED: handler_rejects(dispatch, entry, outcome); return;
    case SCRIPT_DEAD: handler_gives_up(dispatch, entry, outcome); return;
    case SCRIPT_FAILED: handler_failed(dispatch, entry, outcome); return;
    case SCRIPT_AGAIN: handler_excused(dispatch, entry, outcome); return;
    }
}
