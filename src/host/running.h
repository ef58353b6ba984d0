/* The attempts under way, counted where a crash of the process does not lose them (state/runs.h).
 * The workspace's own memory of them is the network thread's. */
#ifndef MOLECULE_HOST_RUNNING_H
#define MOLECULE_HOST_RUNNING_H

#include <stdbool.h>
#include <stddef.h>

struct workspace;
struct inbox_entry;
struct running;

/* Reads what an earlier process left; blocks on the disk, so before anything runs, and behind
 * journal_load. */
struct running *running_open(struct workspace *workspace, const char *path);
void running_close(struct running *running); /* NULL is fine */

/* An earlier process ended while it handled this message: its counts go into the entry. false: none
 * did. */
bool running_interrupted(struct running *running, struct inbox_entry *entry);
/* It has an outcome without another attempt; if it is redelivered, its attempts count from zero. */
void running_forget(struct running *running, const struct inbox_entry *entry);
/* A place for the handler of this message. */
void running_take(struct running *running, struct inbox_entry *entry);
/* On the worker thread: the attempt is counted from here on. false: it cannot be; `problem` says
 * why. */
bool running_mark(struct running *running, const struct inbox_entry *entry, char *problem,
                  size_t problem_size);
/* The same of a message that is being named: where it is not handled yet. On the worker thread. */
size_t running_take_place(struct running *running); /* on the network thread, as is its end */
void running_mark_named(struct running *running, size_t place, const char *row_id,
                        unsigned attempts, unsigned failures);
void running_leave_place(struct workspace *workspace, size_t place);
/* The handler has ended: another may have the place. `counted` false: it did not end by the
 * message's fault. */
void running_leave(struct workspace *workspace, const struct inbox_entry *entry, bool counted);

#endif
