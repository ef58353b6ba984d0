#include "messages/post.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/timer.h"
#include "link/link.h"
#include "messages/receipt.h"

#include <stdlib.h>
#include <string.h>

#define BACKOFF_CAP_MS 60000
#define IN_FLIGHT_MAXIMUM 4 /* to one peer at once */

static void free_peer(uv_handle_t *timer)
{
    struct outbox_peer *peer = (struct outbox_peer *)timer;
    free(peer->id);
    free(peer);
}

struct outbox_peer *outbox_peer(struct outbox *outbox, const char *id)
{
    for (struct outbox_peer *peer = outbox->peers; peer; peer = peer->next)
        if (id ? peer->id && strcmp(peer->id, id) == 0 : !peer->id)
            return peer;
    struct outbox_peer *peer = memory_allocate(sizeof *peer);
    peer->outbox = outbox;
    peer->id = memory_copy_text(id);
    peer->backoff = (struct retry_backoff){.base_ms = 500, .cap_ms = BACKOFF_CAP_MS};
    peer->next = outbox->peers;
    outbox->peers = peer;
    uv_timer_init(&outbox->link->shared->network->loop, &peer->timer);
    return peer;
}

static void drop_peer(struct outbox_peer *peer)
{
    struct outbox_peer **link = &peer->outbox->peers;
    while (*link != peer)
        link = &(*link)->next;
    *link = peer->next;
    uv_close((uv_handle_t *)&peer->timer, free_peer);
}

static void on_peer_timer(uv_timer_t *timer)
{
    outbox_pump((struct outbox_peer *)timer);
}

void outbox_pump(struct outbox_peer *peer)
{
    struct outbox *outbox = peer->outbox;
    int64_t now = clock_monotonic_ms(), wait = peer->not_before_ms - now;
    int64_t quiet = outbox->link->budget.quiet_until_ms - now;
    if (quiet > wait)
        wait = quiet;
    if (peer->first && wait > 0) {
        timer_arm(&peer->timer, on_peer_timer, wait);
        return;
    }
    while (peer->first && peer->in_flight < IN_FLIGHT_MAXIMUM) {
        struct post *post = peer->first;
        peer->first = post->queue_next;
        if (!peer->first)
            peer->last = NULL;
        post->queue_next = NULL;
        post->in_flight = true;
        peer->in_flight++;
        outbox_transmit(post);
    }
}

void outbox_enqueue(struct post *post, bool in_front)
{
    struct outbox_peer *peer = post->peer;
    if (in_front) {
        post->queue_next = peer->first;
        peer->first = post;
        if (!peer->last)
            peer->last = post;
    } else {
        if (peer->last)
            peer->last->queue_next = post;
        else
            peer->first = post;
        peer->last = post;
    }
}

void outbox_land(struct post *post)
{
    if (post->in_flight)
        post->peer->in_flight--;
    post->in_flight = false;
}

void outbox_end(struct post *post)
{
    struct outbox *outbox = post->outbox;
    struct outbox_peer *peer = post->peer;
    struct post **link = &outbox->posts;
    while (*link != post)
        link = &(*link)->next;
    *link = post->next;
    post->entry->post = NULL;
    outbox_land(post);
    call_cancel(&post->call);
    receipt_cancel(post->receipt);
    free(post->doubt);
    free(post);
    if (--peer->posts == 0)
        drop_peer(peer);
    else
        outbox_pump(peer);
}
