/* What a workspace finds on disk when it opens: the directory, the lock, the cursor file, the
 * ledger. Everything here blocks on the disk, before anything runs. */
#ifndef MOLECULE_HOST_OPENING_H
#define MOLECULE_HOST_OPENING_H

#include "journal/journal.h"
#include "molecule/options.h"
#include "state/cursor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct opening {
    const struct molecule_workspace_options *options;
    bool sweep;       /* there may be temporary files of writers that were killed */
    int lock;         /* -1: not taken */
    char *state_path; /* the state directory, absolute */
    struct cursor *cursor;
    enum cursor_status cursor_status;
    char cursor_problem[512];
    struct journal_start start; /* opening_free */
    int64_t read_until_ms;      /* wall clock: the inbox was read up to here; 0: unknown */
};

/* <state-dir>/<id>.<ending>; yours */
char *opening_path(const struct molecule_workspace_options *options, const char *ending);
/* Makes the directory, takes the lock, reads the cursor file into `cursor`. false: `problem` says
 * why.
 */
bool opening_lock(struct opening *opening, char *problem, size_t problem_size);
/* What the ledger knows: fills in `start`, and restores the cursor from it if its file is
 * damaged. */
bool opening_read(struct opening *opening, struct journal *journal, char *problem,
                  size_t problem_size);
void opening_free(struct opening *opening); /* except the lock, the path and the cursor */

#endif
