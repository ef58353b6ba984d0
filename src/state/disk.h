/* The disk thread: it alone waits for disks. It owns the cursor files, the ledgers and the log's descriptor. */
#ifndef MOLECULE_STATE_DISK_H
#define MOLECULE_STATE_DISK_H

#include "base/thread.h"

struct disk {
    struct thread thread;
    uv_async_t log_wakeup;
};

/* Starts the thread and sends the log through it. 0, or a negative libuv error. One per process. */
int disk_open(struct disk *disk);
/* Runs what was posted, writes the log out, ends the thread. The log is written directly from then on. */
void disk_close(struct disk *disk);

#endif
