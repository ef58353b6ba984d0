/* Which message is next, and how far the cursor may move. Pure: no I/O, no clock of its own.
 *
 * Rows are admitted in the platform's order. Within a conversation they are handled strictly in
 * that order; different conversations may run at once. The watermark is the last row such that it
 * and all before it are finished: only that is saved as the cursor, however far the fetch position
 * has run ahead. */
#ifndef MOLECULE_HOST_INBOX_H
#define MOLECULE_HOST_INBOX_H

#include "base/changes.h"
#include "wire/envelope.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct inbox;
struct inbox_conversation;
struct script_job;

enum inbox_state {
    INBOX_WAITING, /* for its turn, or for its next attempt */
    INBOX_RUNNING, /* the script has it */
    /* handled: its outcome is being recorded, or its reply waits behind one of its conversation */
    INBOX_POSTING,
    /* its reply is stored and on its way: the next of the conversation may be handled */
    INBOX_SENT,
    INBOX_SETTLED, /* so it was, and is known to have arrived; that is on its way to the ledger */
    INBOX_FINISHED
};

/* One admitted row. Owned by the inbox. */
struct inbox_entry {
    struct inbox_entry *next;              /* in order of admission */
    struct inbox_entry *conversation_next; /* in order within the conversation */
    struct inbox_conversation *conversation;
    struct message *message; /* freed when finished */
    char *row_id;
    char *stamp;     /* created_at */
    const char *row; /* the row's bytes (base/shared.h); NULL once finished */
    size_t row_length;
    uint64_t sequence; /* in order of admission */
    enum inbox_state state;
    /* POSTING: its reply is stored, and waits until it may be sent */
    bool parked;
    unsigned attempts; /* started so far */
    unsigned failures; /* of those, how many failed; the host counts */
    /* the host's: how often it was ended through no fault of its own */
    unsigned excused;
    int64_t not_before_ms; /* monotonic; of the next attempt */
    bool aside;            /* waits for a retry without holding its conversation */
    /* false: found out of order, it must not pull the cursor back */
    bool moves_cursor;
    size_t place; /* the host's, while it runs: host/running.h */
    /* the host's: an earlier process ended while it was handled */
    bool suspect;
    bool kept;             /* in the ledger whole: the cursor may pass it */
    bool listed;           /* in the order that the watermark follows */
    size_t bytes;          /* what it takes while it waits */
    int64_t first_seen_ms; /* clock_steady_ms, or an earlier process's */
    /* clock_awake_ms: when it was seen, reckoned back over earlier processes */
    int64_t awake_from_ms;
    struct script_job *job; /* the host's: while the script has it */
    /* the host's: a reply that is to be posted without running the script */
    void *context;
    /* the host's: what its handler stored, until the outcome is recorded */
    struct changes *changes;
};

/* `total`: what all inboxes of a process have in memory is counted there, too; NULL: nowhere. */
struct inbox *inbox_open(size_t *total);
void inbox_close(struct inbox *inbox);

/* An entry whose message takes much more memory than its row keeps the row alone while it waits
 * (message_shed). Before its text or parts are looked at: */
struct message *inbox_content(struct inbox_entry *entry, const char *self);

/* Pending, or finished not long ago (the last 20,000 are remembered). */
bool inbox_known(const struct inbox *inbox, const char *row_id);
/* A finished row is to be handled again: someone asked for it. */
void inbox_forget(struct inbox *inbox, const char *row_id);
/* Takes the message and copies its row. NULL: known already, and the message was freed. A row that
 * is nothing to answer may be given to inbox_finish at once. */
struct inbox_entry *inbox_admit(struct inbox *inbox, struct message *message, const char *row,
                                size_t row_length, bool moves_cursor);

/* The entry to run now, or NULL: `*wait_ms` says in how long one becomes ready by itself, -1 if
 * none will. */
struct inbox_entry *inbox_next(struct inbox *inbox, int64_t now_ms, int64_t *wait_ms);
void inbox_start(struct inbox *inbox, struct inbox_entry *entry); /* counts an attempt */
/* handled; its outcome is being recorded */
void inbox_post(struct inbox *inbox, struct inbox_entry *entry);
/* Its reply is stored. One reply of a conversation is on its way at a time, until it is recorded as
 * finished: true, it may be sent now, and is SENT. false: it is parked. */
bool inbox_send(struct inbox *inbox, struct inbox_entry *entry);
void inbox_settle(struct inbox *inbox, struct inbox_entry *entry); /* its reply has arrived */
/* The entry that is parked behind this one's reply and may be sent when this one is finished; NULL:
 * there is none. */
struct inbox_entry *inbox_parked_behind(const struct inbox_entry *entry);
/* Another reply of its conversation is on its way, and nobody knows yet whether it arrived. */
bool inbox_has_sent(const struct inbox_entry *entry);
/* Another reply of its conversation is not yet recorded as finished. */
bool inbox_is_behind(const struct inbox_entry *entry);
/* Another message of its conversation is handled, and its outcome is being recorded or parked. */
bool inbox_is_followed(const struct inbox_entry *entry);
/* Another attempt, not before `at_ms`; `hold`: its conversation waits. `counted` false takes the
 * attempt back. */
void inbox_retry(struct inbox *inbox, struct inbox_entry *entry, int64_t at_ms, bool hold,
                 bool counted);
/* the ledger has it: the watermark may pass it */
void inbox_keep(struct inbox *inbox, struct inbox_entry *entry);
/* the entry may be freed by this */
void inbox_finish(struct inbox *inbox, struct inbox_entry *entry);

/* For an agent that says itself to which conversation a message belongs: from now on no message is
 * handed out before it and all before it are named; until then they stand in the conversations of
 * their senders. */
void inbox_await_names(struct inbox *inbox);
/* Nothing waits for a name any more. */
void inbox_forgo_names(struct inbox *inbox);
/* Messages without a name, oldest first, up to `maximum`. */
size_t inbox_unnamed(struct inbox *inbox, struct inbox_entry **entries, size_t maximum);
/* Names what inbox_unnamed gave, by `sequence`, in the same order; a key of NULL leaves a message
 * where it is. Entries finished meanwhile are passed over. */
void inbox_name(struct inbox *inbox, const uint64_t *sequences, char *const *keys, size_t count);

/* The watermark's row id, or NULL if nothing was finished yet. Changes only with inbox_finish. */
const char *inbox_watermark(const struct inbox *inbox);
/* that row's created_at; NULL: unknown */
const char *inbox_watermark_stamp(const struct inbox *inbox);

size_t inbox_pending(const struct inbox *inbox); /* admitted, neither finished nor kept */
size_t inbox_kept(const struct inbox *inbox);    /* kept, not finished */
/* how often one was kept, or a kept one finished */
unsigned long inbox_kept_changes(const struct inbox *inbox);
size_t inbox_kept_bytes(const struct inbox *inbox);
size_t inbox_bytes(const struct inbox *inbox);   /* of those that are pending */
size_t inbox_running(const struct inbox *inbox); /* the script has them */
size_t inbox_posting(const struct inbox *inbox);
void inbox_each_running(const struct inbox *inbox,
                        void (*each)(const struct inbox_entry *entry, void *context),
                        void *context);
/* A peer's reply to this message of ours that waits for its turn; NULL: there is none. */
struct inbox_entry *inbox_find_reply(struct inbox *inbox, const char *in_reply_to,
                                     const char *source_id);
/* The first one in the platform's order that is pending, NULL if none: what is before it is
 * finished, or in the ledger whole. */
const struct inbox_entry *inbox_oldest_pending(const struct inbox *inbox);
/* NULL: the script does not have it. */
struct inbox_entry *inbox_find_running(const struct inbox *inbox, const char *row_id);
/* What is unfinished and not kept, in order, of every conversation whose first message is kept or
 * was seen before `before_ms` (wall clock); until `each` returns false, which ends its
 * conversation. */
void inbox_each_held(struct inbox *inbox, int64_t before_ms,
                     bool (*each)(struct inbox_entry *entry, void *context), void *context);
/* Whether `matches` another entry of its conversation whose reply is on its way, or waits to be. */
bool inbox_any_reply_ahead(const struct inbox_entry *entry,
                           bool (*matches)(const struct inbox_entry *ahead, const void *context),
                           const void *context);
/* All that are not finished; `each` changes no entry's state. */
void inbox_each(struct inbox *inbox, void (*each)(struct inbox_entry *entry, void *context),
                void *context);
/* The first entry that is running, NULL if none: for the status and the watchdog. */
const struct inbox_entry *inbox_first_running(const struct inbox *inbox);

#endif
