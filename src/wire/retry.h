/* What a request's outcome is, and what follows: one table, one function. No I/O. */
#ifndef MOLECULE_WIRE_RETRY_H
#define MOLECULE_WIRE_RETRY_H

#include "wire/platform.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(enumerator, name in logs and metrics) */
#define RETRY_CLASSES(X)                                                                           \
    X(RETRY_OK, "ok")                   /* done; reset the backoff */                              \
    X(RETRY_TRANSIENT, "transient")     /* again, after a backoff */                               \
    X(RETRY_UNCONFIRMED, "unconfirmed") /* a reply fully sent and then no answer for 30 s or more  \
                                         */                                                        \
    X(RETRY_UNAUTHORIZED, "unauthorized") /* read the token again */                               \
    X(RETRY_GONE, "gone")                 /* the cursor is no longer known */                      \
    X(RETRY_REFUSED, "refused") /* again; final if it persists: T1 says 403 to everybody while its \
                                   database is down */                                             \
    X(RETRY_PERMANENT, "permanent") /* the same request will never succeed */                      \
    X(RETRY_DELIVERED, "delivered") /* a reply reached its target */
enum retry_class {
#define X(name, text) name,
    RETRY_CLASSES(X)
#undef X
};
enum {
#define X(name, text) +1
    RETRY_CLASS_COUNT = 0 RETRY_CLASSES(X)
#undef X
};
const char *retry_class_text(enum retry_class class);

/* How far a request got. */
enum retry_transport {
    RETRY_ANSWERED, /* a whole HTTP answer came */
    /* resolver, connect, TLS, or the connection broke before the other side had the last byte of
       ours */
    RETRY_NOT_SENT,
    RETRY_NO_ANSWER /* all our bytes went out, then timeout, reset or a cut answer */
};

struct retry_answer {
    enum platform_call call;
    enum retry_transport transport;
    int status; /* HTTP; 0 unless RETRY_ANSWERED */
    const char *body;
    size_t body_length;
    const char *content_type; /* the header's value, where the body is no object; NULL: none */
    const char *retry_after;  /* the header's value; NULL: none */
    /* RETRY_NOT_SENT: all was written, and its last bytes never acknowledged */
    bool unacknowledged;
    const char *transport_error; /* libcurl's words; NULL if RETRY_ANSWERED */
    int64_t since_sent_ms;       /* from the last byte of ours to the end of the exchange */
    int64_t now_wall_ms;         /* for Retry-After as a date */
};

#define RETRY_REASON_SIZE 512

struct retry_verdict {
    enum retry_class class;
    /* from Retry-After or the body's retry_after, capped at 300 s; 0: none */
    int64_t floor_ms;
    /* an error in the platform's own JSON, not of an edge, a proxy or a captive portal */
    bool from_platform;
    bool remarkable; /* the reason says more than the status */
    /* the peer's agent has the message, and failed or refused it */
    bool from_peer;
    /* say once that the API URL or MOLECULE_ORG_ID is wrong (contract §1.1) */
    bool tenant_guard;
    bool cursor_lookup_failed; /* three of these in a row are `gone` */
    /* one line for a log: what happened, the platform's words, what it means for us: "registration:
       HTTP 401: missing workspace auth token" */
    char reason[RETRY_REASON_SIZE];
};

struct retry_verdict retry_classify(const struct retry_answer *answer);

/* Retry-After: seconds or an HTTP-date (RFC 9110). Milliseconds from now, at least 0; -1: neither.
 */
int64_t retry_parse_after(const char *value, int64_t now_wall_ms);

/* When a refusal is believed: said by the platform itself (`from_platform`), at least
 * RETRY_REFUSALS_LEAST times, for longer than a given time. A rollout or a database outage is over
 * sooner. */
#define RETRY_REFUSALS_LEAST 3
struct retry_refusals {
    unsigned count;   /* 0: none so far */
    int64_t first_ms; /* monotonic */
};
bool retry_refused(struct retry_refusals *refusals, int64_t now_ms, int64_t patience_ms);

#define RETRY_FLOOR_MAXIMUM_MS 300000
#define RETRY_UNCONFIRMED_AFTER_MS 30000

/* Full-jitter exponential backoff. */
struct retry_backoff {
    int64_t base_ms;   /* 500 */
    int64_t cap_ms;    /* 60000; heartbeats 15000 */
    unsigned failures; /* in a row */
};
/* Counts one more failure and says how long to wait: uniform in [1, min(cap, base *
 * 2^(failures-1))], at least `floor_ms`. `random` is any 64-bit random number. */
int64_t retry_next_delay(struct retry_backoff *backoff, int64_t floor_ms, uint64_t random);
void retry_succeeded(struct retry_backoff *backoff);

#endif
