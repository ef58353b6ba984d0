/* The one way threads talk: a queue with many writers, read on one libuv loop. Items are handed
 * over whole; whoever holds an item owns its contents, so nothing is shared. */
#ifndef MOLECULE_BASE_QUEUE_H
#define MOLECULE_BASE_QUEUE_H

#include <stdbool.h>
#include <uv.h>

/* Embed this as the first member of what you send. */
struct queue_item {
    struct queue_item *next;
};

/* Called on the loop's thread, with all items queued so far, oldest first, linked by `next`. */
typedef void queue_handler(struct queue_item *first, void *context);

struct queue {
    uv_mutex_t mutex;
    struct queue_item *first, *last;
    bool closed;
    bool woken; /* the reader has been told of what is queued */
    int event;  /* eventfd */
    uv_poll_t wakeup;
    queue_handler *handler;
    void *context;
};

/* On the reading thread, before its loop runs. 0, or a negative libuv error. */
int queue_open(struct queue *queue, uv_loop_t *loop, queue_handler *handler, void *context);

/* From any thread. false: the queue is closed and the item stays the caller's. `*wake`: nobody has
 * told the reader yet, so queue_wake has to, now or soon. */
bool queue_push(struct queue *queue, struct queue_item *item, bool *wake);
/* Wakes the reader, unless that has been done. */
void queue_wake(struct queue *queue);

/* On the reading thread: no further item is taken; those still queued are returned to the caller.
 * The wake-up handle closes with the loop's next turn. Free the mutex with queue_free once no
 * writer is left. */
struct queue_item *queue_close(struct queue *queue);
void queue_free(struct queue *queue);

/* An idle queue keeps its loop from ending unless this is called. */
void queue_unref(struct queue *queue);

#endif
