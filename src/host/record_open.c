/* Ledgers are opened when they are needed; a process with many workspaces keeps some of them open. */
#include "host/record_operation.h"

#include "host/workspace.h"

#define OPEN_MAXIMUM 256 /* each has three descriptors */

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

static void close_idle(struct host *host)
{
    struct record *previous;
    for (struct record *record = host->open_last; record && host->open_ledgers >= OPEN_MAXIMUM; record = previous) {
        previous = record->open_previous;
        if (record->in_transaction || record->checkpointing)
            continue;
        record_unlist(record);
        ledger_close(record->ledger);
        record->ledger = NULL;
    }
}

bool record_open_ledger(struct record *record, char *problem, size_t size)
{
    if (record->listed && record == record->workspace->host->open_first)
        return true;
    record_unlist(record);
    if (!record->ledger) {
        close_idle(record->workspace->host);
        if (ledger_open(&record->ledger, record->path, record->platform_url, LEDGER_WRITE, problem, size) != LEDGER_OPENED)
            return false;
        record->made = true;
    }
    list_first(record);
    return true;
}
