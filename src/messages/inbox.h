/* Which message is next, and how far the cursor may move. Pure: no I/O, no clock.
 *
 * Rows are admitted in the platform's order. Within a conversation they are handled strictly in
 * that order; different conversations may run at once. The watermark is the last row such that it
 * and all before it are finished: only that is saved as the cursor, however far the fetch position
 * has run ahead. */
#ifndef MOLECULE_MESSAGES_INBOX_H
#define MOLECULE_MESSAGES_INBOX_H

#include "base/changes.h"
#include "base/log.h"
#include "base/trace.h"
#include "messages/message_counts.h"
#include "wire/envelope.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What must wait longer is deferred to the ledger, and the cursor passes it. */
#define DEFER_AFTER_MS 30000

struct inbox;
struct inbox_conversation;
struct script_job;

struct post;
struct question;
struct reply_request;

/* What an entry is doing. inbox.c has every edge between these in one table, and refuses any other.
 */
enum inbox_state {
    INBOX_WAITING, /* for its turn, or for its next attempt, and its conversation with it */
    INBOX_ASIDE,   /* for its next attempt; its conversation continues without it */
    INBOX_RUNNING, /* the script has it */
    /* handled: its outcome, or what it waits for, is being recorded. Before its first attempt: it
       came late, and is deferred first */
    INBOX_RECORDING,
    INBOX_PARKED, /* its reply is stored, and waits until it may be sent */
    /* its reply is stored and on its way: the next of the conversation may be handled */
    INBOX_SENT,
    INBOX_SETTLED, /* its reply has arrived; that is on its way to the ledger */
    INBOX_FINISHED
};
#define INBOX_STATES (INBOX_FINISHED + 1)

/* One admitted row. Owned by the inbox; the members after `bytes` belong to the parts they name. */
struct inbox_entry {
    struct inbox_entry *next;              /* in order of admission */
    struct inbox_entry *conversation_next; /* in order within the conversation */
    struct inbox_conversation *conversation;
    struct message *message; /* freed when finished */
    const char *names;       /* base/shared.h: where the next three stand */
    const char *row_id;      /* NULL: it has none */
    const char *stamp;       /* created_at; NULL: none */
    const char *source;      /* the peer's id, or "canvas" */
    const char *row;         /* the row's bytes (base/shared.h); NULL once finished */
    size_t row_length;
    uint64_t sequence; /* in order of admission */
    enum inbox_state state;
    bool deferred;         /* in the ledger whole: the cursor may pass it */
    bool moves_cursor;     /* false: found out of order, it must not pull the cursor back */
    bool listed;           /* in the order that the watermark follows */
    unsigned attempts;     /* started so far */
    int64_t not_before_ms; /* monotonic; of the next attempt */
    size_t bytes;          /* what it takes while it waits */
    /* intake */
    int64_t first_seen_ms; /* clock_steady_ms, or an earlier process's */
    int64_t awake_from_ms; /* clock_awake_ms: when it was first seen, counting earlier processes
                            */
    bool asleep;           /* … and its time until `not_before_ms` was added to that */
    bool suspect;          /* an earlier process ended while it was handled */
    /* dispatch */
    unsigned failures;       /* of the attempts, how many failed since its handler got further */
    unsigned retries;        /* … and how many asked for another one (molecule.retry) */
    unsigned excused;        /* how often it was ended through no fault of its own */
    size_t place;            /* journal/attempts.h, while it runs */
    int64_t begun_ms;        /* monotonic; of the attempt that runs */
    struct script_job *job;  /* while the script has it */
    struct changes *changes; /* what its handler stored, until the outcome is recorded */
    /* what its last attempt asked of the world, JSON, until --record has it; NULL: not known */
    char *calls;
    struct {
        int64_t until_ms; /* monotonic */
        bool hold, defer;
        bool asleep;            /* the next run is the same attempt */
    } wait;                     /* the next attempt, while that is being recorded */
    bool has_steps;             /* its handler has, or may have, done something for good */
    bool said;                  /* why it is a dead letter: the script's own words */
    struct trace_context trace; /* its span */
    char trace_parent[TRACE_SPAN_ID_SIZE]; /* its sender's */
    enum message_outcome outcome;          /* while its end is being recorded */
    bool dead;                             /* what is posted says that it is a dead letter */
    bool canceled;                         /* it ends when its handler has let go */
    struct question *answers; /* of another message's handler, while that is being recorded; NULL */
    bool deferring;           /* that it is deferred is being recorded, whatever else it does */
    /* its sender's last answer to a question of its handler; NULL: none. Its reply replies to that
     */
    char *reply_to;
    unsigned reply_hops;
    /* outbox */
    struct reply_request *reply; /* to be posted without running the script; NULL: none */
    struct post *post;           /* the one under way with it; NULL: none */
    bool reply_restarted;        /* an earlier process may have posted it */
};

/* `total`: what all inboxes of a process have in memory is counted there, too; NULL: nowhere. */
struct inbox *inbox_open(size_t *total);
void inbox_close(struct inbox *inbox);

/* An entry whose message takes much more memory than its row keeps the row alone while it waits
 * (message_shed). Before its text or parts are looked at: */
struct message *inbox_content(struct inbox_entry *entry, const char *self);

/* What a line of the log is about; `outcome`: the message's, NULL if the line tells none. */
struct log_subject inbox_subject(const char *workspace_id, const struct inbox_entry *entry,
                                 const char *outcome);
const char *inbox_sender(const struct inbox_entry *entry); /* for the log: "the canvas", or a peer's
                                                              id */
/* Pending, or finished not long ago (the last 20,000 are remembered). */
bool inbox_known(const struct inbox *inbox, const char *row_id);
/* A finished row will be handled again, as someone asked for it. */
void inbox_forget(struct inbox *inbox, const char *row_id);
/* Takes the message; its row (base/shared.h) gets one more owner. NULL: known already, and the
 * message was freed. A row that needs no answer may be given to inbox_finish at once. */
struct inbox_entry *inbox_admit(struct inbox *inbox, struct message *message, const char *row,
                                size_t row_length, bool moves_cursor);

bool inbox_is_waiting(const struct inbox_entry *entry); /* WAITING or ASIDE */
/* The entry to run now, or NULL: `*wait_ms` says in how long one becomes ready by itself, -1 if
 * none will. */
struct inbox_entry *inbox_next(struct inbox *inbox, int64_t now_ms, int64_t *wait_ms);

/* --- the edges. Each ends the process (base/check.h) where the state has no such edge. --- */

/* WAITING, ASIDE -> RUNNING; counts an attempt. */
void inbox_start(struct inbox *inbox, struct inbox_entry *entry);
/* RUNNING, WAITING, ASIDE -> RECORDING */
void inbox_record(struct inbox *inbox, struct inbox_entry *entry);
/* RECORDING, PARKED -> SENT: its reply is stored, and may be sent now. One reply of a conversation
 * is on its way at a time, until it is recorded as finished: false, and -> PARKED, while another
 * is. */
bool inbox_send(struct inbox *inbox, struct inbox_entry *entry);
/* SENT -> SETTLED */
void inbox_settle(struct inbox *inbox, struct inbox_entry *entry);
/* RUNNING, RECORDING -> WAITING, or ASIDE without `hold`: another attempt, not before `at_ms`.
 * `counted` false takes the last one back. */
void inbox_retry(struct inbox *inbox, struct inbox_entry *entry, int64_t at_ms, bool hold,
                 bool counted);
/* WAITING -> WAITING, or ASIDE without `hold`: not before `at_ms`. */
void inbox_postpone(struct inbox *inbox, struct inbox_entry *entry, int64_t at_ms, bool hold);
/* WAITING, ASIDE, RECORDING: what it waits for has happened, so that it may run at `now_ms`. In
 * other states nothing happens. */
void inbox_wake(struct inbox_entry *entry, int64_t now_ms);
/* WAITING, RECORDING, SENT, SETTLED -> FINISHED. The entry may be freed by this. */
void inbox_finish(struct inbox *inbox, struct inbox_entry *entry);
/* The ledger has it whole: the watermark may pass it. In any state but FINISHED; does not change
 * it. */
void inbox_defer(struct inbox *inbox, struct inbox_entry *entry);

/* The entry that is parked after this one's reply and may be sent when this one is finished; NULL:
 * none. */
struct inbox_entry *inbox_parked_after(const struct inbox_entry *entry);
/* Another reply of its conversation is on its way, and nobody knows yet whether it arrived. */
bool inbox_has_sent(const struct inbox_entry *entry);
/* Another reply of its conversation is not yet recorded as finished. */
bool inbox_has_unfinished_reply(const struct inbox_entry *entry);
/* Another message of its conversation was handled, and its outcome is being recorded or parked. */
bool inbox_is_followed(const struct inbox_entry *entry);

/* For an agent that names conversations itself: from now on a message is handed out only after it
 * and all before it are named; until then they are in the conversations of their senders. */
void inbox_await_names(struct inbox *inbox);
/* Nothing waits for a name any longer. */
void inbox_forgo_names(struct inbox *inbox);
/* Messages without a name, oldest first, up to `maximum`. */
size_t inbox_unnamed(struct inbox *inbox, struct inbox_entry **entries, size_t maximum);
/* Names what inbox_unnamed gave, by `sequence`, in the same order; a key of NULL leaves a message
 * where it is. Entries finished meanwhile are skipped. */
void inbox_name(struct inbox *inbox, const uint64_t *sequences, char *const *keys, size_t count);

/* The watermark's row id, or NULL if nothing was finished yet. Changes with inbox_finish and
 * inbox_defer alone. */
const char *inbox_watermark(const struct inbox *inbox);
/* that row's created_at; NULL: unknown */
const char *inbox_watermark_stamp(const struct inbox *inbox);

size_t inbox_pending(const struct inbox *inbox);     /* admitted, neither finished nor deferred */
size_t inbox_bytes(const struct inbox *inbox);       /* of those that are pending */
size_t inbox_total_bytes(const struct inbox *inbox); /* of all inboxes that count with it */
size_t inbox_deferred(const struct inbox *inbox);    /* deferred, not finished */
size_t inbox_deferred_bytes(const struct inbox *inbox);
/* how often one was deferred, or a deferred one finished */
unsigned long inbox_deferred_changes(const struct inbox *inbox);
size_t inbox_running(const struct inbox *inbox); /* the script has them */
/* handled and not finished: RECORDING to SETTLED */
size_t inbox_answering(const struct inbox *inbox);

/* --- looking through it (inbox_find.c). Callbacks change no entry's state, except in
 * inbox_each_blocked. --- */

/* All that are not finished. */
void inbox_each(struct inbox *inbox, void (*each)(struct inbox_entry *entry, void *context),
                void *context);
void inbox_each_running(const struct inbox *inbox,
                        void (*each)(const struct inbox_entry *entry, void *context),
                        void *context);
/* What is unfinished and not deferred, in order, of every conversation that is blocked: its first
 * message is deferred or was seen before `before_ms` (wall clock). Until `each` returns false,
 * which ends its conversation; it may change the state of its entry. */
void inbox_each_blocked(struct inbox *inbox, int64_t before_ms,
                        bool (*each)(struct inbox_entry *entry, void *context), void *context);
/* The first entry that is running, NULL if none: for the status and the heartbeat. */
const struct inbox_entry *inbox_first_running(const struct inbox *inbox);
/* NULL: the script does not have it. */
struct inbox_entry *inbox_find_running(const struct inbox *inbox, const char *row_id);
/* In whatever state; NULL: none. */
struct inbox_entry *inbox_find(const struct inbox *inbox, const char *row_id);
/* A peer's reply to this message of ours that waits for its turn; NULL: none. */
struct inbox_entry *inbox_find_reply(struct inbox *inbox, const char *in_reply_to,
                                     const char *source_id);
/* The first one in the platform's order that is pending, NULL if none: what is before it is
 * finished, or in the ledger whole. */
const struct inbox_entry *inbox_oldest_pending(const struct inbox *inbox);
/* Whether `matches` another entry of its conversation whose reply is on its way, or waits to be. */
bool inbox_any_reply_ahead(const struct inbox_entry *entry,
                           bool (*matches)(const struct inbox_entry *ahead, const void *context),
                           const void *context);

#endif
