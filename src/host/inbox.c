#include "host/inbox.h"

#include "base/memory.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#define REMEMBERED_MAXIMUM 20000 /* finished ids kept to recognise a row that comes again */

struct inbox_conversation {
    const char *key; /* first, for compare_keys; owned */
    struct inbox_conversation *next, *previous;
    struct inbox_entry *first, *last;
    size_t active; /* running or posting */
};

/* An id in the tree of known ids; also a place in the ring of finished ones. */
struct known_id {
    const char *key; /* first, for compare_keys; owned */
};

struct inbox {
    struct inbox_entry *first, *last;              /* unfinished, and finished ones behind unfinished ones */
    struct inbox_conversation *conversations;      /* with unfinished entries */
    void *conversation_tree, *known_tree;          /* of tsearch(3) */
    struct known_id *remembered[REMEMBERED_MAXIMUM]; /* ring of finished ids */
    size_t remembered_next;
    char *watermark;
    size_t pending, bytes, running, posting;
};

static int compare_keys(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

struct inbox *inbox_open(void)
{
    return memory_allocate(sizeof(struct inbox));
}

static void free_id(void *node)
{
    struct known_id *id = node;
    free((char *)id->key);
    free(id);
}

static void free_entry(struct inbox_entry *entry)
{
    message_free(entry->message);
    free(entry->row_id);
    free(entry);
}

static void drop_conversation(struct inbox *inbox, struct inbox_conversation *conversation)
{
    tdelete(conversation, &inbox->conversation_tree, compare_keys);
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
    while (inbox->conversations)
        drop_conversation(inbox, inbox->conversations);
    while (inbox->first) {
        struct inbox_entry *entry = inbox->first;
        inbox->first = entry->next;
        free_entry(entry);
    }
    tdestroy(inbox->known_tree, free_id);
    free(inbox->watermark);
    free(inbox);
}

bool inbox_known(const struct inbox *inbox, const char *row_id)
{
    struct known_id wanted = {.key = row_id};
    return tfind(&wanted, &inbox->known_tree, compare_keys) != NULL;
}

static void remember(struct inbox *inbox, const char *row_id)
{
    struct known_id *id = memory_allocate(sizeof *id);
    id->key = memory_copy_text(row_id);
    if (!tsearch(id, &inbox->known_tree, compare_keys))
        abort(); /* no memory, as base/memory.h */
}

/* A pending id became a finished one: it takes the place of the oldest finished one. */
static void age(struct inbox *inbox, const char *row_id)
{
    struct known_id wanted = {.key = row_id};
    struct known_id **found = tfind(&wanted, &inbox->known_tree, compare_keys);
    struct known_id *oldest = inbox->remembered[inbox->remembered_next];
    inbox->remembered[inbox->remembered_next] = *found;
    inbox->remembered_next = (inbox->remembered_next + 1) % REMEMBERED_MAXIMUM;
    if (oldest) {
        tdelete(oldest, &inbox->known_tree, compare_keys);
        free_id(oldest);
    }
}

static struct inbox_conversation *find_conversation(struct inbox *inbox, const char *key)
{
    struct inbox_conversation wanted = {.key = key};
    struct inbox_conversation **found = tfind(&wanted, &inbox->conversation_tree, compare_keys);
    if (found)
        return *found;
    struct inbox_conversation *made = memory_allocate(sizeof *made);
    made->key = memory_copy_text(key);
    made->next = inbox->conversations;
    if (inbox->conversations)
        inbox->conversations->previous = made;
    inbox->conversations = made;
    if (!tsearch(made, &inbox->conversation_tree, compare_keys))
        abort(); /* no memory, as base/memory.h */
    return made;
}

struct inbox_entry *inbox_admit(struct inbox *inbox, struct message *message, bool moves_cursor)
{
    if (message->row_id && inbox_known(inbox, message->row_id)) {
        message_free(message);
        return NULL;
    }
    struct inbox_entry *entry = memory_allocate(sizeof *entry);
    entry->message = message;
    entry->row_id = memory_copy_text(message->row_id);
    entry->moves_cursor = moves_cursor && entry->row_id;
    entry->bytes = message->raw_length + message->text_length + 1024;
    if (entry->row_id)
        remember(inbox, entry->row_id);
    entry->conversation = find_conversation(inbox, message->conversation ? message->conversation : "");
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
    inbox->pending++;
    inbox->bytes += entry->bytes;
    return entry;
}

/* Of one conversation: the entry that may run at `now_ms`, or when one may. An entry that was set aside does not hold
 * the ones behind it. */
static struct inbox_entry *ready_in(struct inbox_conversation *conversation, int64_t now_ms, int64_t *wait_ms)
{
    if (conversation->active > 0)
        return NULL;
    for (struct inbox_entry *entry = conversation->first; entry; entry = entry->conversation_next) {
        int64_t wait = entry->not_before_ms - now_ms;
        if (wait <= 0)
            return entry;
        if (*wait_ms < 0 || wait < *wait_ms)
            *wait_ms = wait;
        if (!entry->aside)
            return NULL;
    }
    return NULL;
}

struct inbox_entry *inbox_next(struct inbox *inbox, int64_t now_ms, int64_t *wait_ms)
{
    *wait_ms = -1;
    /* the oldest ready entry: look through the conversations' heads, unless the very first entry is ready */
    if (inbox->first && inbox->first->state == INBOX_WAITING &&
        ready_in(inbox->first->conversation, now_ms, wait_ms) == inbox->first)
        return inbox->first;
    *wait_ms = -1;
    for (struct inbox_entry *entry = inbox->first; entry; entry = entry->next)
        if (entry->state == INBOX_WAITING && entry->not_before_ms <= now_ms &&
            ready_in(entry->conversation, now_ms, wait_ms) == entry)
            return entry;
    for (struct inbox_conversation *each = inbox->conversations; each; each = each->next)
        ready_in(each, now_ms, wait_ms);
    return NULL;
}

static void leave(struct inbox *inbox, struct inbox_entry *entry)
{
    if (entry->state == INBOX_RUNNING)
        inbox->running--;
    if (entry->state == INBOX_POSTING)
        inbox->posting--;
    if (entry->state == INBOX_RUNNING || entry->state == INBOX_POSTING)
        entry->conversation->active--;
}

void inbox_start(struct inbox *inbox, struct inbox_entry *entry)
{
    entry->state = INBOX_RUNNING;
    entry->attempts++;
    entry->conversation->active++;
    inbox->running++;
}

void inbox_post(struct inbox *inbox, struct inbox_entry *entry)
{
    leave(inbox, entry);
    entry->state = INBOX_POSTING;
    entry->conversation->active++;
    inbox->posting++;
}

void inbox_retry(struct inbox *inbox, struct inbox_entry *entry, int64_t at_ms, bool hold, bool counted)
{
    leave(inbox, entry);
    entry->state = INBOX_WAITING;
    entry->not_before_ms = at_ms;
    entry->aside = !hold;
    if (!counted && entry->attempts > 0)
        entry->attempts--;
}

static void unlink_from_conversation(struct inbox *inbox, struct inbox_entry *entry)
{
    struct inbox_conversation *conversation = entry->conversation;
    struct inbox_entry *previous = NULL;
    for (struct inbox_entry *each = conversation->first; each != entry; each = each->conversation_next)
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

void inbox_finish(struct inbox *inbox, struct inbox_entry *entry)
{
    leave(inbox, entry);
    entry->state = INBOX_FINISHED;
    unlink_from_conversation(inbox, entry);
    if (entry->row_id)
        age(inbox, entry->row_id);
    inbox->pending--;
    inbox->bytes -= entry->bytes;
    message_free(entry->message);
    entry->message = NULL;
    while (inbox->first && inbox->first->state == INBOX_FINISHED) {
        struct inbox_entry *done = inbox->first;
        inbox->first = done->next;
        if (!inbox->first)
            inbox->last = NULL;
        if (done->moves_cursor) {
            free(inbox->watermark);
            inbox->watermark = done->row_id;
            done->row_id = NULL;
        }
        free_entry(done);
    }
}

const char *inbox_watermark(const struct inbox *inbox)
{
    return inbox->watermark;
}

size_t inbox_pending(const struct inbox *inbox)
{
    return inbox->pending;
}

size_t inbox_bytes(const struct inbox *inbox)
{
    return inbox->bytes;
}

size_t inbox_running(const struct inbox *inbox)
{
    return inbox->running;
}

size_t inbox_posting(const struct inbox *inbox)
{
    return inbox->posting;
}

const struct inbox_entry *inbox_first_running(const struct inbox *inbox)
{
    for (const struct inbox_entry *entry = inbox->first; entry; entry = entry->next)
        if (entry->state == INBOX_RUNNING)
            return entry;
    return NULL;
}
