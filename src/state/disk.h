/* The disk thread: it alone waits for disks. It owns the cursor files, the ledgers and the log's descriptor. */
#ifndef MOLECULE_STATE_DISK_H
#define MOLECULE_STATE_DISK_H

#include "base/thread.h"

#include <stdatomic.h>

/* Something to be committed once per batch of tasks. Embed it; it is the disk thread's. */
struct disk_batch {
    struct disk_batch *next;
    bool listed;
    void (*commit)(struct disk_batch *batch);
};

struct disk {
    struct thread thread;
    uv_async_t log_wakeup;
    uv_timer_t log_timer;
    atomic_bool log_awake; /* lines are written out in a moment, without another word */
    struct disk_batch *batches; /* with something to commit */
};

/* Starts the thread and sends the log through it. 0, or a negative libuv error. One per process. */
int disk_open(struct disk *disk);
/* On the disk thread: `commit` is called when the tasks that have queued are done, once however often this was called. */
void disk_defer(struct disk *disk, struct disk_batch *batch);
/* Runs what was posted, writes the log out, ends the thread. The log is written directly from then on. */
void disk_close(struct disk *disk);

#endif
