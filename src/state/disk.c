#include "state/disk.h"

static void commit_batches(void *context)
{
    struct disk *disk = context;
    while (disk->batches) {
        struct disk_batch *batch = disk->batches;
        disk->batches = batch->next;
        batch->listed = false;
        batch->commit(batch);
    }
}

void disk_defer(struct disk *disk, struct disk_batch *batch)
{
    if (batch->listed)
        return;
    batch->listed = true;
    batch->next = disk->batches;
    disk->batches = batch;
}

int disk_open(struct disk *disk)
{
    return thread_start(&disk->thread, "disk", commit_batches, disk);
}

void disk_close(struct disk *disk)
{
    thread_close(&disk->thread);
}
