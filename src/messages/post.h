/* One reply on its way, and the queue of its peer: what outbox.c and outbox_queue.c share. Only
 * they include this. */
#ifndef MOLECULE_MESSAGES_POST_H
#define MOLECULE_MESSAGES_POST_H

#include "link/call.h"
#include "messages/outbox.h"

#include <uv.h>

struct post {
    struct post *next;       /* of the outbox's */
    struct post *queue_next; /* of its peer's that wait */
    struct outbox *outbox;
    struct outbox_peer *peer;
    struct inbox_entry *entry;
    struct call call;
    int64_t started_ms;
    int64_t refused_ms;     /* since when the platform has refused it; 0: it has not */
    uint64_t refused_polls; /* polls that had succeeded by then */
    bool in_flight, repeated;
    bool uncertain; /* an earlier post of this reply may have arrived */
    /* what happened, if its meaning depends on how the peer gets its messages; else NULL */
    char *doubt;
    int64_t doubt_floor_ms;  /* as call_answer.verdict.floor_ms */
    int doubted;             /* the answer's status then; 0: no answer */
    struct receipt *receipt; /* it is being looked for */
};

struct outbox_peer {
    uv_timer_t timer; /* first: the end of its backoff */
    struct outbox_peer *next;
    struct outbox *outbox;
    char *id; /* NULL: the canvas */
    struct post *first, *last;
    size_t posts, in_flight;
    struct retry_backoff backoff;
    int64_t not_before_ms;
};

/* outbox_queue.c */
struct outbox_peer *outbox_peer(struct outbox *outbox, const char *id); /* NULL: the canvas */
/* Posts what may go now, else waits for the backoff's end, or for the platform's rate budget. */
void outbox_pump(struct outbox_peer *peer);
void outbox_enqueue(struct post *post, bool in_front);
void outbox_land(struct post *post); /* it is no longer in flight */
void outbox_end(struct post *post);  /* frees it, and its peer if that was its last */

/* outbox.c */
void outbox_transmit(struct post *post);

#endif
