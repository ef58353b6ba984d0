/* What is written of a message before and after each step, on the disk thread: one workspace's ledger.
 *
 * A step that must not happen before it is recorded waits for its callback. While writing fails nothing is called back:
 * the operation is tried again until it succeeds, and record_problem says so. */
#ifndef MOLECULE_HOST_RECORD_H
#define MOLECULE_HOST_RECORD_H

#include "host/inbox.h"
#include "script/script.h"
#include "state/ledger.h"
#include "wire/reply.h"

#include <stdbool.h>
#include <stdint.h>

struct workspace;
struct record;

/* `context` is NULL or from memory_allocate: it is freed if the operation never succeeds before the end. */
typedef void record_callback(struct workspace *workspace, struct inbox_entry *entry, void *context);

struct record *record_open(struct workspace *workspace, const char *path, const char *platform_url);
/* Behind everything under way, closes the ledger on the disk thread; then calls `closed`. What could not be written so
 * far is given up. */
void record_close(struct record *record, void (*closed)(struct workspace *workspace));
void record_free(struct record *record); /* NULL is fine; nothing may be under way */

/* A message that an earlier process left open, or that the platform brought back. Owned; record_loaded_free. */
struct record_loaded {
    struct record_loaded *next;
    char *row_id, *row, *created_at;
    size_t row_length;
    enum ledger_state state;
    unsigned attempts, failures;
    int64_t first_seen_ms, updated_ms, due_ms, age_ms;
    bool dead_after_reply, passed, hold;
    struct reply_request reply; /* body NULL: none */
};
void record_loaded_free(struct record_loaded *loaded);

struct record_start {
    bool failed;              /* the ledger cannot be used: `problem` says what to do */
    char problem[2048];
    char *set_aside;          /* a damaged ledger was moved; what it says; NULL: none */
    bool taken_over;          /* another client moved the cursor since we last wrote it */
    char *cursor;             /* the ledger's copy; NULL: none */
    char *anchor;             /* a row behind the cursor to read again from; NULL: none */
    int64_t last_poll_ms;
    struct record_loaded *open; /* in order; the caller takes the list */
    size_t open_count;
};

/* Reads what an earlier process left; makes no file. Blocks: call it before anything runs. `file_cursor` is the cursor
 * file's (NULL: none); `file_readable` false: the file is damaged, so nobody is taken to have moved the cursor. */
void record_load(struct record *record, const char *file_cursor, bool file_readable, struct record_start *start);

/* Closes the ledger that record_load opened; it is opened again when it is needed. Before anything runs. */
void record_rest(struct record *record);

/* Which of the rows of a page are finished already. The ids are copied. `take_back`: what was left to another client is
 * ours again if the platform brings it (only for rows behind our cursor). */
struct record_known {
    size_t count;
    enum ledger_state *states;      /* one per id */
    struct record_loaded **loaded;  /* one per id; what was taken back and is to go on; NULL: nothing */
};
void record_known(struct record *record, const char *const *row_ids, size_t count, bool take_back,
                  void (*known)(struct workspace *workspace, struct record_known *known));
/* Blocks: before anything runs. Whether the ledger knows nothing that came of this attempt, the `attempts`th, begun at
 * `started_ms` (wall clock): neither an outcome nor a wait for the next one. */
bool record_lacks_outcome(struct record *record, const char *row_id, unsigned attempts, int64_t started_ms);
/* Whether there is a ledger at all: without one no row can be known. */
bool record_exists(const struct record *record);

/* `soon`: it may wait some milliseconds for something to share its commit with. What is recorded later is never committed
 * before it. */
struct record_reply {
    const struct reply_request *request; /* stays the caller's and must live until `then` */
    bool dead_after_reply;               /* it tells that the message was given up: `reason`, `traceback` */
    const char *reason, *traceback;
    bool soon;
};
void record_reply(struct record *record, struct inbox_entry *entry, const struct record_reply *reply, record_callback *then,
                  void *context);
void record_finish(struct record *record, struct inbox_entry *entry, const char *outcome, bool soon, record_callback *then,
                   void *context);
/* Kept until `due_ms` (wall clock); `hold`: its conversation waits with it. */
void record_keep(struct record *record, struct inbox_entry *entry, int64_t due_ms, bool hold, const char *reason,
                 record_callback *then, void *context);
/* The same of a message whose handler runs: its counts are those from before this attempt, and nothing of what the handler
 * stores is touched. */
void record_keep_running(struct record *record, struct inbox_entry *entry, const char *reason, record_callback *then);
/* Waits for its next attempt: an end of the process now is not this message's doing. */
void record_wait(struct record *record, struct inbox_entry *entry, record_callback *then, void *context);
void record_dead(struct record *record, struct inbox_entry *entry, const char *reason, const char *traceback,
                 record_callback *then, void *context);
/* How many equal replies to the canvas were finished lately; `context` is handed through. */
void record_count_same(struct record *record, const char *digest, const char *but_row_id, int64_t since_ms,
                       void (*counted)(void *context, int64_t count), void *context);

/* On the disk thread, from the saver: the cursor's copy, and everything before it, is on the platter when this returns.
 * false: `problem` says why. Nothing to do, and true, where there is no ledger. */
bool record_sync(struct record *record, const char *cursor, const char *created_at, int64_t last_poll_ms, char *problem,
                 size_t problem_size);

/* --- the script's store (record_store.c) --- */

/* `value` is the callback's to free; NULL: there is none. */
void record_store_get(struct record *record, const char *key, void (*then)(void *context, char *value), void *context);
/* `value`: a JSON array of the keys that begin with `prefix`, in order, at most `most`. */
void record_store_keys(struct record *record, const char *prefix, int64_t most, void (*then)(void *context, char *value),
                       void *context);
/* What start, stop or a timer changed. The changes stay the caller's and must live until `then`, which gets NULL. */
void record_store_commit(struct record *record, const struct changes *changes, void (*then)(void *context, char *value),
                         void *context);
/* What a peer answered to what a handler sent under this id; NULL: nothing is known. */
void record_answer_get(struct record *record, const char *message_id, void (*then)(void *context, char *value),
                       void *context);
void record_answer_set(struct record *record, const char *message_id, const char *answer,
                       void (*then)(void *context, char *value), void *context);

/* For the control socket: dead letters of a live host. */
enum record_dead_verb { RECORD_DEAD_RETRY, RECORD_DEAD_DROP };
void record_dead_letter(struct record *record, enum record_dead_verb verb, const char *row_id,
                        void (*done)(void *context, struct record_loaded *loaded, bool found), void *context);
void record_counts(struct record *record, void (*counted)(void *context, const struct ledger_counts *counts), void *context);

const char *record_problem(const struct record *record); /* NULL: writing works */

#endif
