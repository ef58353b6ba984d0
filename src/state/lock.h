/* One process per workspace: <state-dir>/<workspace-id>.lock, held with flock for the life of the
 * process. */
#ifndef MOLECULE_STATE_LOCK_H
#define MOLECULE_STATE_LOCK_H

#include <stdbool.h>
#include <stddef.h>

/* The descriptor that holds the lock (close-on-exec), or -1: `problem` says who holds it, by pid,
 * or what failed. Closing the descriptor releases it; the file stays, so that two processes never
 * lock two files of one name. */
int lock_take(const char *path, char *problem, size_t problem_size);
/* Whether the open file takes the locks that we and SQLite need. false: `problem` says which it
 * does not. */
bool lock_possible(int fd, char *problem, size_t problem_size);
/* The pid that holds it, 0 if nobody does. */
long lock_holder(const char *path);

#endif
