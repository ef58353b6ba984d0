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
    char *watermark, *watermark_stamp;
    uint64_t admitted;
    size_t pending, kept, bytes, running, posting;
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
    free(entry->stamp);
    free(entry->row);
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
    tdestroy(inbox->known_tree, free_id);
    free(inbox->watermark);
    free(inbox->watermark_stamp);
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

struct inbox_entry *inbox_admit(struct inbox *inbox, struct message *message, const char *row, size_t row_length,
                                bool moves_cursor)
{
    if (message->row_id && inbox_known(inbox, message->row_id)) {
        message_free(message);
        return NULL;
    }
    struct inbox_entry *entry = memory_allocate(sizeof *entry);
    entry->message = message;
    entry->row_id = memory_copy_text(message->row_id);
    entry->stamp = memory_copy_text(message->created_at);
    entry->row = memory_copy(row, row_length);
    entry->row_length = row_length;
    entry->sequence = inbox->admitted++;
    entry->moves_cursor = moves_cursor && entry->row_id;
    entry->listed = true;
    entry->bytes = row_length + message->raw_length + message->text_length + 1024;
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
    struct inbox_entry *oldest = NULL;
    *wait_ms = -1;
    /* most often the very first one is it */
    if (inbox->first && inbox->kept == 0 && inbox->first->state == INBOX_WAITING &&
        ready_in(inbox->first->conversation, now_ms, wait_ms) == inbox->first)
        return inbox->first;
    *wait_ms = -1;
    for (struct inbox_conversation *each = inbox->conversations; each; each = each->next) {
        struct inbox_entry *entry = ready_in(each, now_ms, wait_ms);
        if (entry && (!oldest || entry->sequence < oldest->sequence))
            oldest = entry;
    }
    return oldest;
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

/* Finished and kept ones at the front let the watermark move. */
static void move_watermark(struct inbox *inbox)
{
    while (inbox->first && (inbox->first->state == INBOX_FINISHED || inbox->first->kept)) {
        struct inbox_entry *done = inbox->first;
        inbox->first = done->next;
        if (!inbox->first)
            inbox->last = NULL;
        done->listed = false;
        done->next = NULL;
        if (done->moves_cursor) {
            free(inbox->watermark);
            free(inbox->watermark_stamp);
            inbox->watermark = memory_copy_text(done->row_id);
            inbox->watermark_stamp = done->stamp;
            done->stamp = NULL;
        }
        if (done->state == INBOX_FINISHED)
            free_entry(done);
    }
}

void inbox_keep(struct inbox *inbox, struct inbox_entry *entry)
{
    if (entry->kept)
        return;
    entry->kept = true;
    inbox->kept++;
    inbox->pending--;
    inbox->bytes -= entry->bytes;
    move_watermark(inbox);
}

void inbox_finish(struct inbox *inbox, struct inbox_entry *entry)
{
    leave(inbox, entry);
    entry->state = INBOX_FINISHED;
    unlink_from_conversation(inbox, entry);
    if (entry->row_id)
        age(inbox, entry->row_id);
    if (entry->kept) {
        inbox->kept--;
    } else {
        inbox->pending--;
        inbox->bytes -= entry->bytes;
    }
    message_free(entry->message);
    entry->message = NULL;
    free(entry->row);
    entry->row = NULL;
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

size_t inbox_kept(const struct inbox *inbox)
{
    return inbox->kept;
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
    if (inbox->running == 0)
        return NULL;
    for (const struct inbox_conversation *each = inbox->conversations; each; each = each->next)
        for (const struct inbox_entry *entry = each->active > 0 ? each->first : NULL; entry; entry = entry->conversation_next)
            if (entry->state == INBOX_RUNNING)
                return entry;
    return NULL;
}

void inbox_each_running(const struct inbox *inbox, void (*each)(const struct inbox_entry *entry, void *context), void *context)
{
    for (const struct inbox_conversation *conversation = inbox->conversations; conversation; conversation = conversation->next)
        for (const struct inbox_entry *entry = conversation->first; entry; entry = entry->conversation_next)
            if (entry->state == INBOX_RUNNING)
                each(entry, context);
}

void inbox_each(struct inbox *inbox, void (*each)(struct inbox_entry *entry))
{
    for (struct inbox_conversation *conversation = inbox->conversations; conversation; conversation = conversation->next)
        for (struct inbox_entry *entry = conversation->first; entry; entry = entry->conversation_next)
            each(entry);
}
