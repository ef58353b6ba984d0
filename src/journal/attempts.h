/* The attempts under way, counted where a crash of the process does not lose them (state/runs.h).
 * All functions but attempts_mark belong to the network thread. */
#ifndef MOLECULE_JOURNAL_ATTEMPTS_H
#define MOLECULE_JOURNAL_ATTEMPTS_H

#include "base/reserve.h"
#include "base/thread.h"
#include "state/disk.h"

#include <stdbool.h>
#include <stddef.h>

struct attempts;
struct journal;

/* Borrowed for the life of the attempts. */
struct attempts_env {
    const char *workspace_id; /* for the log */
    struct journal *journal;
    struct disk *disk;
    struct thread *network;
    struct reserve *reserve;
};

/* Of one message: started so far, and of those, how many failed. */
struct attempt_counts {
    unsigned attempts, failures;
};

/* Reads what an earlier process left; blocks on the disk: call it before anything runs, and after
 * journal_load. */
struct attempts *attempts_open(const struct attempts_env *env, const char *path);
void attempts_close(struct attempts *attempts); /* NULL is fine */

/* An earlier process ended while it handled this message: its counts replace lower ones. false:
 * none did. */
bool attempts_interrupted(const struct attempts *attempts, const char *row_id,
                          struct attempt_counts *counts);
/* It has an outcome without another attempt; if it is redelivered, its attempts count from zero. */
void attempts_forget(struct attempts *attempts, const char *row_id);
/* A place for the handler of this message; NULL: for one that is being named. */
size_t attempts_take(struct attempts *attempts, const char *row_id);
/* On the worker thread: the attempt is counted from here on. false: it cannot be counted; `problem`
 * says why. */
bool attempts_mark(struct attempts *attempts, size_t place, const char *row_id,
                   struct attempt_counts counts, char *problem, size_t problem_size);
/* The attempt under way has got further than any before it: its message starts over with these
 * counts if the process ends now. Does not wait. */
void attempts_recount(struct attempts *attempts, size_t place, const char *row_id,
                      struct attempt_counts counts);
/* The handler has ended: another may have the place. `counted` false: its end was not the message's
 * fault. */
void attempts_leave(struct attempts *attempts, size_t place, bool counted);

#endif
