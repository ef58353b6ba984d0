#include "link/event_stream.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/timer.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define EVENT_MAXIMUM 16384   /* bytes; a larger event is not read, and taken for a message */
#define OPENING_MS 15000      /* until the first line; the platform sends a comment at once */
#define PREAMBLE_MAXIMUM 4096 /* bytes without a line of an event stream */
#define BACKOFF_CAP_MS 60000
#define REFUSED_FLOOR_MS 30000
#define LASTED_MS 30000   /* a stream that was open this long may be reopened at once */
#define MISSING_MS 600000 /* at least, before a platform without a stream is asked again */
/* an announcement may come this long before or after its message is found */
#define DOUBT_MS 1000
#define DISTRUST_MS 120000 /* the first time, then twice as long each time */
#define DISTRUST_MAXIMUM_MS 3600000
/* bytes of a stream without news, per millisecond: what exceeds that is noise */
#define QUIET_BYTES_MS 256
/* of a message that a poll found: as large as its announcement can be */
#define NEWS_BYTES (2 << 20)
#define NOISE_MAXIMUM (32 << 20) /* bytes; more at once is a flood */

static void open_stream(struct event_stream *stream);

static void on_timer(uv_timer_t *timer)
{
    open_stream(timer->data);
}

static void open_later(struct event_stream *stream, int64_t after_ms)
{
    if (stream->running)
        timer_arm(&stream->timer, on_timer, after_ms);
}

bool event_stream_trusted(const struct event_stream *stream)
{
    return stream->open;
}

/* The stream is over, however it ended. */
static void let_go(struct event_stream *stream)
{
    if (!stream->http)
        return;
    stream->http = NULL;
    stream->open = false;
    stream->link->shared->streams--;
    platform_request_free(&stream->request);
    sse_close(&stream->events);
    uv_timer_stop(&stream->timer);
    uv_timer_stop(&stream->news_timer);
    uv_timer_stop(&stream->doubt_timer);
}

static void cancel(struct event_stream *stream)
{
    if (stream->http)
        http_cancel(stream->http);
    let_go(stream);
}

void event_stream_let_go(struct event_stream *stream)
{
    if (!stream->open)
        return;
    log_debug(LOG_STREAM_CLOSED, stream->link->options->id,
              "event stream: closed while the platform takes no requests");
    cancel(stream);
    stream->away = true;
}

void event_stream_come_back(struct event_stream *stream)
{
    if (!stream->away)
        return;
    stream->away = false;
    open_later(stream, retry_next_delay(&stream->backoff, 0, random_number()));
}

void event_stream_follow(struct event_stream *stream)
{
    if (!stream->open || stream->opened_ms > http_client_moved_ms(stream->link->shared->watchers))
        return;
    log_debug(LOG_STREAM_CLOSED, stream->link->options->id,
              "event stream: the platform moved; reopening");
    cancel(stream);
    open_later(stream, 0);
}

/* Answers that will not change soon: there is no such path, or it serves something else. */
static void missing(struct event_stream *stream, int status)
{
    if (!stream->said_missing)
        log_info(LOG_STREAM_ABSENT, stream->link->options->id,
                 "the platform offers no event stream (HTTP %d); polling every %lld ms", status,
                 (long long)stream->link->options->interval_ms);
    stream->said_missing = true;
    open_later(stream, MISSING_MS + (int64_t)(random_number() % (2 * MISSING_MS)));
}

static void ended(struct event_stream *stream, int status, const char *error,
                  const char *retry_after)
{
    bool was_open = stream->open,
         refused = stream->refused || (status == 200 && stream->received > 0);
    bool lasted = was_open && clock_monotonic_ms() - stream->opened_ms >= LASTED_MS;
    let_go(stream);
    if (lasted)
        retry_succeeded(&stream->backoff);
    if (was_open)
        stream->hint(stream->context); /* what it did not get to announce */
    bool for_now = status == 0 || status == 401 || status == 403 || status == 408 ||
                   status == 429 || status >= 500;
    if (!was_open && (refused || !(for_now || status == 200) || status == 501)) {
        missing(stream, status);
        return;
    }
    int64_t floor = status == 401 || status == 403 || status == 429 ? REFUSED_FLOOR_MS : 0;
    int64_t asked = retry_after ? retry_parse_after(retry_after, clock_wall_ms()) : -1;
    if (asked > floor)
        floor = asked < MISSING_MS ? asked : MISSING_MS;
    int64_t delay = retry_next_delay(&stream->backoff, floor, random_number());
    log_debug(LOG_STREAM_CLOSED, stream->link->options->id,
              "event stream: %s (HTTP %d); polling every %lld ms, reopening in %lld ms",
              error ? error : "it ended", status, (long long)stream->link->options->interval_ms,
              (long long)delay);
    open_later(stream, delay);
}

static void on_end(const struct http_result *result, void *context)
{
    bool answered = result->progress == HTTP_ANSWERED;
    ended(context, result->status, result->error,
          answered ? http_header(result, "Retry-After") : NULL);
}

static void on_opening_overdue(uv_timer_t *timer)
{
    struct event_stream *stream = timer->data;
    cancel(stream);
    ended(stream, 0, "nothing came", NULL);
}

/* For minutes, longer each time. */
static void distrust(struct event_stream *stream, const char *reason)
{
    int64_t least = DISTRUST_MS;
    for (unsigned i = 0; i < stream->doubts && least < DISTRUST_MAXIMUM_MS; i++)
        least *= 2;
    if (least > DISTRUST_MAXIMUM_MS)
        least = DISTRUST_MAXIMUM_MS;
    stream->doubts++;
    int64_t delay = least + (int64_t)(random_number() % (uint64_t)(least / 2));
    log_warn(
        LOG_STREAM_FAILING, stream->link->options->id,
        "the platform's event stream %s; polling every %lld ms, retrying the stream in %lld min",
        reason, (long long)stream->link->options->interval_ms, (long long)delay / 60000);
    cancel(stream);
    stream->hint(stream->context);
    open_later(stream, delay);
}

/* Comments, or events that are not messages or that no poll finds, faster than anyone needs
 * them. */
static bool is_flood(struct event_stream *stream, size_t length)
{
    int64_t now = clock_monotonic_ms(), quiet = (now - stream->noise_ms) * QUIET_BYTES_MS;
    if (stream->noise > 0)
        stream->noise = stream->noise > quiet ? stream->noise - quiet : 0;
    stream->noise_ms = now;
    stream->noise += (int64_t)length;
    return stream->noise > NOISE_MAXIMUM;
}

void event_stream_found(struct event_stream *stream)
{
    if (stream->noise > -NOISE_MAXIMUM)
        stream->noise -= NEWS_BYTES; /* its announcement may still come */
}

static void on_news(uv_timer_t *timer)
{
    struct event_stream *stream = timer->data;
    if (stream->flooded) {
        distrust(stream, "floods us: many MiB that are not messages");
        return;
    }
    if (stream->refused) {
        cancel(stream);
        ended(stream, 200, NULL, NULL);
        return;
    }
    stream->news = false;
    stream->hint(stream->context);
}

/* An event names the message (LATEST), or carries the envelope (T1): contract §1.18. */
static void note_announced(struct event_stream *stream, const json_t *data)
{
    const json_t *params = json_object_get(json_object_get(data, "request_body"), "params");
    const char *id = json_string_value(json_object_get(data, "message_id"));
    if (!id)
        id = json_string_value(json_object_get(json_object_get(params, "message"), "messageId"));
    if (id)
        announced_add(stream->announced, id, clock_monotonic_ms());
}

/* false: nothing that a poll could find. What cannot be read may be a message. */
static bool may_be_message(struct event_stream *stream, const struct sse_event *event)
{
    if (event->cut)
        return true;
    json_t *value = json_loadb(event->data, event->data_length, JSON_ALLOW_NUL, NULL);
    if (!value)
        return true;
    const char *type = json_string_value(json_object_get(value, "type"));
    const json_t *data = json_object_get(value, "data");
    const char *activity = json_string_value(json_object_get(data, "activity_type"));
    const char *method = json_string_value(json_object_get(data, "method"));
    bool may_be = type && strcmp(type, "ACTIVITY_LOGGED") == 0 &&
                  (!activity || strcmp(activity, "a2a_receive") == 0) &&
                  (!method || strcmp(method, "notify") != 0); /* our own messages to the canvas */
    if (may_be)
        note_announced(stream, data);
    json_decref(value);
    return may_be;
}

static void on_event(const struct sse_event *event, void *context)
{
    struct event_stream *stream = context;
    if (!may_be_message(stream, event) || stream->news)
        return;
    stream->news = true;
    stream->announced_ms = clock_monotonic_ms();
    uv_timer_stop(&stream->doubt_timer);
    timer_arm(&stream->news_timer, on_news, 0);
}

/* An HTML page may also have lines that look like an event's. */
static bool is_event_stream(const struct http_exchange *http)
{
    static const char expected[] = "text/event-stream";
    const char *type = http_content_type(http);
    return !type || strncasecmp(type, expected, sizeof expected - 1) == 0;
}

/* libcurl's state must not be changed from here. */
static bool on_data(void *context, const char *bytes, size_t length)
{
    struct event_stream *stream = context;
    if (!stream->http || stream->refused || stream->flooded || http_status(stream->http) != 200)
        return true;
    stream->flooded = is_flood(stream, length);
    if (stream->flooded) {
        timer_arm(&stream->news_timer, on_news, 0);
        return true;
    }
    bool is_stream = stream->open || is_event_stream(stream->http);
    if (is_stream)
        sse_feed(&stream->events, bytes, length);
    if (stream->open)
        return true;
    stream->received += length;
    stream->open = is_stream && stream->events.recognised;
    stream->refused = !stream->open && (!is_stream || stream->received > PREAMBLE_MAXIMUM);
    if (stream->open) {
        stream->opened_ms = clock_monotonic_ms();
        uv_timer_stop(&stream->timer);
        log_debug(LOG_STREAM_OPEN, stream->link->options->id, "event stream: open");
    }
    if (stream->open || stream->refused) /* once open: nothing of what came before is told */
        timer_arm(&stream->news_timer, on_news, 0);
    return true;
}

static void open_stream(struct event_stream *stream)
{
    if (!stream->running || stream->http || stream->away)
        return;
    if (!stream->link->shared->may_open_stream(stream->link->shared->context)) {
        open_later(stream, MISSING_MS + (int64_t)(random_number() % MISSING_MS));
        return;
    }
    stream->open = stream->refused = stream->news = stream->flooded = false;
    stream->received = 0;
    stream->noise = 0;
    stream->noise_ms = clock_monotonic_ms();
    sse_open(&stream->events, EVENT_MAXIMUM, on_event, stream);
    sse_skip_large(&stream->events);
    stream->request = platform_events(&stream->link->platform, stream->link->token.current);
    struct http_request http = {
        .method = stream->request.method,
        .url = stream->request.url,
        .headers = platform_headers_lines(stream->request.headers),
        .response_maximum = SIZE_MAX,
        .fresh_connection = true,
        .on_data = on_data,
    };
    stream->link->shared->streams++;
    stream->http = http_send(stream->link->shared->watchers, &http, on_end, stream);
    timer_arm(&stream->timer, on_opening_overdue, OPENING_MS);
}

static void on_doubt(uv_timer_t *timer)
{
    struct event_stream *stream = timer->data;
    if (stream->open)
        distrust(stream, "did not announce a message that a poll found");
}

void event_stream_doubt(struct event_stream *stream)
{
    int64_t now = clock_monotonic_ms();
    if (!stream->open || now - stream->announced_ms < DOUBT_MS ||
        uv_is_active((uv_handle_t *)&stream->doubt_timer))
        return;
    timer_arm(&stream->doubt_timer, on_doubt, DOUBT_MS);
}

void event_stream_start(struct event_stream *stream)
{
    if (stream->running)
        return;
    stream->running = true;
    if (!stream->announced)
        stream->announced = memory_allocate(sizeof *stream->announced);
    stream->backoff = (struct retry_backoff){.base_ms = 500, .cap_ms = BACKOFF_CAP_MS};
    open_stream(stream);
}

void event_stream_close(struct event_stream *stream)
{
    stream->running = false;
    cancel(stream);
    uv_timer_stop(&stream->timer);
}

void event_stream_free(struct event_stream *stream)
{
    free(stream->announced);
    stream->announced = NULL;
}
