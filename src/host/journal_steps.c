/* What is written of a message at each step of its way. */
#include "host/journal_operation.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/shared.h"
#include "base/uuid.h"
#include "host/workspace.h"
#include "wire/repair.h"

#include <string.h>

static void deliver_entry(struct operation *operation)
{
    if (operation->then)
        operation->then(operation->journal->workspace, operation->entry, operation->context);
}

/* What the ledger keeps of an entry, which may change while the disk thread writes. */
static struct ledger_message describe(const struct inbox_entry *entry)
{
    return (struct ledger_message){
        .row_id = memory_copy_text(entry->row_id),
        .row = shared_take(entry->row),
        .row_length = entry->row_length,
        .attempts = entry->attempts,
        .failures = entry->failures,
        .source = memory_copy_text(
            entry->message && entry->message->source_id ? entry->message->source_id : "canvas"),
        .created_at = memory_copy_text(entry->stamp),
        .first_seen_ms = entry->first_seen_ms,
        .age_ms = clock_awake_ms() - entry->awake_from_ms,
    };
}

static struct operation *make_for_entry(struct journal *journal,
                                        bool (*perform)(struct operation *operation),
                                        struct inbox_entry *entry, journal_callback *then,
                                        void *context)
{
    struct operation *operation = journal_operation(journal, perform, deliver_entry);
    operation->entry = entry;
    operation->message = describe(entry);
    operation->then = then;
    operation->context = context;
    return operation;
}

/* What the handler stored becomes visible with this step. */
static struct operation *make_outcome(struct journal *journal,
                                      bool (*perform)(struct operation *operation),
                                      struct inbox_entry *entry, journal_callback *then,
                                      void *context)
{
    struct operation *operation = make_for_entry(journal, perform, entry, then, context);
    operation->settles = true;
    operation->changes = entry->changes;
    return operation;
}

/* What a script or the platform said, as the ledger may keep it and `molecule dead` can print it:
 * UTF-8, no token. */
static char *copy_words(const char *words)
{
    size_t length;
    char *copy = words ? repair_text(words, strlen(words), &length) : NULL;
    if (copy)
        log_redact(copy);
    return copy;
}

/* On the disk thread: the entry as it was, with the operation's own words. */
static struct ledger_message message_of(const struct operation *operation)
{
    struct ledger_message message = operation->message;
    message.reason = operation->text;
    message.traceback = operation->traceback;
    return message;
}

static bool perform_reply(struct operation *operation)
{
    struct ledger_message message = message_of(operation);
    const struct reply_request *request = operation->request;
    char digest[UUID_TEXT_SIZE];
    message.to_canvas = request->to_canvas;
    message.target = request->target;
    message.reply_id = request->id;
    message.body = request->body;
    message.body_length = request->body_length;
    message.dead_after_reply = operation->flag;
    if (request->to_canvas) {
        uuid_of_name(request->body, digest);
        message.digest = digest;
    }
    return ledger_reply(operation->journal->ledger, &message);
}

static void submit(struct operation *operation, bool soon)
{
    if (soon)
        journal_submit_soon(operation);
    else
        journal_submit(operation);
}

void journal_reply(struct journal *journal, struct inbox_entry *entry,
                   const struct journal_reply *reply, journal_callback *then, void *context)
{
    struct operation *operation = make_outcome(journal, perform_reply, entry, then, context);
    operation->request = reply->request;
    operation->flag = reply->dead_after_reply;
    operation->text = copy_words(reply->reason);
    operation->traceback = copy_words(reply->traceback);
    submit(operation, reply->soon);
}

static bool perform_finish(struct operation *operation)
{
    struct ledger_message message = message_of(operation);
    char digest[UUID_TEXT_SIZE];
    message.outcome = operation->text;
    if (operation->request && operation->request->to_canvas) {
        uuid_of_name(operation->request->body, digest);
        message.digest = digest;
    }
    operation->journal->finished++;
    return ledger_finish(operation->journal->ledger, &message);
}

void journal_finish(struct journal *journal, struct inbox_entry *entry, const char *outcome,
                    bool soon, journal_callback *then, void *context)
{
    struct operation *operation = make_outcome(journal, perform_finish, entry, then, context);
    const struct stored_reply *stored = entry->context;
    operation->text = memory_copy_text(outcome);
    operation->request = stored ? &stored->request : NULL;
    submit(operation, soon);
}

static bool perform_keep(struct operation *operation)
{
    struct ledger_message message = message_of(operation);
    message.due_ms = operation->number;
    message.hold = operation->flag;
    return ledger_keep(operation->journal->ledger, &message);
}

void journal_keep(struct journal *journal, struct inbox_entry *entry, int64_t due_ms, bool hold,
                  const char *reason, journal_callback *then, void *context)
{
    struct operation *operation = make_outcome(journal, perform_keep, entry, then, context);
    operation->number = due_ms;
    operation->flag = hold;
    operation->text = copy_words(reason);
    operation->durable = true; /* the cursor will pass it */
    journal_submit(operation);
}

static bool perform_keep_running(struct operation *operation)
{
    struct ledger_message message = message_of(operation);
    message.hold = true;
    return ledger_keep(operation->journal->ledger, &message);
}

void journal_keep_running(struct journal *journal, struct inbox_entry *entry, const char *reason,
                          journal_callback *then)
{
    struct operation *operation = make_for_entry(journal, perform_keep_running, entry, then, NULL);
    operation->message.attempts--; /* the one under way is not over */
    operation->text = copy_words(reason);
    operation->durable = true;
    journal_submit(operation);
}

static bool perform_wait(struct operation *operation)
{
    struct ledger_message message = message_of(operation);
    return ledger_wait(operation->journal->ledger, &message);
}

void journal_wait(struct journal *journal, struct inbox_entry *entry, journal_callback *then,
                  void *context)
{
    journal_submit(make_outcome(journal, perform_wait, entry, then, context));
}

static bool perform_dead(struct operation *operation)
{
    struct ledger_message message = message_of(operation);
    return ledger_die(operation->journal->ledger, &message);
}

void journal_dead(struct journal *journal, struct inbox_entry *entry, const char *reason,
                  const char *traceback, journal_callback *then, void *context)
{
    struct operation *operation = make_outcome(journal, perform_dead, entry, then, context);
    operation->text = copy_words(reason);
    operation->traceback = copy_words(traceback);
    journal_submit(operation);
}

static bool perform_count_same(struct operation *operation)
{
    operation->number = ledger_count_same(operation->journal->ledger, operation->text,
                                          operation->since_ms, operation->row_id);
    return operation->number >= 0;
}

static void deliver_number(struct operation *operation)
{
    operation->then_number(operation->context, operation->number);
}

void journal_count_same(struct journal *journal, const char *digest, const char *but_row_id,
                        int64_t since_ms, void (*counted)(void *context, int64_t count),
                        void *context)
{
    struct operation *operation = journal_operation(journal, perform_count_same, deliver_number);
    operation->text = memory_copy_text(digest);
    operation->row_id = memory_copy_text(but_row_id);
    operation->since_ms = since_ms;
    operation->then_number = counted;
    operation->reads = true;
    operation->context = context;
    journal_submit(operation);
}
