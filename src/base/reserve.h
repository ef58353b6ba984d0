/* File descriptors that are kept back for what must not fail for want of one: a script may have
 * taken all others. Where something could not be opened: reserve_lend, open it, reserve_fill. From
 * any thread. */
#ifndef MOLECULE_BASE_RESERVE_H
#define MOLECULE_BASE_RESERVE_H

#include <stdatomic.h>

#define RESERVE_SIZE 6 /* a ledger takes three, <id>.runs one, saving a cursor two for a moment */

struct reserve {
    atomic_int descriptors[RESERVE_SIZE]; /* -1: lent, or there was none to be had */
    /* of them in use: fewer where a process may have few at all */
    int count;
};

void reserve_open(struct reserve *reserve);
/* Gives them back to the process: whoever opens next has them. */
void reserve_lend(struct reserve *reserve);
/* Takes again as many as are to be had. */
void reserve_fill(struct reserve *reserve);

#endif
