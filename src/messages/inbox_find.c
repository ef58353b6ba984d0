/* Looking through the inbox, and how much is in it. */
#include "messages/inbox_private.h"

#include "wire/served.h"

#include <string.h>

void inbox_each(struct inbox *inbox, void (*each)(struct inbox_entry *entry, void *context),
                void *context)
{
    for (struct inbox_conversation *conversation = inbox->conversations; conversation;
         conversation = conversation->next)
        for (struct inbox_entry *entry = conversation->first; entry;
             entry = entry->conversation_next)
            each(entry, context);
}

void inbox_each_running(const struct inbox *inbox,
                        void (*each)(const struct inbox_entry *entry, void *context), void *context)
{
    for (const struct inbox_conversation *conversation = inbox->conversations; conversation;
         conversation = conversation->next)
        for (const struct inbox_entry *entry = conversation->first; entry;
             entry = entry->conversation_next)
            if (entry->state == INBOX_RUNNING)
                each(entry, context);
}

static bool is_blocked(const struct inbox_conversation *conversation, int64_t before_ms)
{
    return conversation->first->deferred || conversation->first->first_seen_ms < before_ms;
}

void inbox_each_blocked(struct inbox *inbox, int64_t before_ms,
                        bool (*each)(struct inbox_entry *entry, void *context), void *context)
{
    for (struct inbox_conversation *conversation = inbox->conversations; conversation;
         conversation = conversation->next) {
        bool goes_on = is_blocked(conversation, before_ms);
        for (struct inbox_entry *entry = conversation->first; entry && goes_on;
             entry = entry->conversation_next)
            goes_on = entry->deferred || each(entry, context);
    }
}

const struct inbox_entry *inbox_first_running(const struct inbox *inbox)
{
    if (inbox->by_state[INBOX_RUNNING] == 0)
        return NULL;
    for (const struct inbox_conversation *each = inbox->conversations; each; each = each->next)
        for (const struct inbox_entry *entry = each->by_state[INBOX_RUNNING] > 0 ? each->first
                                                                                 : NULL;
             entry; entry = entry->conversation_next)
            if (entry->state == INBOX_RUNNING)
                return entry;
    return NULL;
}

struct inbox_entry *inbox_find_running(const struct inbox *inbox, const char *row_id)
{
    for (const struct inbox_conversation *each = inbox->conversations; each; each = each->next)
        for (struct inbox_entry *entry = each->by_state[INBOX_RUNNING] > 0 ? each->first : NULL;
             entry; entry = entry->conversation_next)
            if (entry->state == INBOX_RUNNING && entry->row_id &&
                strcmp(entry->row_id, row_id) == 0)
                return entry;
    return NULL;
}

struct inbox_entry *inbox_find(const struct inbox *inbox, const char *row_id)
{
    for (const struct inbox_conversation *each = inbox->conversations; each; each = each->next)
        for (struct inbox_entry *entry = each->first; entry; entry = entry->conversation_next)
            if (entry->row_id && strcmp(entry->row_id, row_id) == 0)
                return entry;
    return NULL;
}

struct inbox_entry *inbox_find_reply(struct inbox *inbox, const char *in_reply_to,
                                     const char *source_id)
{
    for (struct inbox_conversation *conversation = inbox->conversations; conversation;
         conversation = conversation->next)
        for (struct inbox_entry *entry = conversation->first; entry;
             entry = entry->conversation_next) {
            const struct message *message = entry->message;
            bool pushed = message->served && served_pushed(message); /* by whom is not known */
            bool comes_from = pushed ||
                              (message->source_id && strcmp(message->source_id, source_id) == 0);
            if (inbox_is_waiting(entry) && message->in_reply_to && comes_from &&
                strcmp(message->in_reply_to, in_reply_to) == 0)
                return entry;
        }
    return NULL;
}

const struct inbox_entry *inbox_oldest_pending(const struct inbox *inbox)
{
    const struct inbox_entry *entry = inbox->pending > 0 ? inbox->first : NULL;
    while (entry && (entry->state == INBOX_FINISHED || entry->deferred))
        entry = entry->next;
    return entry;
}

bool inbox_any_reply_ahead(const struct inbox_entry *entry,
                           bool (*matches)(const struct inbox_entry *ahead, const void *context),
                           const void *context)
{
    const struct inbox_conversation *conversation = entry->conversation;
    size_t left = conversation->by_state[INBOX_SENT] + conversation->by_state[INBOX_SETTLED] +
                  conversation->by_state[INBOX_PARKED];
    for (const struct inbox_entry *each = conversation->first; each && left > 0;
         each = each->conversation_next) {
        if (each->state != INBOX_SENT && each->state != INBOX_SETTLED &&
            each->state != INBOX_PARKED)
            continue;
        left--;
        if (each != entry && matches(each, context))
            return true;
    }
    return false;
}

size_t inbox_deferred(const struct inbox *inbox)
{
    return inbox->deferred;
}

unsigned long inbox_deferred_changes(const struct inbox *inbox)
{
    return inbox->deferred_changes;
}

size_t inbox_deferred_bytes(const struct inbox *inbox)
{
    return inbox->deferred_bytes;
}

size_t inbox_pending(const struct inbox *inbox)
{
    return inbox->pending;
}

size_t inbox_bytes(const struct inbox *inbox)
{
    return inbox->bytes;
}

size_t inbox_total_bytes(const struct inbox *inbox)
{
    return *inbox->total;
}

size_t inbox_running(const struct inbox *inbox)
{
    return inbox->by_state[INBOX_RUNNING];
}

size_t inbox_answering(const struct inbox *inbox)
{
    const size_t *count = inbox->by_state;
    return count[INBOX_RECORDING] + count[INBOX_PARKED] + count[INBOX_SENT] + count[INBOX_SETTLED];
}
