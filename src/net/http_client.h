/* HTTP requests on a libuv loop: libcurl's multi interface. Its files are the only ones that know
 * libcurl.
 *
 * Every handle: no signals, sockets close-on-exec, redirects not followed, one send per request
 * (libcurl would repeat a POST by itself if a kept connection turns out to be closed after the
 * server read it; the retry table must decide that). */
#ifndef MOLECULE_NET_HTTP_CLIENT_H
#define MOLECULE_NET_HTTP_CLIENT_H

#include "net/allowed_hosts.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct http_client;
struct http_exchange; /* one request under way */

struct http_client_options {
    const char *ca_file; /* NULL: the environment's, else the system's (net/http_trust.h) */
    /* trusted in addition to the system's certificates: for what scripts fetch */
    bool ca_file_beside;
    const char *user_agent;
    /* remember a resolved address until a connection to it fails: then a hanging resolver does not
     * delay what worked before */
    bool keep_addresses;
    /* use the addresses and TLS sessions of this client on the same loop; closed later */
    struct http_client *share;
    int connections_maximum; /* kept open when idle; 0: libcurl's own default */
    /* to all hosts together; further requests wait for one; 0: unlimited */
    int connections_total;
    int connections_at_once; /* to one host; further requests wait for one; 0: unlimited */
    /* bytes; libcurl reads up to 100 times as much of one answer in a turn of the loop; 0: 16 KiB
     */
    int read_size;
};

enum http_progress {
    HTTP_ANSWERED, /* a whole answer */
    HTTP_NOT_SENT, /* failed before our last byte was out */
    HTTP_NO_ANSWER /* our bytes were out; the answer did not come, or was cut short */
};

/* Strings and body are borrowed until the callback or the cancel. */
struct http_request {
    const char *method;
    const char *url;
    char *const *headers; /* "Name: value", NULL-terminated */
    const char *body;     /* NULL: none */
    size_t body_length;
    int64_t timeout_ms;         /* the whole exchange; 0: none */
    int64_t connect_timeout_ms; /* 0: 10 s */
    int64_t stall_timeout_ms;   /* below 100 bytes/s for this long; 0: none */
    size_t response_maximum;    /* bytes of body */
    bool fresh_connection;
    /* a kept connection that was idle for longer is not used; 0: 25 s */
    int64_t idle_maximum_ms;
    /* report whether the other side has the bytes (http_result.unacknowledged) */
    bool delivery_counts;
    /* for what scripts fetch, not for the platform: HTTP/2 where offered, compressed answers,
     * several sends where a redirect asks for them, or a closed connection and the method is one of
     * those that may be repeated */
    bool general;
    int redirects_maximum; /* general only; 0: none are followed */
    /* every host that the exchange contacts, also by a redirect, is looked up here before its name
     * is resolved, before connecting and before sending; no proxy is used. NULL: any host. Borrowed
     * as the strings. */
    const struct allowed_hosts *only_hosts;
    /* https, and to addresses of the public internet (net/public_address.h), as they are resolved
     * and connected to, also after redirects; no proxy is used. `public_except`: hosts that may be
     * anywhere, with http; NULL: none. Borrowed. */
    bool public_only;
    const struct allowed_hosts *public_except;
    const char *public_option; /* what adds to these, for the error; static. NULL: --allow-file-host
                                */
    /* called with each piece of body as it arrives, instead of collecting it; NULL: collect. false:
     * not now, the same piece again after http_resume. It must not call into this client. */
    bool (*on_data)(void *context, const char *bytes, size_t length);
};

struct http_result {
    enum http_progress progress;
    int status;       /* 0 unless a status line came */
    const char *body; /* NUL-terminated, valid during the callback; "" for none */
    size_t body_length;
    const char *error; /* NULL if answered; else libcurl's words */
    /* NULL if answered; else TIMEOUT, RESOLVE, CONNECT, TLS, TOO_LARGE, URL, REDIRECTS, FORBIDDEN
       (not among only_hosts), NETWORK */
    const char *code;
    bool too_large;        /* the body exceeded response_maximum */
    bool cannot_connect;   /* no connection was made (resolver, TCP, TLS) */
    int64_t since_sent_ms; /* from our last byte to the end */
    /* delivery_counts, no answer: the other side's TCP has not acknowledged all bytes of the
       request */
    bool unacknowledged;
    struct http_exchange *exchange;
};

typedef void http_callback(const struct http_result *result, void *context);

/* Once per process, before any thread. */
void http_global_open(void);
void http_global_close(void);

struct http_client *http_client_open(uv_loop_t *loop, const struct http_client_options *options);
/* Cancels what is under way without callbacks; its handles close with the loop's next turns. */
void http_client_close(struct http_client *client);

/* The callback comes later, exactly once, unless canceled. */
struct http_exchange *http_send(struct http_client *client, const struct http_request *request,
                                http_callback *callback, void *context);
void http_cancel(struct http_exchange *exchange);
/* A response header of an answered exchange, the last of that name, or NULL; valid during the
 * callback. */
const char *http_header(const struct http_result *result, const char *name);
/* Every header of the last answer, in order. */
void http_each_header(const struct http_result *result,
                      void (*each)(const char *name, const char *value, void *context),
                      void *context);
/* The status line so far, 0 before it came; for on_data. */
int http_status(const struct http_exchange *exchange);
/* Its Content-Type, NULL: none yet; for on_data. */
const char *http_content_type(const struct http_exchange *exchange);
/* After on_data said "not now". Not from a callback of this client. */
void http_resume(struct http_exchange *exchange);
/* When a host was last found to have moved (clock_monotonic_ms); 0: never. Older connections are
 * not reused; ending one that is in use is up to its owner. */
int64_t http_client_moved_ms(const struct http_client *client);
/* How many exchanges are under way. */
size_t http_client_active(const struct http_client *client);

#endif
