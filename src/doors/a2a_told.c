/* Exchanges with A2A clients as they are on the wire, for whoever observes the host. */
#include "doors/a2a_private.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "messages/dispatch.h"
#include "wire/jsontext.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* bytes of a request, and of an answer: one more than is kept, so that it shows that there were
 * more */
#define TEXT_MAXIMUM ((size_t)65536 + 1)

static const struct observer *observer_of(const struct a2a_agent *agent)
{
    const struct observer *observer = agent && !agent->push ? &agent->tasks->dispatch->observer
                                                            : NULL;
    return observer && observer->event ? observer : NULL;
}

static json_t *text_of(const char *bytes, size_t length)
{
    return jsontext_string(bytes, length < TEXT_MAXIMUM ? length : TEXT_MAXIMUM);
}

/* Of the string that begins at the quote `at`: what comes after it. */
static const char *after_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++)
        at += *at == '\\';
    return at < end ? at + 1 : end;
}

/* A client's secrets for its webhook (TaskPushNotificationConfig) are not shown again. */
static bool is_secret(const char *name, size_t length)
{
    return (length == 7 && memcmp(name, "\"token\"", length) == 0) ||
           (length == 13 && memcmp(name, "\"credentials\"", length) == 0);
}

static const char *after_space(const char *at, const char *end)
{
    while (at < end && strchr(" \t\r\n", *at))
        at++;
    return at;
}

static json_t *body_of(const char *bytes, size_t length)
{
    struct buffer shown;
    size_t looked_at = length < 2 * TEXT_MAXIMUM ? length : 2 * TEXT_MAXIMUM;
    const char *at = bytes, *end = length > 0 ? bytes + looked_at : bytes;
    buffer_init(&shown, SIZE_MAX / 4);
    while (at < end) {
        const char *next = *at == '"' ? after_string(at, end) : at + 1;
        bool secret = is_secret(at, (size_t)(next - at));
        buffer_append(&shown, at, (size_t)(next - at));
        at = next;
        const char *colon = after_space(at, end);
        const char *value = colon < end && *colon == ':' ? after_space(colon + 1, end) : end;
        if (!secret || value == end || *value != '"')
            continue;
        buffer_append_text(&shown, ":\"(hidden)\"");
        at = after_string(value, end);
    }
    json_t *text = text_of(shown.data ? shown.data : "", shown.length);
    buffer_free(&shown);
    return text;
}

static void tell(const struct observer *observer, json_t *told)
{
    char *text = jsontext_print(told);
    json_decref(told);
    if (text) {
        log_redact(text); /* a token may be somewhere else than where it belongs */
        observer_exchange(observer, text);
    }
    free(text);
}

static void add_header(const char *name, const char *value, size_t length, void *context)
{
    static const char *const secret[] = {"Authorization", "Proxy-Authorization", "Cookie"};
    bool hidden = false;
    for (size_t i = 0; i < sizeof secret / sizeof *secret; i++)
        hidden = hidden || strcasecmp(name, secret[i]) == 0;
    char *line = hidden ? memory_join(name, ": (hidden)")
                        : memory_format("%s: %.*s", name, (int)length, value);
    json_array_append_new(context, jsontext_string(line, strlen(line)));
    free(line);
}

static void add_argument(const char *name, const char *value, size_t length, void *context)
{
    char **url = context,
         *longer = memory_format("%s%s%s=%.*s", *url, strchr(*url, '?') ? "&" : "?", name,
                                 (int)length, value);
    free(*url);
    *url = longer;
}

/* As the client named it. */
static json_t *url_of(struct http_request *http)
{
    const char *host = http_request_header(http, "Host");
    char *url = memory_join(host ? "http://" : "", host ? host : "", http_request_path(http));
    http_request_each_argument(http, add_argument, &url);
    json_t *text = jsontext_string(url, strlen(url));
    free(url);
    return text;
}

uint64_t a2a_tell(struct a2a_server *server, const struct a2a_agent *agent,
                  struct http_request *http, const struct a2a_told *answer)
{
    const struct observer *observer = observer_of(agent);
    size_t length;
    const char *body = http_request_body(http, &length);
    if (!observer)
        return 0;
    json_t *headers = json_array();
    http_request_each_header(http, add_header, headers);
    int64_t took_ms = answer->began_ms ? clock_monotonic_ms() - answer->began_ms : 0;
    tell(observer,
         json_pack("{s:I, s:s, s:o, s:o, s:o, s:i, s:o, s:I, s:b}", "n", (json_int_t)++server->told,
                   "method", http_request_method(http), "url", url_of(http), "headers", headers,
                   "body", body_of(body, length), "status", answer->status, "answer",
                   text_of(answer->bytes, answer->length), "took_ms", (json_int_t)took_ms,
                   "streams", answer->streams));
    return server->told;
}

void a2a_tell_more(const struct a2a_exchange *exchange, const char *bytes, size_t length)
{
    const struct observer *observer = observer_of(exchange->agent);
    if (observer && exchange->told)
        tell(observer, json_pack("{s:I, s:o}", "n", (json_int_t)exchange->told, "answer",
                                 text_of(bytes, length)));
}
