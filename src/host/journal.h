/* What is written of a message before and after each step, on the disk thread: one workspace's
 * ledger.
 *
 * A step that must not happen before it is recorded waits for its callback. While writing fails
 * nothing is called back: the operation is tried again until it succeeds, and journal_problem says
 * so. */
#ifndef MOLECULE_HOST_JOURNAL_H
#define MOLECULE_HOST_JOURNAL_H

#include "host/inbox.h"
#include "script/script.h"
#include "state/ledger.h"
#include "wire/reply.h"

#include <stdbool.h>
#include <stdint.h>

struct workspace;
struct journal;

/* `context` is NULL or from memory_allocate: it is freed if the operation never succeeds before the
 * end. */
typedef void journal_callback(struct workspace *workspace, struct inbox_entry *entry,
                              void *context);

struct journal *journal_open(struct workspace *workspace, const char *path,
                             const char *platform_url);
/* Behind everything under way, closes the ledger on the disk thread; then calls `closed`. What
 * could not be written so far is given up. */
void journal_close(struct journal *journal, void (*closed)(struct workspace *workspace));
void journal_free(struct journal *journal); /* NULL is fine; nothing may be under way */

/* A message that an earlier process left open, or that the platform brought back. Owned;
 * journal_loaded_free. */
struct journal_loaded {
    struct journal_loaded *next;
    char *row_id, *row, *created_at;
    size_t row_length;
    enum ledger_state state;
    unsigned attempts, failures;
    int64_t first_seen_ms, updated_ms, due_ms, age_ms;
    bool dead_after_reply, passed, hold;
    struct reply_request reply; /* body NULL: none */
};
void journal_loaded_free(struct journal_loaded *loaded);

struct journal_start {
    bool failed; /* the ledger cannot be used: `problem` says what to do */
    char problem[2048];
    char *set_aside; /* a damaged ledger was moved; what it says; NULL: none */
    bool taken_over; /* another client moved the cursor since we last wrote it */
    char *cursor;    /* the ledger's copy; NULL: none */
    char *anchor;    /* a row behind the cursor to read again from; NULL: none */
    int64_t last_poll_ms;
    struct journal_loaded *open; /* in order; the caller takes the list */
    size_t open_count;
};

/* Reads what an earlier process left; makes no file. Blocks: call it before anything runs.
 * `file_cursor` is the cursor file's (NULL: none); `file_readable` false: the file is damaged, so
 * nobody is taken to have moved the cursor. */
void journal_load(struct journal *journal, const char *file_cursor, bool file_readable,
                  struct journal_start *start);

/* Closes the ledger that journal_load opened; it is opened again when it is needed. Before anything
 * runs. */
void journal_rest(struct journal *journal);

/* Which of the rows of a page are finished already. The ids are copied. `take_back`: what was left
 * to another client is ours again if the platform brings it (only for rows behind our cursor). */
struct journal_known {
    size_t count;
    enum ledger_state *states; /* one per id */
    /* one per id; what was taken back and is to go on; NULL: nothing */
    struct journal_loaded **loaded;
};
void journal_known(struct journal *journal, const char *const *row_ids, size_t count,
                   bool take_back,
                   void (*known)(struct workspace *workspace, struct journal_known *known));
/* Blocks: before anything runs. Whether the ledger knows nothing that came of this attempt, the
 * `attempts`th, begun at `started_ms` (wall clock): neither an outcome nor a wait for the next one.
 */
bool journal_lacks_outcome(struct journal *journal, const char *row_id, unsigned attempts,
                           int64_t started_ms);
/* Blocks: before anything runs. */
bool journal_knows(struct journal *journal, const char *row_id);
/* Whether there is a ledger at all: without one no row can be known. */
bool journal_exists(const struct journal *journal);

/* `soon`: it may wait some milliseconds for something to share its commit with. What is recorded
 * later is never committed before it. */
struct journal_reply {
    const struct reply_request *request; /* stays the caller's and must live until `then` */
    /* it tells that the message was given up: `reason`, `traceback` */
    bool dead_after_reply;
    const char *reason, *traceback;
    bool soon;
};
void journal_reply(struct journal *journal, struct inbox_entry *entry,
                   const struct journal_reply *reply, journal_callback *then, void *context);
void journal_finish(struct journal *journal, struct inbox_entry *entry, const char *outcome,
                    bool soon, journal_callback *then, void *context);
/* Kept until `due_ms` (wall clock); `hold`: its conversation waits with it. */
void journal_keep(struct journal *journal, struct inbox_entry *entry, int64_t due_ms, bool hold,
                  const char *reason, journal_callback *then, void *context);
/* The same of a message whose handler runs: its counts are those from before this attempt, and
 * nothing of what the handler stores is touched. */
void journal_keep_running(struct journal *journal, struct inbox_entry *entry, const char *reason,
                          journal_callback *then);
/* Waits for its next attempt: an end of the process now is not this message's doing. */
void journal_wait(struct journal *journal, struct inbox_entry *entry, journal_callback *then,
                  void *context);
void journal_dead(struct journal *journal, struct inbox_entry *entry, const char *reason,
                  const char *traceback, journal_callback *then, void *context);
/* How many equal replies to the canvas were finished lately; `context` is handed through. */
void journal_count_same(struct journal *journal, const char *digest, const char *but_row_id,
                        int64_t since_ms, void (*counted)(void *context, int64_t count),
                        void *context);

/* On the disk thread, from the saver: the cursor's copy, and everything before it, is on the
 * platter when this returns. false: `problem` says why. Nothing to do, and true, where there is no
 * ledger. */
bool journal_sync(struct journal *journal, const char *cursor, const char *created_at,
                  int64_t last_poll_ms, char *problem, size_t problem_size);

/* --- the script's store (journal_store.c) --- */

/* `value` is the callback's to free; NULL: there is none. */
void journal_store_get(struct journal *journal, const char *key,
                       void (*then)(void *context, char *value), void *context);
/* `value`: a JSON array of the keys that begin with `prefix`, in order, at most `most`. */
void journal_store_keys(struct journal *journal, const char *prefix, int64_t most,
                        void (*then)(void *context, char *value), void *context);
/* What start, stop or a timer changed. The changes stay the caller's and must live until `then`,
 * which gets NULL. */
void journal_store_commit(struct journal *journal, const struct changes *changes,
                          void (*then)(void *context, char *value), void *context);
/* What a peer answered to what a handler sent under this id; NULL: nothing is known. */
void journal_answer_get(struct journal *journal, const char *message_id,
                        void (*then)(void *context, char *value), void *context);
void journal_answer_set(struct journal *journal, const char *message_id, const char *answer,
                        void (*then)(void *context, char *value), void *context);

/* For the control socket: dead letters of a live host. */
enum journal_dead_verb { RECORD_DEAD_RETRY, RECORD_DEAD_DROP };
void journal_dead_letter(struct journal *journal, enum journal_dead_verb verb, const char *row_id,
                         void (*done)(void *context, struct journal_loaded *loaded, bool found),
                         void *context);
void journal_counts(struct journal *journal,
                    void (*counted)(void *context, const struct ledger_counts *counts),
                    void *context);

const char *journal_problem(const struct journal *journal); /* NULL: writing works */

#endif
