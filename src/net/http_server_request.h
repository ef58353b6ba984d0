/* What the files of the HTTP server share. Only they include this, and with it microhttpd.h. */
#ifndef MOLECULE_NET_HTTP_SERVER_REQUEST_H
#define MOLECULE_NET_HTTP_SERVER_REQUEST_H

#include "net/http_server.h"

#include "base/buffer.h"

#include <microhttpd.h>

struct http_server {
    struct MHD_Daemon *daemon;
    struct http_server_options options;
    uv_loop_t *loop;
    uv_poll_t readiness;
    uv_timer_t timeout;
    uv_idle_t again;
    int open_handles;
    uint16_t port;
    bool closing;
    struct http_request *requests;
};

enum phase {
    PHASE_COLLECTING, /* the body is still arriving */
    PHASE_HANDED,     /* on_request was called */
    PHASE_QUEUED      /* the answer is libmicrohttpd's to send */
};

struct http_request {
    struct http_server *server;
    struct http_request *previous, *next;
    struct MHD_Connection *connection; /* NULL once libmicrohttpd has released it */
    const char *method, *path;
    struct buffer body;
    bool too_large;
    enum phase phase;
    bool held; /* the server's user has the pointer */
    bool suspended;
    bool aborted; /* no further byte is sent */
    bool waiting; /* the answer's delay is not over */
    void *data;

    struct MHD_Response *response;
    unsigned status;
    struct buffer outgoing; /* body to drip or cut, or what a stream has not sent yet */
    bool ended;
    bool cut;
    size_t cut_after;
    size_t drip_bytes;
    unsigned drip_ms;
    bool pause_next;
    int drain_tries;

    bool has_timer, has_watch, watching;
    uv_timer_t timer;
    uv_poll_t watch;
    int open_handles;
};

/* net/http_server.c: libmicrohttpd runs in the loop's next turn */
void http_server_run_soon(struct http_server *server);

/* net/http_server_request.c: what libmicrohttpd calls */
enum MHD_Result http_server_access(void *server, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *upload,
                                   size_t *upload_size, void **slot);
void http_server_completed(void *server, struct MHD_Connection *connection, void **slot,
                           enum MHD_RequestTerminationCode code);
/* A connection that waits: suspended, and watched for its client's departure, until it is woken. */
void http_server_suspend(struct http_request *request);
void http_server_wake(struct http_request *request);
/* The RST leaves now. */
void http_server_disconnect(struct http_request *request);
int http_server_socket(const struct http_request *request);
void http_server_start_timer(struct http_request *request, uv_timer_cb callback,
                             unsigned milliseconds);

#endif
