/* A request's life: it arrives, is handed over, waits for its answer, and goes.
 *
 * A request that is not answered at once is suspended. libmicrohttpd does not look at suspended
 * connections, so the loop itself watches their sockets for the client's departure. An RST is
 * produced by connect(AF_UNSPEC): closing with SO_LINGER 0 is not enough, because libmicrohttpd
 * shuts the socket down first and the client would see an orderly end. */
#include "net/http_server_request.h"

#include "base/memory.h"

#include <stdlib.h>
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
    unwatch(request);
    if (!request->suspended)
        return;
    request->suspended = false;
    MHD_resume_connection(request->connection);
    http_server_run_soon(request->server);
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
    http_server_wake(request);
}

void http_server_suspend(struct http_request *request)
{
    MHD_suspend_connection(request->connection);
    request->suspended = true;
    if (!request->has_watch) {
        if (uv_poll_init(request->server->loop, &request->watch, http_server_socket(request)) != 0)
            return;
        request->watch.data = request;
        request->has_watch = true;
        request->open_handles++;
    }
    request->watching = uv_poll_start(&request->watch, UV_DISCONNECT, on_departure) == 0;
}

void http_server_disconnect(struct http_request *request)
{
    unwatch(request);
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    (void)connect(http_server_socket(request), &nobody, sizeof nobody);
    request->aborted = true;
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
        http_server_suspend(request);
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

enum MHD_Result http_server_access(void *context, struct MHD_Connection *connection,
                                   const char *url, const char *method, const char *version,
                                   const char *upload, size_t *upload_size, void **slot)
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
