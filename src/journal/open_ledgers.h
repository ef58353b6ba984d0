/* Which of a process's ledgers are open. A process with many workspaces keeps some of them open:
 * those that were used last. The host makes one; the rest is the disk thread's. */
#ifndef MOLECULE_JOURNAL_OPEN_LEDGERS_H
#define MOLECULE_JOURNAL_OPEN_LEDGERS_H

#include "base/reserve.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct journal;

struct open_ledgers {
    struct journal *first, *last; /* most recently used first */
    size_t count;
    atomic_size_t maximum; /* of them; set on the network thread */
    struct reserve *reserve;
};

/* The journal's ledger is open when this returns, and was used last. If it cannot be opened,
 * descriptors may be lacking: then it gets the reserved ones, and those of another ledger. false:
 * `problem` says why. */
bool open_ledgers_use(struct open_ledgers *open, struct journal *journal, char *problem,
                      size_t size);
/* Closes it, if it is open. */
void open_ledgers_close(struct open_ledgers *open, struct journal *journal);

#endif
