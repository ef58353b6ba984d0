#include "base/queue.h"

static struct queue_item *take_all(struct queue *queue, bool close)
{
    uv_mutex_lock(&queue->mutex);
    struct queue_item *first = queue->first;
    queue->first = queue->last = NULL;
    if (close)
        queue->closed = true;
    uv_mutex_unlock(&queue->mutex);
    return first;
}

static void on_wakeup(uv_async_t *wakeup)
{
    struct queue *queue = wakeup->data;
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
    result = uv_async_init(loop, &queue->wakeup, on_wakeup);
    if (result < 0)
        uv_mutex_destroy(&queue->mutex);
    queue->wakeup.data = queue;
    return result;
}

bool queue_push(struct queue *queue, struct queue_item *item)
{
    item->next = NULL;
    uv_mutex_lock(&queue->mutex);
    bool taken = !queue->closed;
    if (taken) {
        if (queue->last)
            queue->last->next = item;
        else
            queue->first = item;
        queue->last = item;
        /* under the lock: queue_close must not close the handle between the check and this */
        uv_async_send(&queue->wakeup);
    }
    uv_mutex_unlock(&queue->mutex);
    return taken;
}

struct queue_item *queue_close(struct queue *queue)
{
    struct queue_item *left = take_all(queue, true);
    uv_close((uv_handle_t *)&queue->wakeup, NULL);
    return left;
}

void queue_free(struct queue *queue)
{
    uv_mutex_destroy(&queue->mutex);
}

void queue_unref(struct queue *queue)
{
    uv_unref((uv_handle_t *)&queue->wakeup);
}
