/* Moves the write-ahead log into the database in parallel with commits, on libuv's pool: a
 * checkpoint inside a commit would hold it up for milliseconds. On the disk thread. */
#include "journal/job.h"

#include "base/memory.h"

#include <stdlib.h>

/* New ones in the write-ahead log, of 4 KiB. Its index is a hash table of page numbers: each commit
 * of the same few pages makes their chains longer, and they are walked for each page. So the log is
 * restarted early, though this takes two more syncs each time. */
#define CHECKPOINT_PAGES 2000
#define LOG_PAGES_MAXIMUM 2000 /* then commits wait for the rest of a checkpoint, milliseconds */

struct checkpoint {
    uv_work_t work; /* first */
    struct journal *journal;
    char *path;
};

static void run_checkpoint(uv_work_t *work)
{
    ledger_checkpoint(((struct checkpoint *)work)->path);
}

static void after_checkpoint(uv_work_t *work, int status)
{
    (void)status;
    struct checkpoint *checkpoint = (struct checkpoint *)work;
    struct journal *journal = checkpoint->journal;
    journal->checkpointing = false;
    if (journal->ledger && !journal->in_transaction &&
        ledger_log_pages(journal->ledger) >= LOG_PAGES_MAXIMUM)
        ledger_restart_log(journal->ledger);
    free(checkpoint->path);
    free(checkpoint);
}

void checkpoint_if_due(struct journal *journal)
{
    int pages = ledger_log_pages(journal->ledger);
    if (pages < journal->checkpointed_pages) /* the log was restarted */
        journal->checkpointed_pages = 0;
    if (journal->checkpointing || pages - journal->checkpointed_pages < CHECKPOINT_PAGES)
        return;
    journal->checkpointed_pages = pages;
    struct checkpoint *checkpoint = memory_allocate(sizeof *checkpoint);
    checkpoint->journal = journal;
    checkpoint->path = memory_copy_text(journal->path);
    journal->checkpointing = uv_queue_work(&journal->env.disk->thread.loop, &checkpoint->work,
                                           run_checkpoint, after_checkpoint) == 0;
    if (!journal->checkpointing)
        after_checkpoint(&checkpoint->work, 0);
}
