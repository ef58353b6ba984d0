/* What the files of the HTTP server share. Only they include this, and with it microhttpd.h. */
#ifndef MOLECULE_NET_HTTP_SERVER_REQUEST_H
#define MOLECULE_NET_HTTP_SERVER_REQUEST_H

#include "net/http_server.h"

#include "base/buffer.h"

#include <microhttpd.h>
#include <netinet/in.h>

#define HTTP_CLIENT_SIZE INET6_ADDRSTRLEN
#define HTTP_ID_SIZE 65

struct http_place {
    struct http_server *server;
    uv_poll_t readiness;
    bool watched;
    int fd;
    char *name; /* as http_server_place tells it */
    char *path; /* of a unix socket that is removed at the end */
};

struct http_server {
    struct MHD_Daemon *daemon;
    struct http_server_options options; /* limits without 0 */
    uv_loop_t *loop;
    uv_poll_t readiness;
    uv_timer_t timeout, sweep;
    uv_idle_t again;
    int open_handles;
    bool closing;
    bool full; /* nothing is accepted until a connection ends */
    struct http_place *places;
    size_t place_count;
    struct http_connection *connections;
    struct http_connection *adding; /* libmicrohttpd has not taken it yet */
    unsigned connection_count, kept_count;
    struct http_request *requests;
    struct http_linger *lingering;
    unsigned linger_count;
    uint64_t request_count;
    uint32_t id_prefix;
    char **cors_origins;
    char *access_log_name;
};

/* What a connection's client has to do before its deadline. */
enum http_awaited {
    AWAITED_NOTHING, /* it is our turn */
    AWAITED_HEAD,
    AWAITED_BODY,
    AWAITED_NEXT /* another request */
};

struct http_connection {
    struct http_server *server;
    struct http_connection *previous, *next;
    struct MHD_Connection *handle;
    int fd;
    enum http_awaited awaited;
    uint64_t deadline_ms; /* of the loop's clock */
    bool kept;            /* stays open between requests, and counts */
    bool refused;         /* the answer is out, past libmicrohttpd */
    bool reset;
    struct http_request *request; /* the one now being served, or NULL */
    char client[HTTP_CLIENT_SIZE];
};

enum phase {
    PHASE_ARRIVING,   /* the head is still arriving */
    PHASE_COLLECTING, /* the body is still arriving */
    PHASE_HANDED,     /* on_request was called, or the answer is known without it */
    PHASE_QUEUED      /* the answer is libmicrohttpd's to send */
};

struct http_request {
    struct http_server *server;
    struct http_request *previous, *next;
    struct http_connection *on;
    struct MHD_Connection *connection; /* NULL once libmicrohttpd has released it */
    const char *method, *path;         /* the path: in the url, which may be in absolute form */
    const char *url;                   /* percent-decoded, without the query */
    const char *target;                /* where it was; its bytes are gone */
    size_t target_length;
    bool target_bad;
    bool has_body; /* is announced */
    bool last;     /* the connection ends after the answer */
    struct buffer body;
    enum phase phase;
    bool held; /* the server's user has the pointer */
    bool suspended;
    bool aborted; /* no further byte is sent */
    bool waiting; /* the answer's delay is not over */
    void *data;
    char id[HTTP_ID_SIZE];
    char client[HTTP_CLIENT_SIZE]; /* of a proxy's header; else empty */
    const char *origin;            /* of the server's cors_origins, or NULL */
    uint64_t began_ms, sent_bytes;

    struct MHD_Response *response;
    unsigned status;
    struct buffer outgoing; /* body to drip or cut, or what a stream has not sent yet */
    size_t taken;           /* bytes at the front of a stream's `outgoing` that were sent */
    bool streaming, ended, overrun;
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
/* The server is freed once all of its handles are closed. */
void http_server_handle_closed(struct http_server *server);

/* net/http_server_listen.c */
bool http_server_listen(struct http_server *server, const struct http_server_options *options,
                        char *problem, size_t problem_size);
/* Watches the places; libuv's error. */
int http_server_accept_start(struct http_server *server);
void http_server_accept_pause(struct http_server *server, bool pause);
void http_server_unwatch_places(struct http_server *server);
void http_server_unlisten(struct http_server *server);

/* net/http_server_connection.c */
void http_connection_add(struct http_server *server, int fd, const struct sockaddr *address,
                         socklen_t size);
void http_server_notify(void *server, struct MHD_Connection *handle, void **slot,
                        enum MHD_ConnectionNotificationCode code);
void http_connection_await(struct http_connection *connection, enum http_awaited awaited);
/* Sends an answer past libmicrohttpd, which must not be sending one. The connection then ends. */
void http_connection_refuse(struct http_connection *connection, unsigned status);
void http_server_lingers_close(struct http_server *server);

/* net/http_server_guard.c: 0, or the status to refuse the head with; sets has_body */
unsigned http_server_guard(struct http_request *request, const char *version);
bool http_server_target_bad(const char *target);
/* The host and port of a target in absolute form, "http://host:port/path"; NULL: it has another. */
const char *http_server_target_host(const char *target, size_t *length);

/* net/http_server_head.c: what is told about a request */
void http_request_name(struct http_request *request);
void http_request_log(const struct http_request *request);
const char *http_status_text(unsigned status);

/* net/http_server_cors.c */
void http_server_match_origin(struct http_request *request);
bool http_server_preflight(struct http_request *request); /* true: answered */
void http_server_add_cors(const struct http_request *request, struct MHD_Response *response);

/* net/http_server_request.c: what libmicrohttpd calls */
void *http_server_target(void *server, const char *target, struct MHD_Connection *connection);
enum MHD_Result http_server_access(void *server, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *upload,
                                   size_t *upload_size, void **slot);
void http_server_completed(void *server, struct MHD_Connection *connection, void **slot,
                           enum MHD_RequestTerminationCode code);
/* A connection that waits: suspended, and watched for its client's departure, until it is woken. */
void http_server_suspend(struct http_request *request);
void http_server_watch(struct http_request *request);
void http_server_wake(struct http_request *request);
/* The client has gone, or is dropped: on_gone if the request is held. */
void http_server_depart(struct http_request *request);
/* The RST leaves now. */
void http_server_disconnect(struct http_request *request);
int http_server_socket(const struct http_request *request);
void http_server_start_timer(struct http_request *request, uv_timer_cb callback,
                             unsigned milliseconds);

/* net/http_server_response.c: an error as JSON, and the connection ends after it */
void http_server_refuse(struct http_request *request, unsigned status);

#endif
