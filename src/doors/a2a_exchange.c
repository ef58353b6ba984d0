/* One request, from when it is understood to the end of its answer. */
#include "doors/a2a_private.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_patience_closed(uv_handle_t *timer)
{
    free(timer);
}

static void exchange_free(struct a2a_exchange *exchange)
{
    if (exchange->next)
        exchange->next->previous = exchange->previous;
    if (exchange->previous)
        exchange->previous->next = exchange->next;
    else
        exchange->server->exchanges = exchange->next;
    tasks_unwatch(&exchange->watcher);
    if (exchange->patience)
        uv_close((uv_handle_t *)exchange->patience, on_patience_closed);
    free(exchange->late_id);
    a2a_request_free(&exchange->request);
    a2a_listing_free(exchange->listing);
    free(exchange->extensions);
    free(exchange);
}

void a2a_exchange_end(struct a2a_exchange *exchange)
{
    tasks_unwatch(&exchange->watcher);
    exchange->http = NULL;
    if (!exchange->looking) /* else the journal's answer ends it */
        exchange_free(exchange);
}

static size_t add_extensions(const struct a2a_exchange *exchange, struct http_header *header)
{
    if (!exchange->extensions)
        return 0;
    *header = (struct http_header){exchange->request.version == A2A_0_3 ? "X-A2A-Extensions"
                                                                        : "A2A-Extensions",
                                   exchange->extensions};
    return 1;
}

void a2a_exchanges_free(struct a2a_server *server)
{
    while (server->exchanges)
        exchange_free(server->exchanges);
}

static void send_text(struct a2a_exchange *exchange, struct a2a_text *text)
{
    struct http_request *http = exchange->http;
    struct http_header headers[3] = {{"Content-Type", text->content_type}};
    size_t count = 1 + add_extensions(exchange, headers + 1);
    if (text->status == 429)
        headers[count++] = (struct http_header){"Retry-After", "1"};
    exchange->http = NULL;
    a2a_tell(exchange->server, exchange->agent, http,
             &(struct a2a_told){text->status, text->bytes, text->length, exchange->began_ms,
                                .streams = false});
    http_request_answer(http, &(struct http_answer){.status = text->status,
                                                    .headers = headers,
                                                    .header_count = count,
                                                    .body = text->bytes,
                                                    .length = text->length});
    free(text->bytes);
    a2a_exchange_end(exchange);
}

void a2a_answer(struct a2a_exchange *exchange, const json_t *result)
{
    struct a2a_text text = a2a_write_result(&exchange->request, result);
    send_text(exchange, &text);
}

static void begin_stream(struct a2a_exchange *exchange)
{
    struct http_header headers[4] = {{"Content-Type", "text/event-stream"},
                                     {"Cache-Control", "no-store"},
                                     {"X-Accel-Buffering", "no"}};
    size_t count = 3 + add_extensions(exchange, headers + 3);
    exchange->streaming = true;
    exchange->told = a2a_tell(
        exchange->server, exchange->agent, exchange->http,
        &(struct a2a_told){
            .status = 200, .bytes = "", .began_ms = exchange->began_ms, .streams = true});
    http_stream_begin(exchange->http, 200, headers, count);
}

void a2a_refuse_with(struct a2a_exchange *exchange, const struct a2a_problem *problem)
{
    struct a2a_text text;
    /* a client of 0.3 that asked for a stream takes nothing else */
    enum a2a_operation operation = exchange->request.operation;
    bool streams = operation == A2A_STREAM || operation == A2A_SUBSCRIBE;
    if (!exchange->streaming && streams && exchange->request.version == A2A_0_3 &&
        exchange->request.params)
        begin_stream(exchange);
    if (!exchange->streaming) {
        text = a2a_write_problem(&exchange->request, problem);
        send_text(exchange, &text);
        return;
    }
    struct http_request *http = exchange->http;
    text = a2a_write_stream_problem(&exchange->request, problem);
    exchange->http = NULL;
    a2a_tell_more(exchange, text.bytes, text.length);
    http_stream_send(http, text.bytes, text.length);
    http_stream_end(http);
    free(text.bytes);
    a2a_exchange_end(exchange);
}

void a2a_refuse(struct a2a_exchange *exchange, enum a2a_error error, const char *task_id,
                const char *format, ...)
{
    struct a2a_problem problem = {.error = error};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem.text, sizeof problem.text, format, arguments);
    va_end(arguments);
    snprintf(problem.task_id, sizeof problem.task_id, "%s", task_id ? task_id : "");
    a2a_refuse_with(exchange, &problem);
}

void a2a_stream(struct a2a_exchange *exchange, const json_t *response, bool last)
{
    struct http_request *http = exchange->http;
    if (!exchange->streaming)
        begin_stream(exchange);
    struct a2a_text text = a2a_write_event(&exchange->request, response, last);
    a2a_tell_more(exchange, text.bytes, text.length);
    bool sent = http_stream_send(http, text.bytes, text.length);
    free(text.bytes);
    exchange->silent = false;
    if (!last || !sent) /* too slow a reader is cut off: on_gone follows */
        return;
    exchange->http = NULL;
    http_stream_end(http);
    a2a_exchange_end(exchange);
}
