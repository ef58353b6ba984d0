/* What the files of the journal share. Only they include this. */
#ifndef MOLECULE_JOURNAL_JOB_H
#define MOLECULE_JOURNAL_JOB_H

#include "journal/journal.h"

struct job;

/* One kind of job. */
struct job_type {
    bool (*perform)(struct job *job); /* on the disk thread, in a transaction */
    void (*deliver)(struct job *job); /* on the network thread, once committed */
    /* on the network thread: it never will be; NULL: whoever waits for it is closed by then */
    void (*give_up)(struct job *job);
    void (*release)(struct job *job); /* frees what it holds, on the network thread */
    bool durable;                     /* synced to disk before it is delivered */
    bool reads;                       /* a read: it overtakes what cannot be written */
};

/* A step of a message as it was when the job was made. `message`: its row has one more owner, its
 * other strings are the job's. */
struct job_step {
    struct inbox_entry *entry; /* the network thread's */
    const char *names;         /* base/shared.h: of the message's texts */
    struct ledger_message message;
    struct changes *changes;
    struct journal_task *task; /* NULL: none */
    journal_callback *then;
    void *context;
};

struct job_reply {
    struct job_step step; /* first, as in all steps */
    struct reply_request *request;
    char *dead_reason, *traceback;
};

struct job_finish {
    struct job_step step;
    struct journal_handler_step answer; /* owned, but for the kind; key NULL: it is none */
    char *outcome;
    struct reply_request *request; /* NULL: none */
};

struct job_defer {
    struct job_step step;
    int64_t due_ms;
    bool hold;
    char *reason;
};

struct job_dead {
    struct job_step step;
    char *reason, *traceback;
};

struct job_known {
    char **ids;
    bool take_back;
    struct journal_known known;
    void (*then)(void *context, struct journal_known *known);
    void *context;
};

struct job_count_same {
    char *digest, *but_row_id;
    int64_t since_ms, count;
    void (*then)(void *context, int64_t count);
    void *context;
};

struct job_dead_letter {
    enum journal_dead_verb verb;
    char *row_id;
    bool found;
    struct journal_loaded *loaded;
    void (*then)(void *context, struct journal_loaded *loaded, bool found);
    void *context;
};

struct job_counts {
    struct ledger_counts counts;
    json_t *sleepers;
    journal_counts_callback *then;
    void *context;
};

/* A value of the store, its keys, or a peer's answer. */
struct job_value {
    char *key, *value;
    int64_t most;
    journal_value_callback *then;
    void *context;
};

struct job_commit {
    struct changes *changes;
    void (*then)(void *context, struct changes *changes);
    void *context;
};

struct job_handler_step {
    struct journal_handler_step texts; /* owned, but for the kind */
    struct changes *changes;           /* NULL: none */
    void (*then)(void *context, struct changes *changes);
    void *context;
};

/* When a schedule was last due, or a run of it. */
struct job_schedule {
    char *name, *form;
    int64_t at_s; /* now, or when the run is due: epoch seconds */
    bool starts_over;
    int64_t since_s; /* the answer */
    char *row_id, *row, *created_at, *source;
    size_t row_length;
    bool is_new; /* the run */
    struct journal_loaded *loaded;
    journal_since_callback *then_since;
    journal_run_callback *then_run;
    void *context;
};

/* A task of molecule serve, or what is asked of them. */
struct job_task {
    struct journal_task *task; /* to be recorded; NULL: none */
    bool begins;
    char *row_id, *row, *created_at, *source; /* of its message */
    size_t row_length;
    struct journal_loaded *loaded;
    bool is_new;                    /* it was, in a try whose commit failed perhaps */
    struct ledger_task_query query; /* its texts are owned */
    int64_t number;                 /* a sequence, or a time */
    struct journal_task *found, **found_end;
    size_t found_bytes; /* of their documents */
    bool listed;        /* they are a page */
    bool cut;           /* there are more, but these are large */
    int64_t total;
    journal_admit_callback *admitted;
    journal_tasks_callback *then_found;
    void (*then)(void *context);
    void *context;
};

/* One thing to write or to read, on its way to the disk thread and back. It holds nothing that
 * anyone else changes. */
struct job {
    struct task task;
    struct job *next;
    struct journal *journal;
    const struct job_type *type; /* says which of these it is */
    union {
        struct job_step step;
        struct job_reply reply;
        struct job_finish finish;
        struct job_defer defer;
        struct job_dead dead;
        struct job_known known;
        struct job_count_same count_same;
        struct job_dead_letter dead_letter;
        struct job_counts counts;
        struct job_value value;
        struct job_commit commit;
        struct job_handler_step handler_step;
        struct job_schedule schedule;
        struct job_task tasks;
    };
};

struct job_queue {
    struct job *first, **end;
};

void job_queue_add(struct job_queue *queue, struct job *job);
struct job *job_queue_take_all(struct job_queue *queue); /* linked by `next`; NULL: it was empty */

struct retry;

struct journal {
    struct journal_env env;
    char *path;
    struct journal_counts counts;
    /* the disk thread's */
    struct disk_batch batch;                   /* `commit` finds the journal by its place */
    struct ledger *ledger;                     /* NULL: closed */
    struct journal *open_next, *open_previous; /* of the open ledgers, while `listed` */
    bool listed;
    bool said_mode; /* journal_say_mode */
    char *origin;   /* the cursor that this process began with; NULL: none */
    bool made;      /* there is a ledger file; until anything runs the network thread's */
    struct job_queue performed; /* in the transaction */
    bool in_transaction, durable;
    unsigned finished; /* messages since the last pruning */
    int64_t sized_us;  /* when the ledger's size was last looked at */
    bool checkpointing;
    int checkpointed_pages;  /* of the log, at the last one's start */
    struct job_queue failed; /* in order; then what was to be written since */
    struct retry *retry;     /* its timer; NULL: not needed yet */
    /* the network thread's */
    bool exists, failing, closing;
    bool had_steps; /* of handlers, when this process began */
    char problem[256];
    struct job_queue patient; /* may wait to share a commit */
    struct job_queue late;    /* came when the journal was closing; never done */
    uv_timer_t patience;
};

struct job *journal_job(struct journal *journal, const struct job_type *type);
void journal_submit(struct job *job);
void journal_submit_soon(struct job *job); /* with the next one, or within milliseconds */
/* A message as the ledger has it. journal_loaded_free. */
struct journal_loaded *journal_copy_message(const struct ledger_message *message);

/* handler_steps.c: its texts, but for the kind, are the copy's. */
struct journal_handler_step handler_step_copy(const struct journal_handler_step *step);
void handler_step_free(struct journal_handler_step *step);

/* --- the disk thread --- */

/* Says once that its ledger has no write-ahead log. */
void journal_say_mode(struct journal *journal);
/* writer.c: a job's first function there. */
void writer_run(struct task *task);
void writer_commit_batch(struct disk_batch *batch);
/* Commits what is under way, gives back what failed and closes the ledger. false: a checkpoint is
 * under way, try again after it. */
bool writer_close(struct journal *journal);
/* handler_steps.c: in a transaction; the changes may be NULL. */
bool handler_step_perform(struct journal *journal, const struct journal_handler_step *step,
                          struct changes *changes);
/* tasks.c: in a transaction. NULL is fine, and true. */
bool task_perform(struct ledger *ledger, const struct journal_task *task);
/* checkpoint.c */
void checkpoint_if_due(struct journal *journal);

/* journal.c, where writer.c sends what is done. On the network thread: */
void journal_deliver(struct task *task);
void journal_give_up(struct task *task); /* it was never done */

#endif
