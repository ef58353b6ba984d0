/* A request's life: it arrives, is handed over, waits for its answer, and goes.
 *
 * A request that is not answered at once is suspended. libmicrohttpd does not look at suspended
 * connections, so the loop itself watches their sockets for the client's departure. An RST is
 * produced by connect(AF_UNSPEC): closing with SO_LINGER 0 is not enough, because libmicrohttpd
 * shuts the socket down first and the client would see an orderly end. */
#include "net/http_server_request.h"

#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

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

void http_server_start_timer(struct http_request *request, uv_timer_cb callback,
                             unsigned milliseconds)
{
    if (!request->has_timer) {
        uv_timer_init(request->server->loop, &request->timer);
        request->timer.data = request;
        request->has_timer = true;
        request->open_handles++;
    }
    uv_timer_start(&request->timer, callback, milliseconds, 0);
}

int http_server_socket(const struct http_request *request)
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

void http_server_wake(struct http_request *request)
{
    if (!request->streaming)
        unwatch(request);
    if (!request->suspended)
        return;
    request->suspended = false;
    MHD_resume_connection(request->connection);
    http_server_run_soon(request->server);
}

void http_server_depart(struct http_request *request)
{
    unwatch(request);
    request->aborted = true;
    if (request->held) {
        request->held = false;
        if (request->server->options.on_gone)
            request->server->options.on_gone(request, request->server->options.context);
    }
    if (request->suspended)
        http_server_wake(request);
    else /* libmicrohttpd waits for a reader */
        (void)shutdown(http_server_socket(request), SHUT_RDWR);
}

static void on_departure(uv_poll_t *handle, int status, int events)
{
    if (status < 0 || (events & UV_DISCONNECT))
        http_server_depart(handle->data);
}

void http_server_watch(struct http_request *request)
{
    if (request->watching)
        return;
    if (!request->has_watch) {
        if (uv_poll_init(request->server->loop, &request->watch, http_server_socket(request)) != 0)
            return;
        request->watch.data = request;
        request->has_watch = true;
        request->open_handles++;
    }
    request->watching = uv_poll_start(&request->watch, UV_DISCONNECT, on_departure) == 0;
}

void http_server_suspend(struct http_request *request)
{
    MHD_suspend_connection(request->connection);
    request->suspended = true;
    http_server_watch(request);
}

void http_server_disconnect(struct http_request *request)
{
    unwatch(request);
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    (void)connect(http_server_socket(request), &nobody, sizeof nobody);
    (void)shutdown(http_server_socket(request), SHUT_RDWR); /* a unix socket */
    request->on->reset = true;
    request->aborted = true;
}

/* ---- what libmicrohttpd calls ---- */

/* Answers if there is something to answer with, else leaves the connection suspended. */
static enum MHD_Result proceed(struct http_request *request)
{
    if (request->aborted)
        return MHD_NO;
    if (!request->response || request->waiting) {
        http_server_suspend(request);
        return MHD_YES;
    }
    request->phase = PHASE_QUEUED;
    enum MHD_Result result = MHD_queue_response(request->connection, request->status,
                                                request->response);
    MHD_destroy_response(request->response);
    request->response = NULL;
    if (request->streaming && !request->suspended)
        http_server_watch(request);
    return result;
}

static struct http_request *request_open(struct http_connection *on)
{
    struct http_server *server = on->server;
    struct http_request *request = memory_allocate(sizeof *request);
    request->server = server;
    request->on = on;
    request->connection = on->handle;
    request->began_ms = uv_now(server->loop);
    snprintf(request->id, sizeof request->id, "%08" PRIx32 "-%" PRIx64, server->id_prefix,
             ++server->request_count);
    buffer_init(&request->body, server->options.limits.body_bytes);
    buffer_init(&request->outgoing, server->options.limits.stream_bytes);
    request->next = server->requests;
    if (request->next)
        request->next->previous = request;
    server->requests = request;
    on->request = request;
    return request;
}

void *http_server_target(void *context, const char *target, struct MHD_Connection *connection)
{
    (void)context;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct http_connection *on = info ? info->socket_context : NULL;
    if (!on || !target)
        return NULL;
    struct http_request *request = request_open(on);
    request->target = target;
    request->target_length = strlen(target);
    request->target_bad = http_server_target_bad(target);
    if (on->awaited == AWAITED_NEXT)
        http_connection_await(on, AWAITED_HEAD);
    return request;
}

/* libmicrohttpd may have missed an end that arrived together with bytes: its epoll is
 * edge-triggered, and it does not read again after a short read. This makes a new edge. */
static void show_end(const struct http_connection *on)
{
    char byte;
    if (recv(on->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
        (void)shutdown(on->fd, SHUT_RD);
}

/* The head is complete. */
static enum MHD_Result begin(struct http_request *request, const char *version)
{
    const struct http_server_options *options = &request->server->options;
    request->phase = PHASE_COLLECTING;
    unsigned refused = http_server_guard(request, version);
    bool settled = refused != 0;
    if (refused) {
        http_server_refuse(request, refused);
    } else {
        http_request_name(request);
        http_server_match_origin(request);
        settled = http_server_preflight(request);
    }
    if (!settled && options->on_head) {
        request->held = true;
        settled = !options->on_head(request, options->context);
    }
    if (!settled && request->has_body) {
        http_connection_await(request->on, AWAITED_BODY);
        show_end(request->on);
        return MHD_YES;
    }
    http_connection_await(request->on, AWAITED_NOTHING);
    if (!settled)
        return MHD_YES;
    request->phase = PHASE_HANDED;
    request->on->refused = request->has_body;
    /* An answer before the last call makes libmicrohttpd close the connection. */
    return request->has_body || refused ? proceed(request) : MHD_YES;
}

static enum MHD_Result collect(struct http_request *request, const char *bytes, size_t length)
{
    if (buffer_append(&request->body, bytes, length))
        return MHD_YES;
    http_connection_refuse(request->on, MHD_HTTP_CONTENT_TOO_LARGE);
    return MHD_NO;
}

static void take_path(struct http_request *request, const char *url)
{
    size_t length;
    const char *host = http_server_target_host(url, &length);
    request->url = url;
    request->path = !host ? url : host[length] ? host + length : "/";
}

enum MHD_Result http_server_access(void *context, struct MHD_Connection *connection,
                                   const char *url, const char *method, const char *version,
                                   const char *upload, size_t *upload_size, void **slot)
{
    (void)connection;
    struct http_server *server = context;
    struct http_request *request = *slot;
    if (!request)
        return MHD_NO;
    if (request->phase == PHASE_ARRIVING) {
        request->method = method;
        take_path(request, url);
        return begin(request, version);
    }
    if (*upload_size > 0) {
        size_t length = *upload_size;
        *upload_size = 0;
        return collect(request, upload, length);
    }
    if (request->phase == PHASE_COLLECTING) {
        request->phase = PHASE_HANDED;
        request->held = true;
        http_connection_await(request->on, AWAITED_NOTHING);
        server->options.on_request(request, server->options.context);
    }
    return proceed(request);
}

void http_server_completed(void *context, struct MHD_Connection *connection, void **slot,
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
    http_request_log(request);
    if (request->response)
        MHD_destroy_response(request->response);
    if (request->next)
        request->next->previous = request->previous;
    if (request->previous)
        request->previous->next = request->next;
    else
        server->requests = request->next;
    unwatch(request);
    request->on->request = NULL;
    http_connection_await(request->on, AWAITED_NEXT);
    show_end(request->on);
    request->connection = NULL;
    if (request->has_timer)
        uv_close((uv_handle_t *)&request->timer, on_request_handle_closed);
    if (request->has_watch)
        uv_close((uv_handle_t *)&request->watch, on_request_handle_closed);
    request_release(request);
}
