/* One workspace's connection to the platform: what its loops share. Everything in this folder runs
 * on the network thread. */
#ifndef MOLECULE_LINK_LINK_H
#define MOLECULE_LINK_LINK_H

#include "link/call.h"
#include "link/inbound_secret.h"
#include "link/start_queue.h"
#include "link/token.h"
#include "molecule/options.h"
#include "state/disk.h"
#include "wire/platform.h"
#include "wire/reply.h"
#include "wire/retry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the links of one process share. Owned by the host. */
struct link_shared {
    struct thread *network;
    struct disk *disk;
    struct http_client *client;     /* registrations, polls, replies */
    struct http_client *heartbeats; /* separate connections */
    /* event streams: connections that are never free for anything else */
    struct http_client *watchers;
    struct start_queue starts;
    bool fleet;
    /* monotonic; earliest next poll prompted by a hint, while the rate budget is low */
    int64_t hint_free_ms;
    size_t streams; /* event streams open or being opened */
    /* whether one more event stream may be opened */
    bool (*may_open_stream)(void *context);
    void *context; /* of may_open_stream */
};

/* Why a link has failed for good. */
enum link_failure {
    LINK_FAILED, /* the platform cannot be reached, or accepts no registration */
    LINK_REFUSED /* it refuses the credentials, or the workspace was removed */
};

struct link {
    const struct molecule_workspace_options *options; /* borrowed */
    struct link_shared *shared;
    struct platform platform;
    struct token token;
    struct inbound_secret inbound;
    struct rate_budget budget;
    struct call query; /* GET /workspaces/:id, when something looks wrong */
    bool running;      /* registered, and not asked to stop */
    bool pushed;       /* the platform pushes messages to our URL; else we poll */
    bool over;         /* closing: nothing new is started */
    /* rows have a `seq`: such a platform drops what comes twice under one messageId, and takes
       longer messages */
    bool numbered;
    /* of the platform, by enum retry_class */
    uint64_t answers[RETRY_CLASS_COUNT];
    uint64_t polls;     /* that succeeded */
    size_t delegations; /* whose results are awaited */
    int64_t away_ms; /* wall clock: since when polls, or the first registration, have been failing;
                        0: they are not */
    char away_reason[RETRY_REASON_SIZE]; /* the last failure's */
    /* upwards; both log why first */
    void (*failed)(void *context, enum link_failure failure);
    void (*register_again)(void *context);
    void *context;
};

/* Like call_start, with the connections and the rate budget of the link. */
void link_call(struct link *link, struct call *call, struct platform_request request,
               const struct call_limits *limits, call_callback *callback, void *context);
/* For `status`: a poll or the first registration failed, or (NULL) succeeded. */
void link_away(struct link *link, const char *reason);
/* This workspace's own share of `span_ms`, so that many do not act at once. */
int64_t link_phase(const struct link *link, int64_t span_ms);

/* Bytes of a message's body that this version of the platform takes. */
size_t link_message_maximum(const struct link *link);
void link_fit_reply(const struct link *link, struct reply *reply); /* to what it takes */

#endif
