/* How a request is answered: at once or later, whole, dripping, cut off, or as a stream. */
#include "net/http_server_request.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define READER_BLOCK 65536
#define STREAM_BLOCK 4096   /* allocated for every stream */
#define KEPT_CAPACITY 16384 /* of a stream's buffer once all is sent */
/* milliseconds to wait for the kernel to have sent what precedes a cut */
#define DRAIN_TRIES 1000

/* ---- bodies that are made while they are sent ---- */

static void on_pause_over(uv_timer_t *timer)
{
    http_server_wake(timer->data);
}

static void on_drain(uv_timer_t *timer)
{
    struct http_request *request = timer->data;
    int unsent = 0;
    if (ioctl(http_server_socket(request), SIOCOUTQ, &unsent) == 0 && unsent > 0 &&
        ++request->drain_tries < DRAIN_TRIES) {
        http_server_start_timer(request, on_drain, 1);
        return;
    }
    http_server_disconnect(request);
    http_server_wake(request);
}

static void begin_cut(struct http_request *request)
{
    /* What libmicrohttpd has written so far must reach the client before the RST does. */
    int on = 1, off = 0;
    (void)setsockopt(http_server_socket(request), IPPROTO_TCP, TCP_CORK, &off, sizeof off);
    (void)setsockopt(http_server_socket(request), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    http_server_suspend(request);
    http_server_start_timer(request, on_drain, 0);
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
            http_server_suspend(request);
            http_server_start_timer(request, on_pause_over, request->drip_ms);
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
    size_t left = request->outgoing.length - request->taken;
    if (left == 0) {
        if (request->ended)
            return MHD_CONTENT_READER_END_OF_STREAM;
        http_server_suspend(request);
        return 0;
    }
    if (room > left)
        room = left;
    memcpy(out, request->outgoing.data + request->taken, room);
    request->taken += room;
    request->sent_bytes += room;
    if (room == left && request->outgoing.capacity > KEPT_CAPACITY)
        buffer_free(&request->outgoing);
    else if (room == left)
        buffer_clear(&request->outgoing);
    else if (request->taken > request->outgoing.length / 2)
        buffer_consume(&request->outgoing, request->taken);
    else
        return (ssize_t)room;
    request->taken = 0;
    return (ssize_t)room;
}

/* ---- answering ---- */

/* Whether the connection may serve another request; bounds how many are kept for that. */
static bool may_stay(struct http_request *request)
{
    struct http_server *server = request->server;
    if (request->last)
        return false;
    if (server->options.limits.kept_connections == HTTP_SERVER_UNLIMITED || request->on->kept)
        return true;
    if (request->streaming || server->kept_count >= server->options.limits.kept_connections)
        return false;
    request->on->kept = true;
    server->kept_count++;
    return true;
}

static void add_headers(struct http_request *request, const struct http_header *headers,
                        size_t count)
{
    struct MHD_Response *response = request->response;
    for (size_t i = 0; i < count; i++)
        (void)MHD_add_response_header(response, headers[i].name, headers[i].value);
    (void)MHD_add_response_header(response, "X-Request-Id", request->id);
    http_server_add_cors(request, response);
    if (!may_stay(request))
        (void)MHD_add_response_header(response, "Connection", "close");
}

static void on_delay_over(uv_timer_t *timer)
{
    struct http_request *request = timer->data;
    request->waiting = false;
    http_server_wake(request);
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
    request->sent_bytes = answer->length;
    request->held = false;
    if (!request->response) {
        http_request_reset(request);
        return;
    }
    add_headers(request, answer->headers, answer->header_count);
    request->waiting = answer->delay_ms > 0;
    if (request->waiting)
        http_server_start_timer(request, on_delay_over, answer->delay_ms);
    else
        http_server_wake(request);
}

void http_request_reset(struct http_request *request)
{
    request->held = false;
    http_server_disconnect(request);
    http_server_wake(request);
}

void http_stream_begin(struct http_request *request, int status, const struct http_header *headers,
                       size_t count)
{
    request->streaming = true;
    request->response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK,
                                                          read_stream, request, NULL);
    request->status = (unsigned)status;
    if (request->response)
        add_headers(request, headers, count);
    else
        request->aborted = true;
    http_server_wake(request);
}

static void on_overrun(uv_timer_t *timer)
{
    struct http_request *request = timer->data;
    if (!request->held)
        return;
    http_server_disconnect(request);
    http_server_depart(request);
}

static bool append(struct http_request *request, const char *bytes, size_t length)
{
    if (buffer_append(&request->outgoing, bytes, length))
        return true;
    buffer_consume(&request->outgoing, request->taken);
    request->taken = 0;
    return buffer_append(&request->outgoing, bytes, length);
}

bool http_stream_send(struct http_request *request, const char *bytes, size_t length)
{
    if (request->overrun)
        return false;
    if (!append(request, bytes, length)) {
        request->overrun = true;
        http_server_start_timer(request, on_overrun, 0);
        return false;
    }
    http_server_wake(request);
    return true;
}

void http_stream_end(struct http_request *request)
{
    request->held = false;
    request->ended = true;
    http_server_wake(request);
}

void http_server_refuse(struct http_request *request, unsigned status)
{
    char body[128];
    int length = snprintf(body, sizeof body, "{\"error\":\"%s\"}", http_status_text(status));
    struct http_header type = {"Content-Type", "application/json"};
    request->last = true;
    http_request_answer(request, &(struct http_answer){.status = (int)status,
                                                       .headers = &type,
                                                       .header_count = 1,
                                                       .body = body,
                                                       .length = (size_t)length});
}
