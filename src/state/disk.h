/* The disk thread: the only one that waits for the disk. It owns the cursor files and the ledgers.
 */
#ifndef MOLECULE_STATE_DISK_H
#define MOLECULE_STATE_DISK_H

#include "base/thread.h"

/* Something to be committed once per batch of tasks. Embed it; it is the disk thread's. */
struct disk_batch {
    struct disk_batch *next;
    bool listed;
    void (*commit)(struct disk_batch *batch);
};

struct disk {
    struct thread thread;
    struct disk_batch *batches; /* with something to commit */
};

/* Starts the thread. 0, or a negative libuv error. */
int disk_open(struct disk *disk);
/* On the disk thread: `commit` is called once the queued tasks are done, and only once however
 * often this was called. */
void disk_defer(struct disk *disk, struct disk_batch *batch);
/* From any thread: runs `work` on the disk thread, then `done` on the thread `back`. Neither runs
 * once the thread it is meant for is closing. */
void disk_run(struct disk *disk, struct thread *back, void (*work)(void *context),
              void (*done)(void *context), void *context);
/* On the disk thread: `commit` will not be called, and `batch` may be freed. Fine at any time. */
void disk_undefer(struct disk *disk, struct disk_batch *batch);
/* Runs what was posted, ends the thread. */
void disk_close(struct disk *disk);

#endif
