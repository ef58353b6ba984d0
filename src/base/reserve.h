/* File descriptors kept in reserve for what must not fail for lack of one: a script may have taken
 * all others. When something could not be opened: reserve_lend, open it, reserve_fill. From any
 * thread. */
#ifndef MOLECULE_BASE_RESERVE_H
#define MOLECULE_BASE_RESERVE_H

#include <stdatomic.h>

#define RESERVE_SIZE 6 /* a ledger takes three, <id>.runs one, saving a cursor two for a moment */

struct reserve {
    atomic_int descriptors[RESERVE_SIZE]; /* -1: lent, or none was available */
    /* how many are in use: fewer where the limit is low */
    int count;
};

void reserve_open(struct reserve *reserve);
/* Gives them back to the process: the next open gets them. */
void reserve_lend(struct reserve *reserve);
/* Takes back as many as are available. */
void reserve_fill(struct reserve *reserve);

#endif
