#include "messages/inbox_private.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/shared.h"
#include "wire/reply_request.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

static int compare_conversations(const void *left, const void *right)
{
    return strcmp(((const struct inbox_conversation *)left)->key,
                  ((const struct inbox_conversation *)right)->key);
}

struct inbox *inbox_open(size_t *total)
{
    struct inbox *inbox = memory_allocate(sizeof *inbox);
    inbox->total = total ? total : &inbox->own_total;
    inbox->named = UINT64_MAX;
    return inbox;
}

static void free_entry(struct inbox_entry *entry)
{
    message_free(entry->message);
    shared_release(entry->names);
    shared_release(entry->row);
    changes_free(entry->changes);
    free(entry->calls);
    free(entry->reply_to);
    reply_request_release(entry->reply);
    free(entry);
}

static void drop_conversation(struct inbox *inbox, struct inbox_conversation *conversation)
{
    tdelete(conversation, &inbox->conversation_tree, compare_conversations);
    if (conversation->previous)
        conversation->previous->next = conversation->next;
    else
        inbox->conversations = conversation->next;
    if (conversation->next)
        conversation->next->previous = conversation->previous;
    free((char *)conversation->key);
    free(conversation);
}

void inbox_close(struct inbox *inbox)
{
    if (!inbox)
        return;
    *inbox->total -= inbox->bytes + inbox->deferred_bytes;
    while (inbox->conversations) {
        struct inbox_entry *next;
        for (struct inbox_entry *entry = inbox->conversations->first; entry; entry = next) {
            next = entry->conversation_next;
            if (!entry->listed)
                free_entry(entry);
        }
        drop_conversation(inbox, inbox->conversations);
    }
    while (inbox->first) {
        struct inbox_entry *entry = inbox->first;
        inbox->first = entry->next;
        free_entry(entry);
    }
    known_ids_free(&inbox->known);
    free(inbox->watermark);
    free(inbox->watermark_stamp);
    free(inbox->reached);
    free(inbox->reached_stamp);
    free(inbox);
}

bool inbox_known(const struct inbox *inbox, const char *row_id)
{
    return known_ids_has(&inbox->known, row_id);
}

void inbox_forget(struct inbox *inbox, const char *row_id)
{
    known_ids_forget(&inbox->known, row_id);
}

struct inbox_conversation *inbox_conversation(struct inbox *inbox, const char *key)
{
    struct inbox_conversation wanted = {.key = key};
    struct inbox_conversation **found = tfind(&wanted, &inbox->conversation_tree,
                                              compare_conversations);
    if (found)
        return *found;
    struct inbox_conversation *made = memory_allocate(sizeof *made);
    made->key = memory_copy_text(key);
    made->next = inbox->conversations;
    if (inbox->conversations)
        inbox->conversations->previous = made;
    inbox->conversations = made;
    if (!tsearch(made, &inbox->conversation_tree, compare_conversations))
        abort(); /* no memory, as base/memory.h */
    return made;
}

void inbox_leave_conversation(struct inbox *inbox, struct inbox_entry *entry)
{
    struct inbox_conversation *conversation = entry->conversation;
    struct inbox_entry *previous = NULL;
    for (struct inbox_entry *each = conversation->first; each != entry;
         each = each->conversation_next)
        previous = each;
    if (previous)
        previous->conversation_next = entry->conversation_next;
    else
        conversation->first = entry->conversation_next;
    if (conversation->last == entry)
        conversation->last = previous;
    if (!conversation->first)
        drop_conversation(inbox, conversation);
    entry->conversation = NULL;
}

struct message *inbox_content(struct inbox_entry *entry, const char *self)
{
    message_restore(entry->message,
                    (struct page_row){.bytes = entry->row, .length = entry->row_length}, self);
    return entry->message;
}

const char *inbox_sender(const struct inbox_entry *entry)
{
    return entry->message->source_id ? entry->message->source_id : "the canvas";
}

struct log_subject inbox_subject(const char *workspace_id, const struct inbox_entry *entry,
                                 const char *outcome)
{
    return (struct log_subject){.workspace = workspace_id,
                                .row = entry->row_id,
                                .peer = entry->source,
                                .attempt = entry->attempts,
                                .trace_id = *entry->trace.trace_id ? entry->trace.trace_id : NULL,
                                .outcome = outcome};
}

struct inbox_entry *inbox_admit(struct inbox *inbox, struct message *message, const char *row,
                                size_t row_length, bool moves_cursor)
{
    if (message->row_id && !known_ids_add(&inbox->known, message->row_id)) {
        message_free(message);
        return NULL;
    }
    struct inbox_entry *entry = memory_allocate(sizeof *entry);
    entry->message = message;
    struct message_names names = message_take_names(message);
    entry->names = names.shared;
    entry->row_id = names.row_id;
    entry->stamp = names.created_at;
    trace_begin(message->traceparent, names.row_id ? names.row_id : "", &entry->trace,
                entry->trace_parent);
    entry->source = names.source_id ? names.source_id : "canvas";
    entry->row = shared_take(row);
    entry->row_length = row_length;
    entry->sequence = inbox->admitted++;
    entry->moves_cursor = moves_cursor && entry->row_id;
    entry->listed = true;
    entry->bytes = row_length + message->raw_length + message->text_length + 1024;
    entry->conversation = inbox_conversation(inbox,
                                             message->conversation ? message->conversation : "");
    if (entry->conversation->last)
        entry->conversation->last->conversation_next = entry;
    else
        entry->conversation->first = entry;
    entry->conversation->last = entry;
    if (inbox->last)
        inbox->last->next = entry;
    else
        inbox->first = entry;
    inbox->last = entry;
    entry->conversation->by_state[INBOX_WAITING]++;
    inbox->by_state[INBOX_WAITING]++;
    inbox->pending++;
    inbox->bytes += entry->bytes;
    *inbox->total += entry->bytes;
    return entry;
}

/* --- what is next --- */

bool inbox_is_waiting(const struct inbox_entry *entry)
{
    return entry->state == INBOX_WAITING || entry->state == INBOX_ASIDE;
}

/* One of them is handled, or its outcome is being recorded or parked. */
static bool is_busy(const struct inbox_conversation *conversation)
{
    const size_t *count = conversation->by_state;
    return count[INBOX_RUNNING] + count[INBOX_RECORDING] + count[INBOX_PARKED] > 0;
}

/* Of a conversation that is not busy: the entry that may run at `now_ms`, or when one may. */
static struct inbox_entry *ready_in(struct inbox_conversation *conversation, int64_t now_ms,
                                    int64_t *wait_ms)
{
    for (struct inbox_entry *entry = conversation->first; entry; entry = entry->conversation_next) {
        if (!inbox_is_waiting(entry))
            continue;
        int64_t wait = entry->not_before_ms - now_ms;
        if (wait <= 0)
            return entry;
        if (*wait_ms < 0 || wait < *wait_ms)
            *wait_ms = wait;
        if (entry->state == INBOX_WAITING)
            return NULL;
    }
    return NULL;
}

struct inbox_entry *inbox_next(struct inbox *inbox, int64_t now_ms, int64_t *wait_ms)
{
    struct inbox_entry *oldest = NULL;
    *wait_ms = -1;
    /* most often it is the very first one */
    if (inbox->first && inbox->deferred == 0 && inbox_is_waiting(inbox->first) &&
        inbox->first->sequence < inbox->named && !is_busy(inbox->first->conversation) &&
        ready_in(inbox->first->conversation, now_ms, wait_ms) == inbox->first)
        return inbox->first;
    *wait_ms = -1;
    for (struct inbox_conversation *each = inbox->conversations; each; each = each->next) {
        if (is_busy(each))
            continue;
        struct inbox_entry *entry = ready_in(each, now_ms, wait_ms);
        if (entry && entry->sequence < inbox->named &&
            (!oldest || entry->sequence < oldest->sequence))
            oldest = entry;
    }
    return oldest;
}

/* --- states --- */

#define TO(state) (1u << (state))

/* From each state, where an entry may go. docs/internals/states.md has the picture. */
static const unsigned edges[INBOX_STATES] = {
    [INBOX_WAITING] = TO(INBOX_RUNNING) | TO(INBOX_RECORDING) | TO(INBOX_FINISHED) |
                      TO(INBOX_WAITING) | TO(INBOX_ASIDE),
    [INBOX_ASIDE] = TO(INBOX_RUNNING) | TO(INBOX_RECORDING),
    [INBOX_RUNNING] = TO(INBOX_RECORDING) | TO(INBOX_WAITING) | TO(INBOX_ASIDE),
    [INBOX_RECORDING] = TO(INBOX_SENT) | TO(INBOX_PARKED) | TO(INBOX_WAITING) | TO(INBOX_ASIDE) |
                        TO(INBOX_FINISHED),
    [INBOX_PARKED] = TO(INBOX_SENT) | TO(INBOX_PARKED),
    [INBOX_SENT] = TO(INBOX_SETTLED) | TO(INBOX_FINISHED),
    [INBOX_SETTLED] = TO(INBOX_FINISHED),
    [INBOX_FINISHED] = 0,
};

static void go(struct inbox *inbox, struct inbox_entry *entry, enum inbox_state state)
{
    check(edges[entry->state] & TO(state));
    entry->conversation->by_state[entry->state]--;
    inbox->by_state[entry->state]--;
    entry->state = state;
    entry->conversation->by_state[state]++;
    inbox->by_state[state]++;
}

void inbox_start(struct inbox *inbox, struct inbox_entry *entry)
{
    go(inbox, entry, INBOX_RUNNING);
    entry->asleep = false;
    entry->attempts++;
}

void inbox_record(struct inbox *inbox, struct inbox_entry *entry)
{
    go(inbox, entry, INBOX_RECORDING);
}

bool inbox_send(struct inbox *inbox, struct inbox_entry *entry)
{
    check(entry->state == INBOX_RECORDING || entry->state == INBOX_PARKED);
    bool free_to_go = !inbox_has_unfinished_reply(entry);
    go(inbox, entry, free_to_go ? INBOX_SENT : INBOX_PARKED);
    return free_to_go;
}

void inbox_settle(struct inbox *inbox, struct inbox_entry *entry)
{
    go(inbox, entry, INBOX_SETTLED);
}

void inbox_retry(struct inbox *inbox, struct inbox_entry *entry, int64_t at_ms, bool hold,
                 bool counted)
{
    go(inbox, entry, hold ? INBOX_WAITING : INBOX_ASIDE);
    entry->not_before_ms = at_ms;
    if (!counted && entry->attempts > 0)
        entry->attempts--;
}

void inbox_postpone(struct inbox *inbox, struct inbox_entry *entry, int64_t at_ms, bool hold)
{
    check(entry->state == INBOX_WAITING);
    go(inbox, entry, hold ? INBOX_WAITING : INBOX_ASIDE);
    entry->not_before_ms = at_ms;
}

void inbox_wake(struct inbox_entry *entry, int64_t now_ms)
{
    bool waits = inbox_is_waiting(entry) && entry->asleep;
    bool will_wait = entry->state == INBOX_RECORDING && entry->wait.asleep;
    int64_t *until_ms = waits ? &entry->not_before_ms : will_wait ? &entry->wait.until_ms : NULL;
    if (!until_ms || *until_ms <= now_ms)
        return;
    entry->awake_from_ms -= *until_ms - now_ms; /* that time was added to it */
    *until_ms = now_ms;
}

struct inbox_entry *inbox_parked_after(const struct inbox_entry *entry)
{
    const struct inbox_conversation *conversation = entry->conversation;
    const size_t *count = conversation->by_state;
    if (count[INBOX_PARKED] == 0 || count[INBOX_SENT] + count[INBOX_SETTLED] > 1)
        return NULL;
    struct inbox_entry *parked = conversation->first;
    while (parked->state != INBOX_PARKED)
        parked = parked->conversation_next;
    return parked;
}

bool inbox_has_sent(const struct inbox_entry *entry)
{
    return entry->conversation->by_state[INBOX_SENT] > (entry->state == INBOX_SENT);
}

bool inbox_has_unfinished_reply(const struct inbox_entry *entry)
{
    const size_t *count = entry->conversation->by_state;
    return count[INBOX_SENT] + count[INBOX_SETTLED] >
           (entry->state == INBOX_SENT || entry->state == INBOX_SETTLED);
}

bool inbox_is_followed(const struct inbox_entry *entry)
{
    const size_t *count = entry->conversation->by_state;
    return count[INBOX_RECORDING] + count[INBOX_PARKED] >
           (entry->state == INBOX_RECORDING || entry->state == INBOX_PARKED);
}

/* --- the watermark --- */

static bool is_same_moment(const char *stamp, const char *other)
{
    return stamp && other && strcmp(stamp, other) == 0;
}

static void pass_reached(struct inbox *inbox)
{
    free(inbox->watermark);
    free(inbox->watermark_stamp);
    inbox->watermark = inbox->reached;
    inbox->watermark_stamp = inbox->reached_stamp;
    inbox->reached = inbox->reached_stamp = NULL;
}

/* Finished and deferred ones at the front let the watermark move, but not between two rows of one
 * microsecond: on T1 a cursor hides the later rows of its own. */
static void move_watermark(struct inbox *inbox)
{
    while (inbox->first && (inbox->first->state == INBOX_FINISHED || inbox->first->deferred)) {
        struct inbox_entry *done = inbox->first;
        inbox->first = done->next;
        if (!inbox->first)
            inbox->last = NULL;
        done->listed = false;
        done->next = NULL;
        if (done->moves_cursor) {
            if (inbox->reached && !is_same_moment(inbox->reached_stamp, done->stamp))
                pass_reached(inbox);
            free(inbox->reached);
            free(inbox->reached_stamp);
            inbox->reached = memory_copy_text(done->row_id);
            /* a deferred entry's own stamp may be on its way to the ledger */
            inbox->reached_stamp = memory_copy_text(done->stamp);
        }
        if (done->state == INBOX_FINISHED)
            free_entry(done);
    }
    if (inbox->reached &&
        !(inbox->first && is_same_moment(inbox->reached_stamp, inbox->first->stamp)))
        pass_reached(inbox);
}

void inbox_defer(struct inbox *inbox, struct inbox_entry *entry)
{
    check(entry->state != INBOX_FINISHED);
    if (entry->deferred)
        return;
    entry->deferred = true;
    inbox->deferred++;
    inbox->deferred_changes++;
    inbox->pending--;
    inbox->bytes -= entry->bytes;
    inbox->deferred_bytes += entry->bytes;
    move_watermark(inbox);
}

void inbox_finish(struct inbox *inbox, struct inbox_entry *entry)
{
    go(inbox, entry, INBOX_FINISHED);
    entry->conversation->by_state[INBOX_FINISHED]--;
    inbox->by_state[INBOX_FINISHED]--;
    inbox_leave_conversation(inbox, entry);
    if (entry->row_id)
        known_ids_finish(&inbox->known, entry->row_id);
    if (entry->deferred) {
        inbox->deferred--;
        inbox->deferred_changes++;
        inbox->deferred_bytes -= entry->bytes;
    } else {
        inbox->pending--;
        inbox->bytes -= entry->bytes;
    }
    *inbox->total -= entry->bytes;
    message_free(entry->message);
    entry->message = NULL;
    shared_release(entry->row);
    entry->row = NULL;
    reply_request_release(entry->reply);
    entry->reply = NULL;
    if (entry->listed)
        move_watermark(inbox);
    else
        free_entry(entry);
}

const char *inbox_watermark(const struct inbox *inbox)
{
    return inbox->watermark;
}

const char *inbox_watermark_stamp(const struct inbox *inbox)
{
    return inbox->watermark_stamp;
}
