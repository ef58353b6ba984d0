#include "journal/open_ledgers.h"

#include "journal/job.h"

#define TRIES 3

static void list_first(struct open_ledgers *open, struct journal *journal)
{
    journal->open_previous = NULL;
    journal->open_next = open->first;
    if (open->first)
        open->first->open_previous = journal;
    else
        open->last = journal;
    open->first = journal;
    open->count++;
    journal->listed = true;
}

static void unlist(struct open_ledgers *open, struct journal *journal)
{
    if (!journal->listed)
        return;
    if (journal->open_previous)
        journal->open_previous->open_next = journal->open_next;
    else
        open->first = journal->open_next;
    if (journal->open_next)
        journal->open_next->open_previous = journal->open_previous;
    else
        open->last = journal->open_previous;
    open->count--;
    journal->listed = false;
}

void open_ledgers_close(struct open_ledgers *open, struct journal *journal)
{
    unlist(open, journal);
    ledger_close(journal->ledger);
    journal->ledger = NULL;
}

/* The least recently used one. If all are in use, what is under way in one is committed now. false:
 * none can be closed. */
static bool close_one(struct open_ledgers *open)
{
    struct journal *journal = open->last;
    while (journal && (journal->in_transaction || journal->checkpointing))
        journal = journal->open_previous;
    for (struct journal *each = open->last; !journal && each; each = each->open_previous)
        if (!each->checkpointing) {
            each->batch.commit(&each->batch);
            journal = each->in_transaction || each->checkpointing ? NULL : each;
        }
    if (journal)
        open_ledgers_close(open, journal);
    return journal != NULL;
}

static bool open_one(struct open_ledgers *open, struct journal *journal, char *problem, size_t size)
{
    while (open->count >= atomic_load(&open->maximum) && close_one(open))
        ;
    enum ledger_status status;
    int tries = 0;
    do {
        status = ledger_open(&journal->ledger, journal->path, journal->env.platform_url,
                             journal->made ? LEDGER_WRITE_AGAIN : LEDGER_WRITE, problem, size);
        if (status == LEDGER_FAILED)
            reserve_lend(open->reserve);
    } while (status == LEDGER_FAILED && ++tries < TRIES && (close_one(open) || tries == 1));
    reserve_fill(open->reserve);
    return status == LEDGER_OPENED;
}

bool open_ledgers_use(struct open_ledgers *open, struct journal *journal, char *problem,
                      size_t size)
{
    if (journal->listed && journal == open->first)
        return true;
    unlist(open, journal);
    if (!journal->ledger) {
        if (!open_one(open, journal, problem, size))
            return false;
        journal->made = true;
        journal_say_mode(journal);
    }
    list_first(open, journal);
    return true;
}
