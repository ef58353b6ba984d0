/* What is said to the platform: typed requests, and what its answers hold. No I/O: bytes in, bytes
 * out. */
#ifndef MOLECULE_WIRE_PLATFORM_H
#define MOLECULE_WIRE_PLATFORM_H

#include "wire/platform_headers.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(enumerator, what the log calls it) */
#define PLATFORM_CALLS(X)                        \
    X(PLATFORM_REGISTER, "registration")         \
    X(PLATFORM_HEARTBEAT, "heartbeat")           \
    X(PLATFORM_ACTIVITY, "poll")                 \
    X(PLATFORM_A2A, "reply to a peer")           \
    X(PLATFORM_NOTIFY, "reply to the canvas")    \
    X(PLATFORM_WORKSPACE, "workspace query")     \
    X(PLATFORM_SEND, "message to a peer")        \
    X(PLATFORM_SAY, "message to the canvas")     \
    X(PLATFORM_PEERS, "list of peers")           \
    X(PLATFORM_DELEGATE, "delegation")           \
    X(PLATFORM_FETCH, "fetch of a file")         \
    X(PLATFORM_ACK, "acknowledgement of a file") \
    X(PLATFORM_UPLOAD, "upload of files")        \
    X(PLATFORM_EVENTS, "event stream")           \
    X(PLATFORM_LIMITS, "upload limits")          \
    X(PLATFORM_STATE, "check of the token")
enum platform_call {
#define X(name, text) name,
    PLATFORM_CALLS(X)
#undef X
};
const char *platform_call_text(enum platform_call call);

/* Whom we talk to, and as whom. The strings are borrowed and must outlive it. */
struct platform {
    char *base_url; /* scheme://authority[/path], no trailing slash; owned */
    /* scheme://authority: what the tenant guard compares (contract §1.1); owned */
    char *origin;
    const char *workspace_id;
    const char *org_id;                    /* NULL or "": no X-Molecule-Org-Id header */
    struct platform_header_cache *headers; /* owned */
};

/* false: `url` is not an http or https URL with a host, it carries a query, a fragment or
 * credentials, or an id is not valid; `*problem` is a static text. Scheme and host are lower-cased
 * and a port that is the scheme's own is left out, so that the origin equals the Host header that
 * an HTTP client makes of the URL. `workspace_id` may be NULL if no request is made as one. */
bool platform_open(struct platform *platform, const char *url, const char *workspace_id,
                   const char *org_id, const char **problem);
void platform_close(struct platform *platform);
/* The host is localhost, in 127.0.0.0/8 or ::1, or the scheme is https: a token may go there. */
bool platform_is_private(const struct platform *platform);

/* `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`, so that it can never be "." or ".." in a path. The caller
 * lower-cases UUIDs (platform_normalise_id). */
bool platform_valid_id(const char *id);
void platform_normalise_id(char *id); /* lower-cases it in place if it is a UUID */

/* One request, whole. Free with platform_request_free. */
struct platform_request {
    enum platform_call call;
    const char *method; /* "GET" or "POST" */
    char *url;
    /* Authorization is among them if a token was given */
    struct platform_headers *headers;
    char *body; /* NULL for GET */
    size_t body_length;
};
void platform_request_free(struct platform_request *request);

/* What register says about us. Strings borrowed; NULL: left out. */
struct platform_card {
    const char *name; /* required */
    const char *description;
    const char *version;
    const json_t *skills; /* array of {id, name, description}; NULL: left out */
    const json_t *more; /* for A2A clients, as the script has it; NULL: none. The platform gets none
                         */
    bool named;         /* the options or the script have given the name */
    const char *push_url; /* where messages are pushed to; NULL: they are polled for */
};

/* Every snapshot field is sent each time: a missing one would overwrite the stored one with zero
 * (contract §1.4). */
struct platform_beat {
    double error_rate;        /* 0..1 */
    const char *sample_error; /* NULL: "" */
    int active_tasks;
    int64_t uptime_seconds;
    const char *current_task; /* NULL: "" */
    /* runtime_state "wedged"; otherwise the field is "" (contract §1.4: any other value blocks
       recovery) */
    bool wedged;
};

/* Which rows to fetch; never a cursor and a window both (contract §4.8). */
struct platform_fetch {
    const char *type;      /* activity_type; NULL: a2a_receive, the inbox */
    const char *since_id;  /* NULL: by window */
    int64_t since_secs;    /* window; used when since_id is NULL; 0: none */
    const char *before_ts; /* RFC 3339; NULL: none */
    int limit;             /* 1..500 */
};

/* `token` NULL: no Authorization header. A request that cannot be made (out of memory; a workspace
 * id or target that is not valid) has a NULL `url`. Control characters in header values are left
 * out: a token file's newline does no harm. */
struct platform_request platform_register(const struct platform *, const char *token,
                                          const struct platform_card *);
struct platform_request platform_heartbeat(const struct platform *, const char *token,
                                           const struct platform_beat *);
struct platform_request platform_activity(const struct platform *, const char *token,
                                          const struct platform_fetch *);
/* What the platform says about a workspace, this one or a peer (contract §1.12). */
struct platform_request platform_workspace(const struct platform *, const char *token,
                                           const char *id);
/* of uploads (contract §1.2); not at T1 */
struct platform_request platform_limits(const struct platform *, const char *token);
/* Needs a valid token, changes nothing (contract §1.13). */
struct platform_request platform_state(const struct platform *, const char *token);
/* contract §1.18 */
struct platform_request platform_events(const struct platform *, const char *token);
/* `target` is the peer. The body is taken as it is (wire/reply.h made it). Carries X-Workspace-ID.
 */
struct platform_request platform_a2a(const struct platform *, const char *token, const char *target,
                                     const char *body, size_t length);
struct platform_request platform_notify(const struct platform *, const char *token,
                                        const char *body, size_t length);

/* What handlers send: the same posts as the replies above, under another name in logs and in the
 * retry table. */
struct platform_request platform_send(const struct platform *, const char *token,
                                      const char *target, const char *body, size_t length);
struct platform_request platform_say(const struct platform *, const char *token, const char *body,
                                     size_t length);
/* `query` NULL or "": all (contract §1.14). */
struct platform_request platform_peers(const struct platform *, const char *token,
                                       const char *query);
/* contract §1.15. The target must be a valid id. */
struct platform_request platform_delegate(const struct platform *, const char *token,
                                          const char *target, const char *task, size_t length,
                                          const char *idempotency_key);
/* Fetches a staged upload of our inbox, and acknowledges it (contract §1.16). */
struct platform_request platform_fetch(const struct platform *, const char *token,
                                       const char *file_id);
struct platform_request platform_ack(const struct platform *, const char *token,
                                     const char *file_id);
/* A multipart/form-data body with this boundary. */
struct platform_request platform_upload(const struct platform *, const char *token,
                                        const char *boundary, const char *body, size_t length);

/* The answer to a registration. false: not the JSON expected. Strings are the caller's to free,
 * NULL where absent. */
struct platform_registered {
    char *delivery_mode;
    char *auth_token;              /* only at the first registration ever */
    char *platform_inbound_secret; /* a secret: hide it */
};
bool platform_read_registered(const char *body, size_t length,
                              struct platform_registered *registered);

/* The platform's own words for an error: the "error" member (a string, or {message}), with "hint"
 * after it; else the start of the body as one line of printable text (HTML without its tags); ""
 * for an empty body. At most `size` bytes with the NUL, cut on a character's boundary. */
void platform_error_text(const char *body, size_t length, char *text, size_t size);

#endif
