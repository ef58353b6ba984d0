/* What is read back: what an earlier process left, what is known of a page, dead letters, counts.
 */
#include "host/journal_operation.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdlib.h>

void journal_loaded_free(struct journal_loaded *loaded)
{
    if (!loaded)
        return;
    free(loaded->row_id);
    free(loaded->row);
    free(loaded->created_at);
    reply_request_free(&loaded->reply);
    free(loaded);
}

struct journal_loaded *journal_copy_message(const struct ledger_message *message)
{
    struct journal_loaded *loaded = memory_allocate(sizeof *loaded);
    loaded->row_id = memory_copy_text(message->row_id);
    loaded->row = message->row ? memory_copy(message->row, message->row_length) : NULL;
    loaded->row_length = message->row_length;
    loaded->created_at = memory_copy_text(message->created_at);
    loaded->state = message->state;
    loaded->attempts = message->attempts;
    loaded->failures = message->failures;
    loaded->first_seen_ms = message->first_seen_ms;
    loaded->due_ms = message->due_ms;
    loaded->updated_ms = message->updated_ms;
    loaded->age_ms = message->age_ms;
    loaded->dead_after_reply = message->dead_after_reply;
    loaded->passed = message->passed;
    loaded->hold = message->hold;
    if (message->state == LEDGER_REPLIED && message->body) {
        loaded->reply.to_canvas = message->to_canvas;
        loaded->reply.target = memory_copy_text(message->target);
        loaded->reply.id = memory_copy_text(message->reply_id);
        loaded->reply.body = memory_copy(message->body, message->body_length);
        loaded->reply.body_length = message->body_length;
    }
    return loaded;
}

static bool load_one(const struct ledger_message *message, void *context)
{
    *(struct journal_loaded **)context = journal_copy_message(message);
    return false;
}

static bool perform_known(struct operation *operation)
{
    struct ledger *ledger = operation->journal->ledger;
    for (size_t i = 0; i < operation->known.count; i++) {
        enum ledger_state state = ledger_state_of(ledger, operation->ids[i]);
        if (state == LEDGER_UNREADABLE)
            return false;
        if (state == LEDGER_ELSEWHERE && operation->flag) {
            journal_loaded_free(operation->known.loaded[i]); /* of an attempt whose commit failed */
            operation->known.loaded[i] = NULL;
            if (!ledger_take_back(ledger, operation->ids[i]) ||
                !ledger_find(ledger, operation->ids[i], load_one, &operation->known.loaded[i]))
                return false;
        }
        operation->known.states[i] = state;
    }
    return true;
}

static void deliver_known(struct operation *operation)
{
    operation->then_known(operation->journal->workspace, &operation->known);
}

void journal_known(struct journal *journal, const char *const *row_ids, size_t count,
                   bool take_back,
                   void (*known)(struct workspace *workspace, struct journal_known *known))
{
    struct operation *operation = journal_operation(journal, perform_known, deliver_known);
    operation->flag = take_back;
    operation->then_known = known;
    operation->reads = true;
    operation->known.count = count;
    operation->ids = memory_allocate((count + 1) * sizeof *operation->ids);
    operation->known.states = memory_allocate((count + 1) * sizeof *operation->known.states);
    operation->known.loaded = memory_allocate((count + 1) * sizeof *operation->known.loaded);
    for (size_t i = 0; i < count; i++)
        operation->ids[i] = memory_copy_text(row_ids[i]);
    journal_submit(operation);
}

static bool perform_dead_letter(struct operation *operation)
{
    struct ledger *ledger = operation->journal->ledger;
    journal_loaded_free(operation->loaded);
    operation->loaded = NULL;
    if (operation->verb == RECORD_DEAD_DROP)
        return ledger_drop_dead(ledger, operation->row_id, &operation->flag);
    if (!ledger_retry_dead(ledger, operation->row_id, clock_steady_ms(), &operation->flag))
        return false;
    return !operation->flag || ledger_find(ledger, operation->row_id, load_one, &operation->loaded);
}

static void deliver_dead_letter(struct operation *operation)
{
    struct journal_loaded *loaded = operation->loaded;
    operation->loaded = NULL;
    operation->then_dead(operation->context, loaded, operation->flag);
}

void journal_dead_letter(struct journal *journal, enum journal_dead_verb verb, const char *row_id,
                         void (*done)(void *context, struct journal_loaded *loaded, bool found),
                         void *context)
{
    struct operation *operation = journal_operation(journal, perform_dead_letter,
                                                    deliver_dead_letter);
    operation->verb = verb;
    operation->row_id = memory_copy_text(row_id);
    operation->then_dead = done;
    operation->context = context;
    operation->durable = true;
    journal_submit(operation);
}

static bool perform_counts(struct operation *operation)
{
    return ledger_count(operation->journal->ledger, &operation->counts);
}

static void deliver_counts(struct operation *operation)
{
    operation->then_counts(operation->context, &operation->counts);
}

void journal_counts(struct journal *journal,
                    void (*counted)(void *context, const struct ledger_counts *counts),
                    void *context)
{
    struct operation *operation = journal_operation(journal, perform_counts, deliver_counts);
    operation->then_counts = counted;
    operation->reads = true;
    operation->context = context;
    journal_submit(operation);
}
