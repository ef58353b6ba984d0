#include "state/disk.h"

#include "base/memory.h"

#include <stdlib.h>

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

void disk_undefer(struct disk *disk, struct disk_batch *batch)
{
    struct disk_batch **place = &disk->batches;
    while (batch->listed && *place != batch)
        place = &(*place)->next;
    if (batch->listed)
        *place = batch->next;
    batch->listed = false;
}

struct errand {
    struct task task;
    struct thread *back;
    void (*work)(void *context);
    void (*done)(void *context);
    void *context;
};

static void run_done(struct task *task)
{
    struct errand *errand = (struct errand *)task;
    errand->done(errand->context);
    free(errand);
}

static void run_work(struct task *task)
{
    struct errand *errand = (struct errand *)task;
    errand->work(errand->context);
    errand->task.run = run_done;
    if (!thread_post(errand->back, &errand->task))
        free(errand);
}

void disk_run(struct disk *disk, struct thread *back, void (*work)(void *context),
              void (*done)(void *context), void *context)
{
    struct errand *errand = memory_allocate(sizeof *errand);
    *errand = (struct errand){
        .task.run = run_work, .back = back, .work = work, .done = done, .context = context};
    if (!thread_post(&disk->thread, &errand->task))
        free(errand);
}

int disk_open(struct disk *disk)
{
    return thread_start(&disk->thread, "disk", commit_batches, disk);
}

void disk_close(struct disk *disk)
{
    thread_close(&disk->thread);
}
