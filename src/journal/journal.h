/* What is written of a message before and after each step, on the disk thread: one workspace's
 * ledger.
 *
 * A step that must not happen before it is recorded waits for its callback. Failed writes are
 * retried, in order, until they succeed; meanwhile only reads are answered, and journal_problem
 * says why. What is still unwritten when the journal closes is dropped without a callback; reads
 * for the control socket and for receipts are called back with nothing. All functions belong to the
 * network thread unless they say otherwise. */
#ifndef MOLECULE_JOURNAL_JOURNAL_H
#define MOLECULE_JOURNAL_JOURNAL_H

#include "base/changes.h"
#include "base/histogram.h"
#include "base/thread.h"
#include "journal/open_ledgers.h"
#include "state/disk.h"
#include "state/ledger.h"
#include "wire/reply_request.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct inbox_entry; /* the caller's: handed back, never looked at */
struct journal;

/* Borrowed for the life of the journal. */
struct journal_env {
    const char *workspace_id; /* for the log */
    const char *platform_url; /* whose messages the ledger has */
    struct disk *disk;
    struct thread *network;
    struct open_ledgers *open;
    /* on the network thread: the ledger can be written again after it could not */
    void (*recovered)(void *context);
    /* what a handler stored is recorded with its outcome; takes the changes */
    void (*changes_stand)(void *context, struct changes *changes);
    void *context;
};

/* Counted on the disk thread; any thread reads. */
struct journal_counts {
    struct histogram commit;
    _Atomic int64_t bytes; /* of the ledger and its write-ahead log, as of a second before the last
                              commit */
};

struct journal *journal_open(const struct journal_env *env, const char *path);
/* After everything under way, closes the ledger on the disk thread; then calls `closed` (of the
 * env's context). What could not be written so far is given up. */
void journal_close(struct journal *journal, void (*closed)(void *context));
void journal_free(struct journal *journal); /* NULL is fine; nothing may be under way */

/* A message that an earlier process left open, or that the platform brought back. Owned;
 * journal_loaded_free. */
struct journal_loaded {
    struct journal_loaded *next;
    char *row_id, *row, *created_at;
    size_t row_length;
    enum ledger_state state;
    unsigned attempts, failures, retries;
    int64_t first_seen_ms, updated_ms, due_ms, age_ms;
    bool dead_after_reply, passed, hold;
    struct reply_request reply; /* body NULL: none */
};
void journal_loaded_free(struct journal_loaded *loaded);

/* A question that has no answer; owned by the struct journal_start. */
struct journal_question {
    struct journal_question *next;
    char *row_id, *key, *asked, *posted; /* see ledger_questions_each */
};

struct journal_start {
    bool failed; /* the ledger cannot be used: `problem` says what to do */
    char problem[2048];
    char *set_aside;             /* a damaged ledger was moved aside: what to log; NULL: none */
    bool taken_over;             /* another client moved the cursor since we last wrote it */
    char *cursor;                /* the ledger's copy; NULL: none */
    char *anchor;                /* a row before the cursor to re-read from; NULL: none */
    int64_t last_poll_ms;        /* wall clock; 0: unknown */
    struct journal_loaded *open; /* in order; the caller takes the list */
    size_t open_count;
    struct journal_question *questions; /* in order */
};
/* Its questions. */
void journal_start_free(struct journal_start *start);

/* Reads what an earlier process left; creates no file. Blocks: call it before anything runs.
 * `file_cursor` is the cursor file's (NULL: none); `file_readable` false: the file is damaged, so
 * nobody is taken to have moved the cursor. */
void journal_load(struct journal *journal, const char *file_cursor, bool file_readable,
                  struct journal_start *start);
/* Closes the ledger that journal_load opened; it is reopened when needed. Call it before anything
 * runs. */
void journal_rest(struct journal *journal);
/* Blocks: call it before anything runs. Whether the ledger has no result of this attempt (number
 * `attempts`, begun at `started_ms`, wall clock): neither an outcome nor a wait for the next
 * one. */
bool journal_lacks_outcome(struct journal *journal, const char *row_id, unsigned attempts,
                           int64_t started_ms);
/* Blocks: before anything runs. */
bool journal_knows(struct journal *journal, const char *row_id);
/* Whether there is a ledger at all: without one no row can be known. */
bool journal_exists(const struct journal *journal);
/* Whether handlers of an earlier process have left steps: a message that is new to this one may
 * have some. */
bool journal_had_steps(const struct journal *journal);
const struct journal_counts *journal_counts_of(const struct journal *journal);
const char *journal_problem(const struct journal *journal); /* NULL: writing works */

/* Which of the rows of a page are finished already. The ids are copied. `take_back`: what was left
 * to another client is ours again if the platform brings it (only for rows after our cursor). */
struct journal_known {
    size_t count;
    enum ledger_state *states; /* one per id */
    /* one per id; what was taken back and must continue; NULL: nothing */
    struct journal_loaded **loaded;
};
void journal_known(struct journal *journal, const char *const *row_ids, size_t count,
                   bool take_back, void (*known)(void *context, struct journal_known *known),
                   void *context);

/* --- the steps of a message (steps.c) --- */

typedef void journal_callback(struct inbox_entry *entry, void *context);

/* What is to be told to a webhook; owned. See struct ledger_notification. */
struct journal_notification {
    struct journal_notification *next;
    int64_t sequence;
    char *task_id, *config, *type, *body;
    size_t length;
    int64_t at_ms;
};
void journal_notification_free(struct journal_notification *notification); /* that one alone */

/* A task of molecule serve; owned. See struct ledger_task. */
struct journal_task {
    struct journal_task *next;
    char *id, *principal, *context_id, *document;
    char *piece;      /* recorded instead of the document: what it got since that; JSON */
    int64_t sequence; /* … rising, and nobody else's */
    json_t *pieces;   /* of an open one that was loaded: those, in order; NULL: none */
    int state;
    bool open;
    int64_t updated_ms;
    struct journal_notification *notifications; /* to be recorded with it */
};
void journal_task_free(struct journal_task *task); /* that one alone; NULL is fine */

/* Copied. */
struct journal_handler_step {
    const char *row_id, *key, *digest, *value; /* as in struct ledger_step */
    const char *kind;                          /* static */
    bool durable;                              /* safe against power loss before it is delivered */
};

/* What is shared gets one more owner, the changes are taken. */
struct journal_step {
    struct inbox_entry *entry;
    const char *names; /* base/shared.h; the next three stand there, or are static */
    const char *row_id, *created_at;
    const char *source; /* "canvas" or the peer's id */
    const char *row;    /* base/shared.h */
    size_t row_length;
    unsigned attempts, failures, retries;
    int64_t first_seen_ms;   /* clock_steady_ms */
    int64_t age_ms;          /* how long processes have had it */
    struct changes *changes; /* what its handler stored; they are applied with this step */
    journal_callback *then;
    void *context;  /* of `then`; borrowed */
    bool has_steps; /* it may have steps, to be forgotten when it is finished */
    /* journal_finish: it is the answer to a question of another message's handler, which is due
     * now; copied. NULL: it is none */
    const struct journal_handler_step *answer;
    /* journal_finish, journal_dead: what becomes of its task; taken. NULL: it has none */
    struct journal_task *task;
    /* it may wait some milliseconds to share a commit. What is recorded later is never committed
       before it */
    bool soon;
};

/* Its reply, which gets one more owner. `dead_reason`: it reports a dead letter; NULL: it does
 * not. */
void journal_reply(struct journal *journal, const struct journal_step *step,
                   struct reply_request *request, const char *dead_reason, const char *traceback);
/* `request`: the reply it was finished with; NULL: none. */
void journal_finish(struct journal *journal, const struct journal_step *step, const char *outcome,
                    struct reply_request *request);
/* Deferred until `due_ms` (clock_steady_ms); `hold`: its conversation waits with it. The cursor may
 * pass it. */
void journal_defer(struct journal *journal, const struct journal_step *step, int64_t due_ms,
                   bool hold, const char *reason);
/* Waits for its next attempt: if the process ends now, that is not this message's doing. */
void journal_wait(struct journal *journal, const struct journal_step *step);
void journal_dead(struct journal *journal, const struct journal_step *step, const char *reason,
                  const char *traceback);

/* How many equal replies to the canvas were finished recently; `context` is handed through. */
void journal_count_same(struct journal *journal, const char *digest, const char *but_row_id,
                        int64_t since_ms, void (*counted)(void *context, int64_t count),
                        void *context);

/* On the disk thread, from the cursor writer: the cursor's copy, and everything before it, is on
 * disk when this returns. false: `problem` says why. Nothing to do, and true, where there is no
 * ledger. */
bool journal_sync(struct journal *journal, const char *cursor, const char *created_at,
                  int64_t last_poll_ms, char *problem, size_t problem_size);

/* --- the script's store (store.c) --- */

/* `value` is the callback's to free; NULL: none. */
typedef void journal_value_callback(void *context, char *value);

void journal_store_get(struct journal *journal, const char *key, journal_value_callback *then,
                       void *context);
/* `value`: a JSON array of the keys that begin with `prefix`, in order, at most `most`. */
void journal_store_keys(struct journal *journal, const char *prefix, int64_t most,
                        journal_value_callback *then, void *context);
/* What start, stop or a timer changed. Takes the changes and gives them back to `then`. */
void journal_store_commit(struct journal *journal, struct changes *changes,
                          void (*then)(void *context, struct changes *changes), void *context);
/* What a peer answered to what a handler sent under this id; NULL: nothing is known. */
void journal_answer_get(struct journal *journal, const char *message_id,
                        journal_value_callback *then, void *context);
/* `then` may be NULL; it gets NULL. */
void journal_answer_set(struct journal *journal, const char *message_id, const char *answer,
                        journal_value_callback *then, void *context);

/* --- what handlers have done for good (handler_steps.c) --- */

/* `value`: a JSON array of [key, kind, digest, value, wall clock in ms], in the order in which they
 * were recorded. */
void journal_steps_load(struct journal *journal, const char *row_id, journal_value_callback *then,
                        void *context);
/* Takes the changes, which are applied in the same transaction, and gives them back to `then`. With
 * a step of the kind "answer" its message is due now. */
void journal_step_record(struct journal *journal, const struct journal_handler_step *step,
                         struct changes *changes,
                         void (*then)(void *context, struct changes *changes), void *context);

/* --- schedules (schedule.c). Times are epoch seconds. `form` is what a schedule is besides its
 * name: one of another form is another schedule. --- */

typedef void journal_since_callback(void *context, const char *name, int64_t since_s);
/* After which moment its runs are due: when it was last due or, for one that the ledger does not
 * know, `now_s`, which is recorded. `starts_over`: `now_s` in any case, unless it was due later. */
void journal_schedule_since(struct journal *journal, const char *name, const char *form,
                            int64_t now_s, bool starts_over, journal_since_callback *then,
                            void *context);

/* Borrowed for the call. */
struct journal_run {
    const char *name, *form;
    int64_t at_s;
    const char *row_id, *row, *created_at, *source;
    size_t row_length;
};
/* `loaded`: the run as it is kept now, the callback's; NULL: the ledger had it already. */
typedef void journal_run_callback(void *context, const char *name, struct journal_loaded *loaded);
/* It is due: it is kept as a message, and its time is recorded. */
void journal_schedule_run(struct journal *journal, const struct journal_run *run,
                          journal_run_callback *then, void *context);

/* --- tasks of molecule serve (tasks.c) --- */

/* A message that begins a task, or that its task waited for, is kept, and the task is recorded.
 * Takes the task. `known`: the ledger had the task already (`begins`) or has had the message, and
 * nothing was changed; else `loaded` is the message, the callback's. */
typedef void journal_admit_callback(void *context, struct journal_loaded *loaded,
                                    const struct journal_task *known);
void journal_task_admit(struct journal *journal, struct journal_task *task, bool begins,
                        const struct journal_run *row, journal_admit_callback *then, void *context);
/* Takes the task. */
void journal_task_put(struct journal *journal, struct journal_task *task,
                      void (*then)(void *context), void *context);
/* `tasks`: what was found, to be taken by the callback; `total`: see ledger_tasks_ended. `cut`:
 * large ones came, and there are more than these. `failed`: the ledger cannot be read. */
typedef void journal_tasks_callback(void *context, struct journal_task *tasks, int64_t total,
                                    bool cut, bool failed);
void journal_task_get(struct journal *journal, const char *id, journal_tasks_callback *then,
                      void *context);
void journal_tasks_ended(struct journal *journal, const struct ledger_task_query *query,
                         journal_tasks_callback *then, void *context);
void journal_notification_drop(struct journal *journal, int64_t sequence);
void journal_tasks_expire(struct journal *journal, int64_t before_ms);
/* What an earlier process left, in order; the caller takes both lists. Blocks: before anything
 * runs. false: the ledger cannot be read. */
bool journal_tasks_load(struct journal *journal, struct journal_task **tasks,
                        struct journal_notification **notifications);

/* --- for the control socket --- */

/* Dead letters of a live host. `loaded`: it will be retried; the callback's. */
enum journal_dead_verb { JOURNAL_DEAD_RETRY, JOURNAL_DEAD_DROP };
void journal_dead_letter(struct journal *journal, enum journal_dead_verb verb, const char *row_id,
                         void (*done)(void *context, struct journal_loaded *loaded, bool found),
                         void *context);
#define JOURNAL_SLEEPERS 100 /* at most */
/* NULL: the journal is closing. `sleepers`: messages whose handlers sleep, [{row_id, until}, …],
 * those that are due first first; borrowed. */
typedef void journal_counts_callback(void *context, const struct ledger_counts *counts,
                                     json_t *sleepers);
void journal_counts(struct journal *journal, journal_counts_callback *counted, void *context);
/* That list, of a ledger that is open. Yours; empty where it cannot be read. */
json_t *journal_list_sleepers(struct ledger *ledger);

#endif
