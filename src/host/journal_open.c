/* Ledgers are opened when they are needed; a process with many workspaces keeps some of them open.
 */
#include "host/journal_operation.h"

#include "base/log.h"
#include "host/workspace.h"

#define TRIES 3

static void list_first(struct journal *journal)
{
    struct host *host = journal->workspace->host;
    journal->open_previous = NULL;
    journal->open_next = host->open_first;
    if (host->open_first)
        host->open_first->open_previous = journal;
    else
        host->open_last = journal;
    host->open_first = journal;
    host->open_ledgers++;
    journal->listed = true;
}

void journal_unlist(struct journal *journal)
{
    struct host *host = journal->workspace->host;
    if (!journal->listed)
        return;
    if (journal->open_previous)
        journal->open_previous->open_next = journal->open_next;
    else
        host->open_first = journal->open_next;
    if (journal->open_next)
        journal->open_next->open_previous = journal->open_previous;
    else
        host->open_last = journal->open_previous;
    host->open_ledgers--;
    journal->listed = false;
}

/* The one that was not used for the longest time. If all are in use, what is under way in one is
 * committed now. false: none can be closed. */
static bool close_one(struct host *host)
{
    struct journal *journal = host->open_last;
    while (journal && (journal->in_transaction || journal->checkpointing))
        journal = journal->open_previous;
    for (struct journal *each = host->open_last; !journal && each; each = each->open_previous)
        if (!each->checkpointing) {
            each->batch.commit(&each->batch);
            journal = each->in_transaction || each->checkpointing ? NULL : each;
        }
    if (!journal)
        return false;
    journal_unlist(journal);
    ledger_close(journal->ledger);
    journal->ledger = NULL;
    return true;
}

/* If it fails, it may be for want of descriptors: then with those kept back, and with those of
 * another ledger. */
static bool open_ledger(struct journal *journal, char *problem, size_t size)
{
    struct host *host = journal->workspace->host;
    while (host->open_ledgers >= atomic_load(&host->ledgers_maximum) && close_one(host))
        ;
    enum ledger_status status;
    int tries = 0;
    do {
        status = ledger_open(&journal->ledger, journal->path, journal->platform_url,
                             journal->made ? LEDGER_WRITE_AGAIN : LEDGER_WRITE, problem, size);
        if (status == LEDGER_FAILED)
            reserve_lend(&host->reserve);
    } while (status == LEDGER_FAILED && ++tries < TRIES && (close_one(host) || tries == 1));
    reserve_fill(&host->reserve);
    return status == LEDGER_OPENED;
}

void journal_say_mode(struct journal *journal)
{
    if (!journal->ledger || !ledger_is_plain(journal->ledger) || journal->said_journal)
        return;
    journal->said_journal = true;
    log_warn(journal->workspace->settings.id,
             "state: the file system of %s has no shared memory maps; the ledger keeps a rollback "
             "journal instead of a write-ahead log, which is slower and no less safe",
             journal->path);
}

bool journal_open_ledger(struct journal *journal, char *problem, size_t size)
{
    if (journal->listed && journal == journal->workspace->host->open_first)
        return true;
    journal_unlist(journal);
    if (!journal->ledger) {
        if (!open_ledger(journal, problem, size))
            return false;
        journal->made = true;
        journal_say_mode(journal);
    }
    list_first(journal);
    return true;
}
