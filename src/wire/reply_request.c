#include "wire/reply_request.h"

#include "base/memory.h"

#include <stdatomic.h>
#include <stdlib.h>

struct shared_request {
    struct reply_request request; /* first */
    atomic_uint owners;
};

void reply_request_free(struct reply_request *request)
{
    free(request->target);
    free(request->id);
    free(request->body);
    *request = (struct reply_request){0};
}

struct reply_request *reply_request_share(struct reply_request *request)
{
    struct shared_request *shared = memory_allocate(sizeof *shared);
    shared->request = *request;
    atomic_init(&shared->owners, 1);
    *request = (struct reply_request){0};
    return &shared->request;
}

struct reply_request *reply_request_take(struct reply_request *shared)
{
    if (shared)
        atomic_fetch_add(&((struct shared_request *)shared)->owners, 1);
    return shared;
}

void reply_request_release(struct reply_request *shared)
{
    struct shared_request *whole = (struct shared_request *)shared;
    if (!shared || atomic_fetch_sub(&whole->owners, 1) != 1)
        return;
    reply_request_free(shared);
    free(whole);
}
