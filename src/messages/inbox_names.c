/* Conversations that the agent names itself: messages wait until they are named, and then take
 * their place in order in that conversation. */
#include "messages/inbox_private.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

void inbox_await_names(struct inbox *inbox)
{
    inbox->named = 0;
}

void inbox_forgo_names(struct inbox *inbox)
{
    inbox->named = UINT64_MAX;
}

static int compare_sequences(const void *left, const void *right)
{
    const struct inbox_entry *one = *(struct inbox_entry *const *)left,
                             *other = *(struct inbox_entry *const *)right;
    return one->sequence < other->sequence ? -1 : one->sequence > other->sequence;
}

/* Every unfinished message of at least that sequence, in order. Yours to free. */
static struct inbox_entry **list_from(const struct inbox *inbox, uint64_t sequence, size_t *count)
{
    struct inbox_entry **entries = memory_allocate((inbox->pending + inbox->deferred + 1) *
                                                   sizeof *entries);
    *count = 0;
    for (const struct inbox_conversation *each = inbox->conversations; each; each = each->next)
        for (struct inbox_entry *entry = each->first; entry; entry = entry->conversation_next)
            if (entry->sequence >= sequence && entry->message->kind == ENVELOPE_MESSAGE)
                entries[(*count)++] = entry;
    qsort(entries, *count, sizeof *entries, compare_sequences);
    return entries;
}

/* Otherwise it has its outcome, or soon will. What came late is deferred before its first attempt:
 * RECORDING for that long, and then it waits. */
static bool is_ahead(const struct inbox_entry *entry)
{
    return entry->state == INBOX_WAITING || entry->state == INBOX_ASIDE ||
           (entry->state == INBOX_RECORDING && entry->attempts == 0);
}

size_t inbox_unnamed(struct inbox *inbox, struct inbox_entry **entries, size_t maximum)
{
    size_t all_count, count = 0;
    if (inbox->named >= inbox->admitted)
        return 0;
    struct inbox_entry **all = list_from(inbox, inbox->named, &all_count);
    for (size_t i = 0; i < all_count && count < maximum; i++)
        if (is_ahead(all[i]))
            entries[count++] = all[i];
    if (count == 0)
        inbox->named = inbox->admitted; /* nothing left to name */
    free(all);
    return count;
}

/* Into the other conversation, at its place in order. */
static void move_entry(struct inbox *inbox, struct inbox_entry *entry, const char *key)
{
    if (strcmp(entry->conversation->key, key) == 0)
        return;
    entry->conversation->by_state[entry->state]--;
    inbox_leave_conversation(inbox, entry);
    struct inbox_conversation *conversation = inbox_conversation(inbox, key);
    struct inbox_entry *before = NULL;
    for (struct inbox_entry *each = conversation->first; each && each->sequence < entry->sequence;
         each = each->conversation_next)
        before = each;
    entry->conversation_next = before ? before->conversation_next : conversation->first;
    if (before)
        before->conversation_next = entry;
    else
        conversation->first = entry;
    if (!entry->conversation_next)
        conversation->last = entry;
    entry->conversation = conversation;
    conversation->by_state[entry->state]++;
    message_set_conversation(entry->message, key);
}

void inbox_name(struct inbox *inbox, const uint64_t *sequences, char *const *keys, size_t count)
{
    size_t listed;
    if (inbox->named == UINT64_MAX) /* names are no longer wanted */
        return;
    struct inbox_entry **entries = list_from(inbox, inbox->named, &listed);
    for (size_t i = 0, at = 0; i < count; i++) {
        while (at < listed && entries[at]->sequence < sequences[i])
            at++;
        if (keys[i] && at < listed && entries[at]->sequence == sequences[i])
            move_entry(inbox, entries[at], keys[i]);
    }
    free(entries);
    inbox->named = sequences[count - 1] + 1;
}
