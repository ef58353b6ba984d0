/* The wake-up is an eventfd of our own and not a uv_async_t: libuv's sender writes first and then
 * reports that it is done, and the receiver spins until it has. With both on one core the receiver
 * always runs first, which cost a third of the CPU time of a host on one core. */
#include "base/queue.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct queue_item *take_all(struct queue *queue, bool close)
{
    uv_mutex_lock(&queue->mutex);
    struct queue_item *first = queue->first;
    queue->first = queue->last = NULL;
    queue->woken = false;
    if (close)
        queue->closed = true;
    uv_mutex_unlock(&queue->mutex);
    return first;
}

static void on_wakeup(uv_poll_t *wakeup, int status, int events)
{
    (void)status;
    (void)events;
    struct queue *queue = wakeup->data;
    uint64_t count;
    while (read(queue->event, &count, sizeof count) < 0 && errno == EINTR)
        ;
    struct queue_item *first = take_all(queue, false);
    if (first)
        queue->handler(first, queue->context);
}

int queue_open(struct queue *queue, uv_loop_t *loop, queue_handler *handler, void *context)
{
    *queue = (struct queue){.handler = handler, .context = context};
    int result = uv_mutex_init(&queue->mutex);
    if (result < 0)
        return result;
    queue->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    result = queue->event < 0 ? -errno : uv_poll_init(loop, &queue->wakeup, queue->event);
    if (result < 0) {
        if (queue->event >= 0)
            close(queue->event);
        uv_mutex_destroy(&queue->mutex);
        return result;
    }
    queue->wakeup.data = queue;
    return uv_poll_start(&queue->wakeup, UV_READABLE, on_wakeup);
}

bool queue_push(struct queue *queue, struct queue_item *item, bool *wake)
{
    item->next = NULL;
    uv_mutex_lock(&queue->mutex);
    bool taken = !queue->closed;
    *wake = taken && !queue->woken;
    if (taken) {
        if (queue->last)
            queue->last->next = item;
        else
            queue->first = item;
        queue->last = item;
    }
    uv_mutex_unlock(&queue->mutex);
    return taken;
}

void queue_wake(struct queue *queue)
{
    uint64_t one = 1;
    uv_mutex_lock(&queue->mutex);
    bool wake = queue->first && !queue->woken;
    queue->woken = queue->woken || wake;
    uv_mutex_unlock(&queue->mutex);
    while (wake && write(queue->event, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

struct queue_item *queue_close(struct queue *queue)
{
    struct queue_item *left = take_all(queue, true);
    uv_close((uv_handle_t *)&queue->wakeup, NULL);
    return left;
}

void queue_free(struct queue *queue)
{
    close(queue->event);
    uv_mutex_destroy(&queue->mutex);
}

void queue_unref(struct queue *queue)
{
    uv_unref((uv_handle_t *)&queue->wakeup);
}
