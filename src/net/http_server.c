/* libmicrohttpd, driven from outside: its epoll descriptor is watched by the loop, its timeout
 * feeds a timer. It does not wake itself when a connection is resumed, and has work left at times
 * without a ready socket; then an idle handle makes the loop's next turn run it. (A timer of 0 ms
 * would not do: restarted from its own callback it starves the loop.)
 *
 * A request that is not answered at once is suspended. libmicrohttpd does not look at suspended
 * connections, so the loop itself watches their sockets for the client's departure. An RST is
 * produced by connect(AF_UNSPEC): closing with SO_LINGER 0 is not enough, because libmicrohttpd
 * shuts the socket down first and the client would see an orderly end. */
#include "net/http_server.h"

#include "base/buffer.h"
#include "base/memory.h"

#include <errno.h>
#include <linux/sockios.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* bytes for a connection's head and buffers; larger heads get 431 */
#define CONNECTION_MEMORY 262144
#define READER_BLOCK 65536
/* milliseconds to wait for the kernel to have sent what precedes a cut */
#define DRAIN_TRIES 1000

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
    struct MHD_Connection *connection; /* NULL once libmicrohttpd has let go of it */
    const char *method, *path;
    struct buffer body;
    bool too_large;
    enum phase phase;
    bool held; /* somebody outside has the pointer */
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

/* ---- driving libmicrohttpd ---- */

static void on_again(uv_idle_t *again);

static void on_timeout(uv_timer_t *timer)
{
    struct http_server *server = timer->data;
    uv_idle_start(&server->again, on_again);
}

static void run(struct http_server *server)
{
    uv_idle_stop(&server->again);
    uv_timer_stop(&server->timeout);
    (void)MHD_run(server->daemon);
    MHD_UNSIGNED_LONG_LONG milliseconds;
    if (MHD_get_timeout(server->daemon, &milliseconds) != MHD_YES)
        return;
    if (milliseconds == 0)
        uv_idle_start(&server->again, on_again);
    else
        uv_timer_start(&server->timeout, on_timeout, milliseconds, 0);
}

static void on_again(uv_idle_t *again)
{
    run(again->data);
}

static void on_readiness(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    run(handle->data);
}

/* ---- a request's own handles ---- */

static void request_release(struct http_request *request)
{
    if (request->connection || request->open_handles > 0)
        return;
    buffer_free(&request->body);
    buffer_free(&request->outgoing);
    free(request);
}

static void on_request_handle_closed(uv_handle_t *handle)
{
    struct http_request *request = handle->data;
    request->open_handles--;
    request_release(request);
}

static void start_timer(struct http_request *request, uv_timer_cb callback, unsigned milliseconds)
{
    if (!request->has_timer) {
        uv_timer_init(request->server->loop, &request->timer);
        request->timer.data = request;
        request->has_timer = true;
        request->open_handles++;
    }
    uv_timer_start(&request->timer, callback, milliseconds, 0);
}

static int socket_of(const struct http_request *request)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

static void unwatch(struct http_request *request)
{
    if (request->watching)
        uv_poll_stop(&request->watch);
    request->watching = false;
}

static void wake(struct http_request *request)
{
    unwatch(request);
    if (!request->suspended)
        return;
    request->suspended = false;
    MHD_resume_connection(request->connection);
    if (!request->server->closing)
        uv_idle_start(&request->server->again, on_again);
}

static void on_departure(uv_poll_t *handle, int status, int events)
{
    struct http_request *request = handle->data;
    if (status >= 0 && !(events & UV_DISCONNECT))
        return;
    unwatch(request);
    request->aborted = true;
    if (request->held) {
        request->held = false;
        if (request->server->options.on_gone)
            request->server->options.on_gone(request, request->server->options.context);
    }
    wake(request);
}

static void suspend(struct http_request *request)
{
    MHD_suspend_connection(request->connection);
    request->suspended = true;
    if (!request->has_watch) {
        if (uv_poll_init(request->server->loop, &request->watch, socket_of(request)) != 0)
            return;
        request->watch.data = request;
        request->has_watch = true;
        request->open_handles++;
    }
    request->watching = uv_poll_start(&request->watch, UV_DISCONNECT, on_departure) == 0;
}

/* The RST leaves now. */
static void disconnect(struct http_request *request)
{
    unwatch(request);
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    (void)connect(socket_of(request), &nobody, sizeof nobody);
    request->aborted = true;
}

/* ---- bodies that are made while they are sent ---- */

static void on_pause_over(uv_timer_t *timer)
{
    wake(timer->data);
}

static void on_drain(uv_timer_t *timer)
{
    struct http_request *request = timer->data;
    int unsent = 0;
    if (ioctl(socket_of(request), SIOCOUTQ, &unsent) == 0 && unsent > 0 &&
        ++request->drain_tries < DRAIN_TRIES) {
        start_timer(request, on_drain, 1);
        return;
    }
    disconnect(request);
    wake(request);
}

static void begin_cut(struct http_request *request)
{
    /* What libmicrohttpd has written so far must reach the client before the RST does. */
    int on = 1, off = 0;
    (void)setsockopt(socket_of(request), IPPROTO_TCP, TCP_CORK, &off, sizeof off);
    (void)setsockopt(socket_of(request), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    suspend(request);
    start_timer(request, on_drain, 0);
}

static ssize_t read_body(void *context, uint64_t position, char *out, size_t room)
{
    struct http_request *request = context;
    if (request->aborted)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t end = request->outgoing.length;
    if (request->cut && request->cut_after < end)
        end = request->cut_after;
    if (position >= end) {
        begin_cut(request);
        return 0;
    }
    if (request->drip_bytes > 0) {
        if (request->pause_next) {
            request->pause_next = false;
            suspend(request);
            start_timer(request, on_pause_over, request->drip_ms);
            return 0;
        }
        request->pause_next = true;
        if (room > request->drip_bytes)
            room = request->drip_bytes;
    }
    if (room > end - position)
        room = end - position;
    memcpy(out, request->outgoing.data + position, room);
    return (ssize_t)room;
}

static ssize_t read_stream(void *context, uint64_t position, char *out, size_t room)
{
    (void)position;
    struct http_request *request = context;
    if (request->aborted)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (request->outgoing.length == 0) {
        if (request->ended)
            return MHD_CONTENT_READER_END_OF_STREAM;
        suspend(request);
        return 0;
    }
    if (room > request->outgoing.length)
        room = request->outgoing.length;
    memcpy(out, request->outgoing.data, room);
    buffer_consume(&request->outgoing, room);
    return (ssize_t)room;
}

/* ---- answering ---- */

static void add_headers(struct MHD_Response *response, const struct http_header *headers,
                        size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)MHD_add_response_header(response, headers[i].name, headers[i].value);
}

static void on_delay_over(uv_timer_t *timer)
{
    struct http_request *request = timer->data;
    request->waiting = false;
    wake(request);
}

void http_request_answer(struct http_request *request, const struct http_answer *answer)
{
    bool made = answer->drip_bytes > 0 || answer->cut;
    if (made && answer->length > 0) {
        request->outgoing.maximum = answer->length;
        buffer_append(&request->outgoing, answer->body, answer->length);
        request->cut = answer->cut;
        request->cut_after = answer->cut_after;
        request->drip_bytes = answer->drip_bytes;
        request->drip_ms = answer->drip_ms;
        request->response = MHD_create_response_from_callback(answer->length, READER_BLOCK,
                                                              read_body, request, NULL);
    } else {
        /* libmicrohttpd only reads a buffer that it is to copy */
        request->response = MHD_create_response_from_buffer(
            answer->length, (void *)(uintptr_t)answer->body, MHD_RESPMEM_MUST_COPY);
    }
    request->status = (unsigned)answer->status;
    request->held = false;
    if (!request->response) {
        http_request_reset(request);
        return;
    }
    add_headers(request->response, answer->headers, answer->header_count);
    request->waiting = answer->delay_ms > 0;
    if (request->waiting)
        start_timer(request, on_delay_over, answer->delay_ms);
    else
        wake(request);
}

void http_request_reset(struct http_request *request)
{
    request->held = false;
    disconnect(request);
    wake(request);
}

void http_stream_begin(struct http_request *request, int status, const struct http_header *headers,
                       size_t count)
{
    request->response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, READER_BLOCK,
                                                          read_stream, request, NULL);
    request->status = (unsigned)status;
    if (!request->response) {
        request->aborted = true;
    } else {
        add_headers(request->response, headers, count);
    }
    wake(request);
}

bool http_stream_send(struct http_request *request, const char *bytes, size_t length)
{
    if (!buffer_append(&request->outgoing, bytes, length))
        return false;
    wake(request);
    return true;
}

void http_stream_end(struct http_request *request)
{
    request->held = false;
    request->ended = true;
    wake(request);
}

/* ---- what libmicrohttpd calls ---- */

static void refuse_large(struct http_request *request)
{
    static const char body[] = "{\"error\":\"request body too large\"}";
    struct http_header type = {"Content-Type", "application/json"};
    http_request_answer(request, &(struct http_answer){.status = MHD_HTTP_CONTENT_TOO_LARGE,
                                                       .headers = &type,
                                                       .header_count = 1,
                                                       .body = body,
                                                       .length = sizeof body - 1});
}

/* Answers if there is something to answer with, else leaves the connection suspended. */
static enum MHD_Result proceed(struct http_request *request)
{
    if (request->aborted)
        return MHD_NO;
    if (!request->response || request->waiting) {
        suspend(request);
        return MHD_YES;
    }
    request->phase = PHASE_QUEUED;
    enum MHD_Result result = MHD_queue_response(request->connection, request->status,
                                                request->response);
    MHD_destroy_response(request->response);
    request->response = NULL;
    return result;
}

static struct http_request *request_open(struct http_server *server,
                                         struct MHD_Connection *connection, const char *method,
                                         const char *path)
{
    struct http_request *request = memory_allocate(sizeof *request);
    request->server = server;
    request->connection = connection;
    request->method = method;
    request->path = path;
    buffer_init(&request->body, HTTP_SERVER_BODY_MAXIMUM);
    buffer_init(&request->outgoing, HTTP_SERVER_STREAM_MAXIMUM);
    request->next = server->requests;
    if (request->next)
        request->next->previous = request;
    server->requests = request;
    return request;
}

static enum MHD_Result on_access(void *context, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_size, void **slot)
{
    (void)version;
    struct http_server *server = context;
    struct http_request *request = *slot;
    if (!request) {
        *slot = request_open(server, connection, method, url);
        return MHD_YES;
    }
    if (*upload_size > 0) {
        if (!buffer_append(&request->body, upload, *upload_size)) {
            request->too_large = true;
            buffer_free(&request->body);
            request->body.maximum = 0;
        }
        *upload_size = 0;
        return MHD_YES;
    }
    if (request->phase == PHASE_COLLECTING) {
        request->phase = PHASE_HANDED;
        request->held = true;
        if (request->too_large)
            refuse_large(request);
        else
            server->options.on_request(request, server->options.context);
    }
    return proceed(request);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode code)
{
    (void)connection;
    (void)code;
    struct http_server *server = context;
    struct http_request *request = *slot;
    if (!request)
        return;
    *slot = NULL;
    if (request->held && !server->closing && server->options.on_gone) {
        request->held = false;
        server->options.on_gone(request, server->options.context);
    }
    if (request->response)
        MHD_destroy_response(request->response);
    if (request->next)
        request->next->previous = request->previous;
    if (request->previous)
        request->previous->next = request->next;
    else
        server->requests = request->next;
    unwatch(request);
    request->connection = NULL;
    if (request->has_timer)
        uv_close((uv_handle_t *)&request->timer, on_request_handle_closed);
    if (request->has_watch)
        uv_close((uv_handle_t *)&request->watch, on_request_handle_closed);
    request_release(request);
}

/* ---- the server ---- */

/* A listening socket, or -1 with the problem told. */
static int listen_on(const struct http_server_options *options, uint16_t *port, char *problem,
                     size_t problem_size)
{
    const char *address = options->address ? options->address : "127.0.0.1";
    struct sockaddr_storage place = {0};
    socklen_t size = sizeof(struct sockaddr_in);
    if (uv_ip4_addr(address, options->port, (struct sockaddr_in *)&place) != 0) {
        size = sizeof(struct sockaddr_in6);
        if (uv_ip6_addr(address, options->port, (struct sockaddr_in6 *)&place) != 0) {
            snprintf(problem, problem_size, "%s is not an IP address", address);
            return -1;
        }
    }
    int on = 1;
    int fd = socket(place.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)&place, size) != 0 || listen(fd, 511) != 0 ||
        getsockname(fd, (struct sockaddr *)&place, &size) != 0) {
        if (errno == EADDRINUSE)
            snprintf(problem, problem_size, "%s:%u is in use by another program", address,
                     options->port);
        else
            snprintf(problem, problem_size, "cannot listen on %s:%u: %s", address, options->port,
                     strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    *port = ntohs(place.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&place)->sin6_port
                                              : ((struct sockaddr_in *)&place)->sin_port);
    return fd;
}

struct http_server *http_server_open(uv_loop_t *loop, const struct http_server_options *options,
                                     char *problem, size_t problem_size)
{
    uint16_t port = 0;
    int fd = listen_on(options, &port, problem, problem_size);
    if (fd < 0)
        return NULL;
    struct http_server *server = memory_allocate(sizeof *server);
    server->options = *options;
    server->options.address = NULL;
    server->loop = loop;
    server->port = port;
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_access, server,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_SERVER_CONNECTIONS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_END);
    if (!server->daemon) {
        snprintf(problem, problem_size, "cannot start the HTTP server: %s", strerror(errno));
        close(fd);
        free(server);
        return NULL;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon,
                                                           MHD_DAEMON_INFO_EPOLL_FD);
    int result = info ? uv_poll_init(loop, &server->readiness, info->epoll_fd) : UV_ENOTSUP;
    if (result != 0) {
        snprintf(problem, problem_size, "cannot watch the HTTP server: %s", uv_strerror(result));
        MHD_stop_daemon(server->daemon);
        free(server);
        return NULL;
    }
    uv_timer_init(loop, &server->timeout);
    uv_idle_init(loop, &server->again);
    server->open_handles = 3;
    server->readiness.data = server->timeout.data = server->again.data = server;
    uv_poll_start(&server->readiness, UV_READABLE, on_readiness);
    return server;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

static void on_server_handle_closed(uv_handle_t *handle)
{
    struct http_server *server = handle->data;
    if (--server->open_handles == 0)
        free(server);
}

void http_server_close(struct http_server *server)
{
    if (!server)
        return;
    server->closing = true;
    uv_close((uv_handle_t *)&server->readiness, on_server_handle_closed);
    uv_close((uv_handle_t *)&server->timeout, on_server_handle_closed);
    uv_close((uv_handle_t *)&server->again, on_server_handle_closed);
    for (struct http_request *request = server->requests; request; request = request->next) {
        request->held = false;
        request->aborted = true;
        wake(request);
    }
    MHD_stop_daemon(server->daemon);
}

/* ---- looking at a request ---- */

const char *http_request_method(const struct http_request *request)
{
    return request->method;
}

const char *http_request_path(const struct http_request *request)
{
    return request->path;
}

const char *http_request_body(const struct http_request *request, size_t *length)
{
    *length = request->body.length;
    return request->body.data ? request->body.data : "";
}

struct visit {
    http_pair_visitor *visitor;
    void *context;
};

static enum MHD_Result visit_pair(void *context, enum MHD_ValueKind kind, const char *name,
                                  size_t name_length, const char *value, size_t length)
{
    (void)kind;
    (void)name_length;
    struct visit *visit = context;
    visit->visitor(name, value ? value : "", value ? length : 0, visit->context);
    return MHD_YES;
}

void http_request_each_header(struct http_request *request, http_pair_visitor *visitor,
                              void *context)
{
    struct visit visit = {visitor, context};
    (void)MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, visit_pair, &visit);
}

void http_request_each_argument(struct http_request *request, http_pair_visitor *visitor,
                                void *context)
{
    struct visit visit = {visitor, context};
    (void)MHD_get_connection_values_n(request->connection, MHD_GET_ARGUMENT_KIND, visit_pair,
                                      &visit);
}

void http_request_set_data(struct http_request *request, void *data)
{
    request->data = data;
}

void *http_request_data(const struct http_request *request)
{
    return request->data;
}
