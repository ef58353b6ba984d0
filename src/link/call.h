/* One call of the platform: a request, and what its outcome means. wire/ builds and judges, net/
 * carries. */
#ifndef MOLECULE_LINK_CALL_H
#define MOLECULE_LINK_CALL_H

#include "net/http_client.h"
#include "wire/platform.h"
#include "wire/retry.h"

#include <stdbool.h>
#include <stdint.h>

struct call_answer {
    struct retry_verdict verdict;
    int status;
    const char *body;
    size_t body_length;
    /* the request went out whole and was not refused: it may have had its effect, whatever came
       back */
    bool sent;
    int64_t date_ms; /* the platform's clock, since the epoch; -1: it does not tell */
    bool too_large;  /* the answer exceeded its maximum */
};

struct call_limits {
    int64_t timeout_ms;
    int64_t stall_ms; /* 0: none */
    size_t response_maximum;
    bool fresh_connection;
    /* a message: sent over a connection that was used a moment ago, or a new one; and what never
       reached the other side's kernel counts as not sent (RETRY_NOT_SENT) */
    bool delivery_counts;
};

typedef void call_callback(const struct call_answer *answer, void *context);

/* What the platform's answers say about the requests that are left (contract §1.1). Newer platforms
 * count for each token, older ones for each address: so each workspace keeps what its own answers
 * say. */
#define CALL_DATE_SIZE 32
struct rate_budget {
    int64_t quiet_until_ms; /* nearly spent: no replies until then, only heartbeats and polls */
    /* less than half is left: minimum time between polls prompted by hints; 0: none */
    int64_t hint_gap_ms;
    char date[CALL_DATE_SIZE]; /* the last Date header, and what it says: many are the same */
    int64_t date_ms;
};

/* Embed one per loop; a zeroed one is idle. */
struct call {
    struct rate_budget *budget;
    uint64_t *answers; /* counted there by enum retry_class; NULL: nowhere */
    struct platform_request request;
    struct http_exchange *http; /* NULL: idle */
    call_callback *callback;
    void *context;
};

/* Takes the request. The callback comes later, once; the call is idle again when it does.
 * `budget` is borrowed until then. */
void call_start(struct call *call, struct rate_budget *budget, struct http_client *client,
                struct platform_request request, const struct call_limits *limits,
                call_callback *callback, void *context);
bool call_busy(const struct call *call);
void call_cancel(struct call *call); /* no callback; fine when idle */

#endif
