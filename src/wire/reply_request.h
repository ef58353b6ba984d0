/* A reply with an address: everything a post needs, so that it can be stored and posted again byte
 * for byte. Nothing of it changes once it is shared. */
#ifndef MOLECULE_WIRE_REPLY_REQUEST_H
#define MOLECULE_WIRE_REPLY_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

struct reply_request {
    /* POST /workspaces/<self>/notify; otherwise POST /workspaces/<target>/a2a */
    bool to_canvas;
    char *target; /* the peer; NULL for the canvas */
    /* messageId: UUIDv5 of row id and purpose; the canvas has no field for it */
    char *id;
    char *body;
    size_t body_length;
};
void reply_request_free(struct reply_request *request); /* its members */

/* Moves it to memory that several owners read. One owner; the last one to release it frees it, on
 * whichever thread. */
struct reply_request *reply_request_share(struct reply_request *request);
struct reply_request *reply_request_take(struct reply_request *shared); /* NULL for NULL */
void reply_request_release(struct reply_request *shared);               /* NULL is fine */

#endif
