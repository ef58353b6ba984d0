#include "state/disk.h"

#include "base/log.h"

#define LOG_PAUSE_MS 5

static struct disk *log_disk;

/* A line alone is written at once; those that follow within LOG_PAUSE_MS together. */
static void wake_log(void)
{
    if (!atomic_exchange(&log_disk->log_awake, true))
        uv_async_send(&log_disk->log_wakeup);
}

static void on_log_pause(uv_timer_t *timer)
{
    (void)timer;
    atomic_store(&log_disk->log_awake, false); /* first: a line that comes now wakes again */
    log_flush();
}

static void on_log_wakeup(uv_async_t *wakeup)
{
    (void)wakeup;
    log_flush();
    uv_timer_start(&log_disk->log_timer, on_log_pause, LOG_PAUSE_MS, 0);
}

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

struct watch_task {
    struct task task;
    struct disk *disk;
    uv_sem_t ready;
};

/* On the disk thread: a handle must be made on the thread of its loop. */
static void watch_log(struct task *task)
{
    struct watch_task *watch = (struct watch_task *)task;
    uv_async_init(&watch->disk->thread.loop, &watch->disk->log_wakeup, on_log_wakeup);
    uv_timer_init(&watch->disk->thread.loop, &watch->disk->log_timer);
    uv_sem_post(&watch->ready);
}

int disk_open(struct disk *disk)
{
    int result = thread_start(&disk->thread, "disk", commit_batches, disk);
    if (result < 0)
        return result;
    struct watch_task watch = {.task.run = watch_log, .disk = disk};
    uv_sem_init(&watch.ready, 0);
    thread_post(&disk->thread, &watch.task);
    uv_sem_wait(&watch.ready);
    uv_sem_destroy(&watch.ready);
    log_disk = disk;
    log_set_waker(wake_log);
    return 0;
}

void disk_close(struct disk *disk)
{
    log_set_waker(NULL);
    thread_close(&disk->thread);
    log_flush();
}
