/* Ledgers are opened when they are needed; a process with many workspaces keeps some of them open. */
#include "host/record_operation.h"

#include "base/log.h"
#include "host/workspace.h"

#define TRIES 3

static void list_first(struct record *record)
{
    struct host *host = record->workspace->host;
    record->open_previous = NULL;
    record->open_next = host->open_first;
    if (host->open_first)
        host->open_first->open_previous = record;
    else
        host->open_last = record;
    host->open_first = record;
    host->open_ledgers++;
    record->listed = true;
}

void record_unlist(struct record *record)
{
    struct host *host = record->workspace->host;
    if (!record->listed)
        return;
    if (record->open_previous)
        record->open_previous->open_next = record->open_next;
    else
        host->open_first = record->open_next;
    if (record->open_next)
        record->open_next->open_previous = record->open_previous;
    else
        host->open_last = record->open_previous;
    host->open_ledgers--;
    record->listed = false;
}

/* The one that was not used for the longest time. If all are in use, what is under way in one is committed now. false: none
 * can be closed. */
static bool close_one(struct host *host)
{
    struct record *record = host->open_last;
    while (record && (record->in_transaction || record->checkpointing))
        record = record->open_previous;
    for (struct record *each = host->open_last; !record && each; each = each->open_previous)
        if (!each->checkpointing) {
            each->batch.commit(&each->batch);
            record = each->in_transaction || each->checkpointing ? NULL : each;
        }
    if (!record)
        return false;
    record_unlist(record);
    ledger_close(record->ledger);
    record->ledger = NULL;
    return true;
}

/* If it fails, it may be for want of descriptors: then with those kept back, and with those of another ledger. */
static bool open_ledger(struct record *record, char *problem, size_t size)
{
    struct host *host = record->workspace->host;
    while (host->open_ledgers >= atomic_load(&host->ledgers_maximum) && close_one(host))
        ;
    enum ledger_status status;
    int tries = 0;
    do {
        status = ledger_open(&record->ledger, record->path, record->platform_url,
                             record->made ? LEDGER_WRITE_AGAIN : LEDGER_WRITE, problem, size);
        if (status == LEDGER_FAILED)
            reserve_lend(&host->reserve);
    } while (status == LEDGER_FAILED && ++tries < TRIES && (close_one(host) || tries == 1));
    reserve_fill(&host->reserve);
    return status == LEDGER_OPENED;
}

void record_say_journal(struct record *record)
{
    if (!record->ledger || !ledger_is_plain(record->ledger) || record->said_journal)
        return;
    record->said_journal = true;
    log_warn(record->workspace->settings.id, "state: the file system of %s has no shared memory maps; the ledger keeps a rollback "
                                             "journal instead of a write-ahead log, which is slower and no less safe", record->path);
}

bool record_open_ledger(struct record *record, char *problem, size_t size)
{
    if (record->listed && record == record->workspace->host->open_first)
        return true;
    record_unlist(record);
    if (!record->ledger) {
        if (!open_ledger(record, problem, size))
            return false;
        record->made = true;
        record_say_journal(record);
    }
    list_first(record);
    return true;
}
