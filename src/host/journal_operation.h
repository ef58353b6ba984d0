/* What the files of the journal share. Only they include this. */
#ifndef MOLECULE_HOST_JOURNAL_OPERATION_H
#define MOLECULE_HOST_JOURNAL_OPERATION_H

#include "host/journal.h"
#include "state/disk.h"

/* One thing to write or to read, on its way to the disk thread and back. */
struct operation {
    struct task task;
    struct operation *next;
    struct journal *journal;
    bool (*perform)(struct operation *operation); /* on the disk thread, in a transaction */
    void (*deliver)(struct operation *operation); /* on the network thread, once committed */
    bool durable, failed;
    /* its success does not say that the ledger can be written; it overtakes what cannot be written
     */
    bool reads;
    bool leads; /* the first of those that are tried again */
    char problem[256];
    struct inbox_entry *entry; /* the network thread's: the disk thread has `message` */
    /* the entry as it was when this was submitted; its row, id, stamp and source are ours */
    struct ledger_message message;
    journal_callback *then;
    void *context;
    /* borrowed, and left alone until this is delivered, as are `changes` */
    const struct reply_request *request;
    char *text, *traceback, *row_id; /* owned */
    int64_t number, since_ms;
    bool flag;
    /* known */
    char **ids;
    struct journal_known known;
    void (*then_known)(struct workspace *workspace, struct journal_known *known);
    /* dead letters, counts */
    enum journal_dead_verb verb;
    struct journal_loaded *loaded;
    void (*then_dead)(void *context, struct journal_loaded *loaded, bool found);
    struct ledger_counts counts;
    void (*then_counts)(void *context, const struct ledger_counts *counts);
    void (*then_number)(void *context, int64_t number);
    /* the store */
    const struct changes *changes; /* to the store, applied in the same transaction; NULL: none */
    bool settles;                  /* they are the entry's, and stand with it */
    char *value;
    void (*then_value)(void *context, char *value);
};

struct journal {
    struct workspace *workspace;
    struct disk *disk;
    struct thread *network;
    char *path;
    const char *platform_url;
    /* the disk thread's */
    struct disk_batch batch; /* `commit` finds the journal by its place */
    struct ledger *ledger;
    struct journal *open_next, *open_previous; /* among the host's open ledgers, while `listed` */
    bool listed;
    bool said_journal; /* journal_say_mode */
    char *origin;      /* the cursor that this process began with; NULL: none */
    /* there is a ledger file, open or not; until anything runs the network thread's */
    bool made;
    struct operation *performed, **performed_end;
    bool in_transaction, durable;
    unsigned finished;
    bool checkpointing;
    int checkpointed_pages; /* of the log, at the last one's start */
    bool refusing;          /* something failed: nothing is written before it is tried again */
    char refusal[256];
    /* the network thread's */
    bool exists, failing, closing;
    char problem[256];
    /* in order; behind them, what was to be written since */
    struct operation *failed, **failed_end;
    size_t writing;                           /* under way to the disk thread and back */
    struct operation *patient, **patient_end; /* may wait for company */
    uv_timer_t timer, patience;
    int closed_timers;
    int64_t retry_ms;
};

struct operation *journal_operation(struct journal *journal,
                                    bool (*perform)(struct operation *operation),
                                    void (*deliver)(struct operation *operation));
void journal_submit(struct operation *operation);
/* with the next one, or in some milliseconds */
void journal_submit_soon(struct operation *operation);
/* A message as the ledger has it. journal_loaded_free. */
struct journal_loaded *journal_copy_message(const struct ledger_message *message);

/* host/journal_open.c, on the disk thread: opens the ledger if it is not, and closes those that
 * were not used for the longest time when there are too many. */
bool journal_open_ledger(struct journal *journal, char *problem, size_t size);
/* Says once that its ledger has no write-ahead log. */
void journal_say_mode(struct journal *journal);
void journal_unlist(struct journal *journal);

#endif
