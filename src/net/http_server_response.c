/* How a request is answered: at once or later, whole, dripping, cut off, or as a stream. */
#include "net/http_server_request.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define READER_BLOCK 65536
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
    if (request->outgoing.length == 0) {
        if (request->ended)
            return MHD_CONTENT_READER_END_OF_STREAM;
        http_server_suspend(request);
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
    request->held = false;
    if (!request->response) {
        http_request_reset(request);
        return;
    }
    add_headers(request->response, answer->headers, answer->header_count);
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
    request->response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, READER_BLOCK,
                                                          read_stream, request, NULL);
    request->status = (unsigned)status;
    if (!request->response) {
        request->aborted = true;
    } else {
        add_headers(request->response, headers, count);
    }
    http_server_wake(request);
}

bool http_stream_send(struct http_request *request, const char *bytes, size_t length)
{
    if (!buffer_append(&request->outgoing, bytes, length))
        return false;
    http_server_wake(request);
    return true;
}

void http_stream_end(struct http_request *request)
{
    request->held = false;
    request->ended = true;
    http_server_wake(request);
}
