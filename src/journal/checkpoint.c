/* Moves the write-ahead log into the database in parallel with commits, on libuv's pool: a
 * checkpoint inside a commit would hold it up for milliseconds. On the disk thread. */
#include "journal/job.h"

#include "base/memory.h"

#include <stdlib.h>

#define CHECKPOINT_PAGES 4000 /* of 4 KiB more in the write-ahead log */
/* 32 MiB; then commits wait for the rest of a checkpoint, some milliseconds */
#define LOG_PAGES_MAXIMUM 8000

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
