#include "host/inbox.h"

#include "base/memory.h"
#include "base/shared.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#define REMEMBERED_MAXIMUM 20000 /* finished ids kept to recognize redelivered rows */

struct inbox_conversation {
    const char *key; /* first, for compare_keys; owned */
    struct inbox_conversation *next, *previous;
    struct inbox_entry *first, *last;
    /* of its entries; parked ones are posting, too */
    size_t running, posting, sent, settled, parked;
};

/* An id in the tree of known ids; also a place in the ring of finished ones. */
struct known_id {
    const char *key; /* first, for compare_keys; owned */
};

struct inbox {
    /* unfinished, and finished ones behind unfinished ones */
    struct inbox_entry *first, *last;
    struct inbox_conversation *conversations; /* with unfinished entries */
    void *conversation_tree, *known_tree;     /* of tsearch(3) */
    /* ring of finished ids, which grows to REMEMBERED_MAXIMUM */
    struct known_id **remembered;
    size_t remembered_size, remembered_next;
    char *watermark, *watermark_stamp;
    /* the watermark, once no row of that moment is unfinished */
    char *reached, *reached_stamp;
    uint64_t admitted;
    /* entries of a lower sequence may be handed out */
    uint64_t named;
    unsigned long kept_changes;
    size_t pending, kept, bytes, kept_bytes, running, posting;
    /* bytes + kept_bytes, of all inboxes that count there */
    size_t own_total, *total;
};

static int compare_keys(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

struct inbox *inbox_open(size_t *total)
{
    struct inbox *inbox = memory_allocate(sizeof *inbox);
    inbox->total = total ? total : &inbox->own_total;
    inbox->named = UINT64_MAX;
    return inbox;
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
    shared_release(entry->row);
    changes_free(entry->changes);
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
    *inbox->total -= inbox->bytes + inbox->kept_bytes;
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
    free(inbox->remembered);
    free(inbox->watermark);
    free(inbox->watermark_stamp);
    free(inbox->reached);
    free(inbox->reached_stamp);
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

static void grow_ring(struct inbox *inbox)
{
    size_t size = inbox->remembered_size ? inbox->remembered_size * 2 : 64;
    size = size < REMEMBERED_MAXIMUM ? size : REMEMBERED_MAXIMUM;
    inbox->remembered = memory_resize(inbox->remembered, size * sizeof *inbox->remembered);
    memset(inbox->remembered + inbox->remembered_size, 0,
           (size - inbox->remembered_size) * sizeof *inbox->remembered);
    inbox->remembered_size = size;
}

/* A pending id became a finished one: it takes the place of the oldest finished one. */
static void age(struct inbox *inbox, const char *row_id)
{
    struct known_id wanted = {.key = row_id};
    struct known_id **found = tfind(&wanted, &inbox->known_tree, compare_keys);
    if (inbox->remembered_next == inbox->remembered_size &&
        inbox->remembered_size < REMEMBERED_MAXIMUM)
        grow_ring(inbox);
    struct known_id *oldest = inbox->remembered[inbox->remembered_next];
    inbox->remembered[inbox->remembered_next] = *found;
    inbox->remembered_next++;
    if (inbox->remembered_next == REMEMBERED_MAXIMUM)
        inbox->remembered_next = 0;
    if (oldest) {
        tdelete(oldest, &inbox->known_tree, compare_keys);
        free_id(oldest);
    }
}

void inbox_forget(struct inbox *inbox, const char *row_id)
{
    for (size_t i = 0; i < inbox->remembered_size; i++) {
        struct known_id *id = inbox->remembered[i];
        if (!id || strcmp(id->key, row_id) != 0)
            continue;
        tdelete(id, &inbox->known_tree, compare_keys);
        free_id(id);
        inbox->remembered[i] = NULL;
        return;
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

struct message *inbox_content(struct inbox_entry *entry, const char *self)
{
    message_restore(entry->message,
                    (struct page_row){.bytes = entry->row, .length = entry->row_length}, self);
    return entry->message;
}

struct inbox_entry *inbox_admit(struct inbox *inbox, struct message *message, const char *row,
                                size_t row_length, bool moves_cursor)
{
    if (message->row_id && inbox_known(inbox, message->row_id)) {
        message_free(message);
        return NULL;
    }
    struct inbox_entry *entry = memory_allocate(sizeof *entry);
    entry->message = message;
    entry->row_id = memory_copy_text(message->row_id);
    entry->stamp = memory_copy_text(message->created_at);
    entry->row = shared_copy(row, row_length);
    entry->row_length = row_length;
    entry->sequence = inbox->admitted++;
    entry->moves_cursor = moves_cursor && entry->row_id;
    entry->listed = true;
    entry->bytes = row_length + message->raw_length + message->text_length + 1024;
    if (entry->row_id)
        remember(inbox, entry->row_id);
    entry->conversation = find_conversation(inbox,
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
    inbox->pending++;
    inbox->bytes += entry->bytes;
    *inbox->total += entry->bytes;
    return entry;
}

/* Of one conversation: the entry that may run at `now_ms`, or when one may. An entry that was set
 * aside does not hold the ones behind it. */
static struct inbox_entry *ready_in(struct inbox_conversation *conversation, int64_t now_ms,
                                    int64_t *wait_ms)
{
    if (conversation->running + conversation->posting > 0)
        return NULL;
    for (struct inbox_entry *entry = conversation->first; entry; entry = entry->conversation_next) {
        if (entry->state == INBOX_SENT || entry->state == INBOX_SETTLED)
            continue;
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
        inbox->first->sequence < inbox->named &&
        ready_in(inbox->first->conversation, now_ms, wait_ms) == inbox->first)
        return inbox->first;
    *wait_ms = -1;
    for (struct inbox_conversation *each = inbox->conversations; each; each = each->next) {
        struct inbox_entry *entry = ready_in(each, now_ms, wait_ms);
        if (entry && entry->sequence < inbox->named &&
            (!oldest || entry->sequence < oldest->sequence))
            oldest = entry;
    }
    return oldest;
}

/* Adds it to what its conversation counts, or takes it off. */
static void count(const struct inbox_entry *entry, bool add)
{
    struct inbox_conversation *conversation = entry->conversation;
    size_t one = add ? 1 : (size_t)-1;
    conversation->running += entry->state == INBOX_RUNNING ? one : 0;
    conversation->posting += entry->state == INBOX_POSTING ? one : 0;
    conversation->sent += entry->state == INBOX_SENT ? one : 0;
    conversation->settled += entry->state == INBOX_SETTLED ? one : 0;
    conversation->parked += entry->parked ? one : 0;
}

static bool is_on_its_way(enum inbox_state state)
{
    return state == INBOX_POSTING || state == INBOX_SENT || state == INBOX_SETTLED;
}

static void change_state(struct inbox *inbox, struct inbox_entry *entry, enum inbox_state state)
{
    count(entry, false);
    inbox->running -= entry->state == INBOX_RUNNING;
    inbox->posting -= is_on_its_way(entry->state);
    entry->state = state;
    entry->parked = false;
    inbox->running += state == INBOX_RUNNING;
    inbox->posting += is_on_its_way(state);
    count(entry, true);
}

void inbox_start(struct inbox *inbox, struct inbox_entry *entry)
{
    change_state(inbox, entry, INBOX_RUNNING);
    entry->attempts++;
}

void inbox_post(struct inbox *inbox, struct inbox_entry *entry)
{
    change_state(inbox, entry, INBOX_POSTING);
}

bool inbox_send(struct inbox *inbox, struct inbox_entry *entry)
{
    bool first = !inbox_is_behind(entry);
    change_state(inbox, entry, first ? INBOX_SENT : INBOX_POSTING);
    if (first)
        return true;
    entry->parked = true;
    entry->conversation->parked++;
    return false;
}

void inbox_settle(struct inbox *inbox, struct inbox_entry *entry)
{
    change_state(inbox, entry, INBOX_SETTLED);
}

struct inbox_entry *inbox_parked_behind(const struct inbox_entry *entry)
{
    const struct inbox_conversation *conversation = entry->conversation;
    if (conversation->parked == 0 || conversation->sent + conversation->settled > 1)
        return NULL;
    struct inbox_entry *parked = conversation->first;
    while (!parked->parked)
        parked = parked->conversation_next;
    return parked;
}

bool inbox_has_sent(const struct inbox_entry *entry)
{
    return entry->conversation->sent > (entry->state == INBOX_SENT);
}

bool inbox_is_behind(const struct inbox_entry *entry)
{
    return entry->conversation->sent + entry->conversation->settled >
           (entry->state == INBOX_SENT || entry->state == INBOX_SETTLED);
}

bool inbox_is_followed(const struct inbox_entry *entry)
{
    return entry->conversation->posting > (entry->state == INBOX_POSTING);
}

void inbox_retry(struct inbox *inbox, struct inbox_entry *entry, int64_t at_ms, bool hold,
                 bool counted)
{
    change_state(inbox, entry, INBOX_WAITING);
    entry->not_before_ms = at_ms;
    entry->aside = !hold;
    if (!counted && entry->attempts > 0)
        entry->attempts--;
}

static void unlink_from_conversation(struct inbox *inbox, struct inbox_entry *entry)
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
    struct inbox_entry **entries = memory_allocate((inbox->pending + inbox->kept + 1) *
                                                   sizeof *entries);
    *count = 0;
    for (const struct inbox_conversation *each = inbox->conversations; each; each = each->next)
        for (struct inbox_entry *entry = each->first; entry; entry = entry->conversation_next)
            if (entry->sequence >= sequence && entry->message->kind == ENVELOPE_MESSAGE)
                entries[(*count)++] = entry;
    qsort(entries, *count, sizeof *entries, compare_sequences);
    return entries;
}

/* Else it has its outcome, or is about to. What came late is kept in the ledger before its first
 * attempt: POSTING for that long, and then it waits. */
static bool is_ahead(const struct inbox_entry *entry)
{
    return entry->state == INBOX_WAITING || (entry->state == INBOX_POSTING && entry->attempts == 0);
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
        inbox->named = inbox->admitted; /* nothing of it is to be named */
    free(all);
    return count;
}

/* Into the other conversation, at its place in order. */
static void move_entry(struct inbox *inbox, struct inbox_entry *entry, const char *key)
{
    if (strcmp(entry->conversation->key, key) == 0)
        return;
    count(entry, false);
    unlink_from_conversation(inbox, entry);
    struct inbox_conversation *conversation = find_conversation(inbox, key);
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
    count(entry, true);
    free(entry->message->conversation);
    entry->message->conversation = memory_copy_text(key);
}

void inbox_name(struct inbox *inbox, const uint64_t *sequences, char *const *keys, size_t count)
{
    size_t listed;
    if (inbox->named == UINT64_MAX) /* nobody asks for names any more */
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

/* Finished and kept ones at the front let the watermark move, but not between two rows of one
 * microsecond: on T1 a cursor hides what stands behind it in its own. */
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
            if (inbox->reached && !is_same_moment(inbox->reached_stamp, done->stamp))
                pass_reached(inbox);
            free(inbox->reached);
            free(inbox->reached_stamp);
            inbox->reached = memory_copy_text(done->row_id);
            /* a kept one's own may be on its way to the ledger */
            inbox->reached_stamp = memory_copy_text(done->stamp);
        }
        if (done->state == INBOX_FINISHED)
            free_entry(done);
    }
    if (inbox->reached &&
        !(inbox->first && is_same_moment(inbox->reached_stamp, inbox->first->stamp)))
        pass_reached(inbox);
}

void inbox_keep(struct inbox *inbox, struct inbox_entry *entry)
{
    if (entry->kept)
        return;
    entry->kept = true;
    inbox->kept++;
    inbox->kept_changes++;
    inbox->pending--;
    inbox->bytes -= entry->bytes;
    inbox->kept_bytes += entry->bytes;
    move_watermark(inbox);
}

void inbox_finish(struct inbox *inbox, struct inbox_entry *entry)
{
    change_state(inbox, entry, INBOX_FINISHED);
    unlink_from_conversation(inbox, entry);
    if (entry->row_id)
        age(inbox, entry->row_id);
    if (entry->kept) {
        inbox->kept--;
        inbox->kept_changes++;
        inbox->kept_bytes -= entry->bytes;
    } else {
        inbox->pending--;
        inbox->bytes -= entry->bytes;
    }
    *inbox->total -= entry->bytes;
    message_free(entry->message);
    entry->message = NULL;
    shared_release(entry->row);
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

const struct inbox_entry *inbox_oldest_pending(const struct inbox *inbox)
{
    const struct inbox_entry *entry = inbox->pending > 0 ? inbox->first : NULL;
    while (entry && (entry->state == INBOX_FINISHED || entry->kept))
        entry = entry->next;
    return entry;
}

size_t inbox_kept(const struct inbox *inbox)
{
    return inbox->kept;
}

unsigned long inbox_kept_changes(const struct inbox *inbox)
{
    return inbox->kept_changes;
}

size_t inbox_kept_bytes(const struct inbox *inbox)
{
    return inbox->kept_bytes;
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
        for (const struct inbox_entry *entry = each->running > 0 ? each->first : NULL; entry;
             entry = entry->conversation_next)
            if (entry->state == INBOX_RUNNING)
                return entry;
    return NULL;
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

struct inbox_entry *inbox_find_running(const struct inbox *inbox, const char *row_id)
{
    for (const struct inbox_conversation *each = inbox->conversations; each; each = each->next)
        for (struct inbox_entry *entry = each->running > 0 ? each->first : NULL; entry;
             entry = entry->conversation_next)
            if (entry->state == INBOX_RUNNING && entry->row_id &&
                strcmp(entry->row_id, row_id) == 0)
                return entry;
    return NULL;
}

static bool is_held(const struct inbox_conversation *conversation, int64_t before_ms)
{
    return conversation->first->kept || conversation->first->first_seen_ms < before_ms;
}

void inbox_each_held(struct inbox *inbox, int64_t before_ms,
                     bool (*each)(struct inbox_entry *entry, void *context), void *context)
{
    for (struct inbox_conversation *conversation = inbox->conversations; conversation;
         conversation = conversation->next) {
        bool goes_on = is_held(conversation, before_ms);
        for (struct inbox_entry *entry = conversation->first; entry && goes_on;
             entry = entry->conversation_next)
            goes_on = entry->kept || each(entry, context);
    }
}

bool inbox_any_reply_ahead(const struct inbox_entry *entry,
                           bool (*matches)(const struct inbox_entry *ahead, const void *context),
                           const void *context)
{
    const struct inbox_conversation *conversation = entry->conversation;
    size_t left = conversation->sent + conversation->settled + conversation->parked;
    for (const struct inbox_entry *each = conversation->first; each && left > 0;
         each = each->conversation_next) {
        if (each->state != INBOX_SENT && each->state != INBOX_SETTLED && !each->parked)
            continue;
        left--;
        if (each != entry && matches(each, context))
            return true;
    }
    return false;
}

void inbox_each(struct inbox *inbox, void (*each)(struct inbox_entry *entry, void *context),
                void *context)
{
    for (struct inbox_conversation *conversation = inbox->conversations; conversation;
         conversation = conversation->next)
        for (struct inbox_entry *entry = conversation->first; entry;
             entry = entry->conversation_next)
            each(entry, context);
}

struct inbox_entry *inbox_find_reply(struct inbox *inbox, const char *in_reply_to,
                                     const char *source_id)
{
    for (struct inbox_conversation *conversation = inbox->conversations; conversation;
         conversation = conversation->next)
        for (struct inbox_entry *entry = conversation->first; entry;
             entry = entry->conversation_next) {
            const struct message *message = entry->message;
            if (entry->state == INBOX_WAITING && message->in_reply_to && message->source_id &&
                strcmp(message->in_reply_to, in_reply_to) == 0 &&
                strcmp(message->source_id, source_id) == 0)
                return entry;
        }
    return NULL;
}
