/* The ledger: <state-dir>/<workspace-id>.db. What happened to each message, the exact reply it got,
 * and what could not be answered. SQLite, WAL; its files are the only ones that know sqlite3.h.
 *
 * A message's states: replied (the exact reply is stored) -> finished; or kept (it runs again
 * later, from here, and the cursor may have passed it); or dead (set aside until someone retries or
 * drops it). What is under way for the first time is not here yet: state/runs.h counts its attempt.
 *
 * All functions block on the disk and belong to the disk thread, or to a process that holds the
 * workspace's lock, or (opened read-only) to anyone. Changes are made inside ledger_begin …
 * ledger_commit; a commit is safe against a crash of the process, and against power loss after
 * ledger_commit_durably. false or NULL: ledger_problem says why, and the transaction must be rolled
 * back. */
#ifndef MOLECULE_STATE_LEDGER_H
#define MOLECULE_STATE_LEDGER_H

#include "base/changes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(enumerator, number in the file, word). "elsewhere": answered by another client, unless the
 * platform delivers it again. */
#define LEDGER_STATES(X)              \
    X(LEDGER_REPLIED, 2, "replied")   \
    X(LEDGER_FINISHED, 3, "finished") \
    X(LEDGER_KEPT, 4, "kept")         \
    X(LEDGER_DEAD, 5, "dead")         \
    X(LEDGER_ELSEWHERE, 6, "elsewhere")
enum ledger_state {
    LEDGER_UNREADABLE = -1, /* it could not be looked up */
    LEDGER_UNKNOWN = 0,
#define X(name, number, text) name = number,
    LEDGER_STATES(X)
#undef X
};
const char *ledger_state_text(enum ledger_state state);

enum ledger_mode {
    LEDGER_WRITE, /* created if missing */
    LEDGER_WRITE_EXISTING,
    /* like LEDGER_WRITE, for one that this process had open before: not checked again */
    LEDGER_WRITE_AGAIN,
    /* leaves no file: one whose process has closed it is taken as it is, and what a process writes
       from then on may be read in parts. To be shown */
    LEDGER_READ,
    /* as of one moment, whoever writes meanwhile; may leave an empty log. To be kept */
    LEDGER_READ_SHARED
};

enum ledger_status {
    LEDGER_OPENED,
    LEDGER_ABSENT,         /* no file, and the mode does not create one */
    LEDGER_DAMAGED,        /* not a database, or it fails its check */
    LEDGER_OTHER_PLATFORM, /* it belongs to another platform URL */
    LEDGER_NEWER,          /* made by a newer version of molecule */
    LEDGER_FAILED          /* cannot be opened */
};

struct ledger;

/* `platform_url` NULL: not checked. Migrates an older schema forward. `*ledger` is NULL unless it
 * opened. */
enum ledger_status ledger_open(struct ledger **ledger, const char *path, const char *platform_url,
                               enum ledger_mode mode, char *problem, size_t problem_size);
/* true: its file system has no shared memory maps, so that it keeps a rollback journal instead of a
 * write-ahead log. */
bool ledger_is_plain(const struct ledger *ledger);
void ledger_close(struct ledger *ledger); /* NULL is fine */
/* Moves a damaged database out of the way, with its log: <path>.damaged-<time>. false: `problem`
 * says why. */
bool ledger_set_aside(const char *path, char *problem, size_t problem_size);
const char *ledger_sqlite_version(void); /* "3.40.1" */
/* Of the database and its write-ahead log. */
int64_t ledger_bytes(const struct ledger *ledger);
const char *ledger_problem(const struct ledger *ledger);
/* Reads all of it, however large. false: `problem` says what is wrong. */
bool ledger_check(struct ledger *ledger, char *problem, size_t problem_size);
/* Writes it, as of one commit, to a new file of mode 0600, on disk when it returns; a writer in
 * another process continues meanwhile. false: no file is left, `problem` says why. */
bool ledger_copy(struct ledger *ledger, const char *to, char *problem, size_t problem_size);
/* Gives the disk back what it holds no longer. Nobody else may have it open. */
bool ledger_compact(struct ledger *ledger, char *problem, size_t problem_size);

bool ledger_begin(struct ledger *ledger);
bool ledger_commit(struct ledger *ledger);
bool ledger_commit_durably(struct ledger *ledger); /* fsync before it returns */
void ledger_rollback(struct ledger *ledger);
/* Moves the write-ahead log into the database through a separate connection, in parallel with
 * writers. Any thread. */
void ledger_checkpoint(const char *path);
/* Moves what a ledger_checkpoint that ran beside commits has left, so that the next commit restarts
 * the log; outside a transaction. Under a steady load, which always leaves something, the log would
 * grow forever. */
void ledger_restart_log(struct ledger *ledger);
/* Pages in the write-ahead log after the last commit. */
int ledger_log_pages(const struct ledger *ledger);

/* Everything kept of one message. Strings and bytes are borrowed until the next call. */
struct ledger_message {
    const char *row_id;
    enum ledger_state state;
    const char *row; /* the row as fetched; NULL once finished */
    size_t row_length;
    unsigned attempts, failures;
    unsigned retries;      /* attempts that asked for another one (molecule.retry) */
    int64_t first_seen_ms; /* wall clock */
    int64_t age_ms;        /* how long processes have had it; open ones only */
    int64_t updated_ms;    /* of the last change */
    int64_t due_ms;        /* wall clock; of a kept one */
    bool hold;             /* its conversation waits with it */
    /* the cursor is, or may be, past it: only the ledger can bring it back */
    bool passed;
    /* the stored reply tells the sender about a dead letter */
    bool dead_after_reply;
    bool to_canvas; /* the stored reply; NULL body: none */
    const char *target, *reply_id, *body;
    size_t body_length;
    const char *outcome, *reason, *traceback;
    const char *digest;     /* of a reply to the canvas, to count equal ones */
    bool has_steps;         /* it may have: they are forgotten when it is finished */
    const char *source;     /* "canvas" or the peer's id */
    const char *created_at; /* the platform's stamp */
};

enum ledger_state ledger_state_of(struct ledger *ledger, const char *row_id);

/* The exact reply, before its first post. */
bool ledger_reply(struct ledger *ledger, const struct ledger_message *message);
/* Finished with its outcome ("replied", "no_reply", …), or dead if the stored reply said so. Of the
 * message only row_id, outcome, source, created_at and digest are read. */
bool ledger_finish(struct ledger *ledger, const struct ledger_message *message);
/* Runs again at due_ms, or its stored reply is posted again then. */
bool ledger_keep(struct ledger *ledger, const struct ledger_message *message);
/* Waits for its next attempt; the cursor has not passed it. */
bool ledger_wait(struct ledger *ledger, const struct ledger_message *message);
bool ledger_die(struct ledger *ledger, const struct ledger_message *message);
/* Another client moved the cursor: what was under way and not kept is left to it. */
bool ledger_leave_to_others(struct ledger *ledger);
/* The platform brought a row that we thought was answered elsewhere. */
bool ledger_take_back(struct ledger *ledger, const char *row_id);

/* Replied and kept messages, in the order in which they were first recorded. The callback returns
 * false to end. Do not change the ledger from inside. */
bool ledger_each_open(struct ledger *ledger,
                      bool (*each)(const struct ledger_message *message, void *context),
                      void *context);
bool ledger_each_dead(struct ledger *ledger,
                      bool (*each)(const struct ledger_message *message, void *context),
                      void *context);
/* One whole message. false: none. */
bool ledger_find(struct ledger *ledger, const char *row_id,
                 bool (*each)(const struct ledger_message *message, void *context), void *context);

/* One that is finished: its id, outcome, source and updated_ms. false: none. */
bool ledger_find_finished(struct ledger *ledger, const char *row_id,
                          bool (*each)(const struct ledger_message *message, void *context),
                          void *context);

/* A start has loaded the open messages: from now on only the ledger brings them back. */
bool ledger_pass_open(struct ledger *ledger);
/* How many replies to the canvas with this digest were finished since then (wall clock), but for
 * one row's, and how often handlers told it the same (their marks among the answers hold the
 * digest); -1: failed. */
int64_t ledger_count_same(struct ledger *ledger, const char *digest, int64_t since_ms,
                          const char *but_row_id);

/* Dead letters: retried, or forgotten except for the id. `*found`: it was dead. */
bool ledger_retry_dead(struct ledger *ledger, const char *row_id, int64_t now_ms, bool *found);
bool ledger_drop_dead(struct ledger *ledger, const char *row_id, bool *found);

/* The cursor that stands in the file, as of the commit before it is saved. NULL: none. Yours to
 * free. */
char *ledger_cursor(struct ledger *ledger);
char *ledger_cursor_before(struct ledger *ledger); /* the one before that */
/* `origin`: the cursor that stood in the file before this ledger had one; NULL: none, this is the
 * very first. */
bool ledger_set_cursor(struct ledger *ledger, const char *row_id, const char *created_at,
                       int64_t last_poll_ms, const char *origin);
bool ledger_forget_anchor(struct ledger *ledger);
/* A cursor of at least ten seconds before, or the origin, to re-read from. "": none before the
 * cursor; NULL: unknown. */
char *ledger_anchor(struct ledger *ledger);
int64_t ledger_last_poll(struct ledger *ledger); /* 0: unknown */

/* --- the script's store (ledger_store.c): JSON values by key --- */

/* `*value` is the JSON text; NULL: no such key, or it has expired. Yours to free. */
bool ledger_store_get(struct ledger *ledger, const char *key, char **value);
/* Up to `most` keys that begin with `prefix`, in order. */
bool ledger_store_keys(struct ledger *ledger, const char *prefix, int64_t most,
                       void (*each)(const char *key, void *context), void *context);
/* All of them, inside the caller's transaction. CHANGE_INCR and CHANGE_APPEND are replayed on what
 * is stored now; on a value of another type they start over, on one that is not JSON they fail. */
bool ledger_store_apply(struct ledger *ledger, const struct changes *changes);

/* What a peer answered to a message that a handler sent under this id: a handler that runs again
 * after a crash gets this instead of asking twice. Forgotten after `keep_ms`. */
bool ledger_answer_get(struct ledger *ledger, const char *message_id, char **answer);
bool ledger_answer_set(struct ledger *ledger, const char *message_id, const char *answer,
                       int64_t keep_ms);
/* Removes at most `most` expired values, and all expired answers; only the newest 2,000 answers
 * stay. */
bool ledger_store_expire(struct ledger *ledger, int most);

/* --- what handlers have done for good (ledger_steps.c) --- */

/* Borrowed. */
struct ledger_step {
    const char *key;    /* unique in its message */
    const char *kind;   /* "step", "failed", "sleep" */
    const char *digest; /* of what it was given */
    const char *value;  /* JSON; of "failed": why its result could not be recorded */
    int64_t at_ms;      /* wall clock; when it was recorded */
};

/* `*added` false: its key is recorded already, and stays as it is. */
bool ledger_step_set(struct ledger *ledger, const char *row_id, const struct ledger_step *step,
                     bool *added);
/* Whether there is any, of whatever message; false where that cannot be read, too. */
bool ledger_steps_any(struct ledger *ledger);
/* In the order in which they were recorded. */
bool ledger_steps_each(struct ledger *ledger, const char *row_id,
                       void (*each)(const struct ledger_step *step, void *context), void *context);
/* Messages whose handlers sleep, those that are due first first, at most so many; wall clock. */
bool ledger_sleepers_each(struct ledger *ledger, int most,
                          void (*each)(const char *row_id, int64_t until_ms, void *context),
                          void *context);
bool ledger_steps_forget(struct ledger *ledger, const char *row_id);

/* --- questions of handlers (ledger_questions.c): steps of the kinds "ask", "posted" (under its key
 * and "/posted") and "answer" (… and "/answer"), each a JSON object --- */

/* Those that have no answer, in the order in which they were asked. `posted` NULL: it was not
 * posted, as far as is known. */
bool ledger_questions_each(struct ledger *ledger,
                           void (*each)(const char *row_id, const char *key, const char *asked,
                                        const char *posted, void *context),
                           void *context);
/* Its message is a dead letter: those without an answer are no more. */
bool ledger_questions_cancel(struct ledger *ledger, const char *row_id);
/* A message that waits is due now. */
bool ledger_wake(struct ledger *ledger, const char *row_id);

/* --- schedules (ledger_schedule.c) --- */

/* When a schedule of this name was last due, epoch seconds. `form`: the rest of what it is; false:
 * none of that form was recorded, `*last_s` stays as it is. */
bool ledger_schedule_last(struct ledger *ledger, const char *name, const char *form,
                          int64_t *last_s);
bool ledger_schedule_set(struct ledger *ledger, const char *name, const char *form, int64_t last_s);
/* Forgets runs that were finished a week ago, a few at a time: the cursor's progress, by which
 * messages are forgotten, does not tell how old they are. */
bool ledger_schedule_prune(struct ledger *ledger);

/* --- tasks of molecule serve (ledger_tasks.c) --- */

/* Borrowed. */
struct ledger_task {
    const char *id, *principal, *context_id;
    int state;            /* the caller's number for it */
    bool open;            /* it has not ended */
    int64_t updated_ms;   /* when its status last changed; wall clock */
    const char *document; /* JSON; the caller's */
};
typedef void ledger_task_visitor(const struct ledger_task *task, void *context);

/* `*added` false: it is there already, and stays as it is. */
bool ledger_task_add(struct ledger *ledger, const struct ledger_task *task, bool *added);
/* Its state, open, updated_ms and document; one that is not there is left out. */
bool ledger_task_put(struct ledger *ledger, const struct ledger_task *task);
/* `each` is not called if there is none. */
bool ledger_task_get(struct ledger *ledger, const char *id, ledger_task_visitor *each,
                     void *context);
/* In the order in which they began. */
bool ledger_tasks_open(struct ledger *ledger, ledger_task_visitor *each, void *context);

/* What a task got since its document was written, which puts an end to it: JSON, the caller's.
 * `sequence`: the caller's, rising. */
bool ledger_piece_add(struct ledger *ledger, const char *task_id, int64_t sequence,
                      const char *piece);
bool ledger_pieces_each(struct ledger *ledger, const char *task_id,
                        void (*each)(const char *piece, void *context), void *context);

struct ledger_task_query {
    const char *principal, *context_id; /* context_id NULL: any */
    int state;                          /* -1: any */
    int64_t since_ms;                   /* status changed then or later; 0: whenever */
    /* only what follows this one in the list; NULL: from its beginning */
    const char *after_id;
    int64_t after_ms;
    int most;
    bool whole; /* else without their artifacts, which may be large */
};
/* Of those that have ended, the ones whose status changed last first. `*total`: how many there are
 * in all, whatever `after` and `most`. */
bool ledger_tasks_ended(struct ledger *ledger, const struct ledger_task_query *query,
                        ledger_task_visitor *each, void *context, int64_t *total);
/* Forgets tasks that ended before, and finished messages, at most so many of each. */
bool ledger_tasks_expire(struct ledger *ledger, int64_t before_ms, int most);

/* What is to be told to a webhook of a task. Borrowed. */
struct ledger_notification {
    int64_t sequence; /* the caller's, rising */
    const char *task_id;
    const char *config; /* JSON: where to, and how; the caller's */
    const char *type;   /* Content-Type */
    const char *body;
    size_t length;
    int64_t at_ms; /* wall clock */
};
bool ledger_notification_add(struct ledger *ledger, const struct ledger_notification *notification);
bool ledger_notification_drop(struct ledger *ledger, int64_t sequence);
bool ledger_notifications_each(struct ledger *ledger,
                               void (*each)(const struct ledger_notification *notification,
                                            void *context),
                               void *context);

struct ledger_counts {
    int64_t by_state[LEDGER_ELSEWHERE + 1];
    int64_t oldest_pending_ms; /* first_seen_ms of the oldest open message; 0: none */
};
bool ledger_count(struct ledger *ledger, struct ledger_counts *counts);

/* Forgets finished messages whose stamp is `keep_seconds` before the cursor row's, oldest first, at
 * most `most`. */
bool ledger_prune(struct ledger *ledger, int64_t keep_seconds, int most);

#endif
