/* The platform's event stream (contract §1.18), where it has one: a hint to poll now, never more. It replays nothing, says
 * nothing while nothing happens, and a proxy may hold it back; so polls go on, and a message that they find and the stream
 * did not announce ends the trust in it for minutes. Whatever becomes of the stream, the inbox never notices but by its
 * latency. */
#include "host/workspace.h"

#include "base/clock.h"
#include "base/log.h"
#include "host/descriptors.h"

#include <jansson.h>
#include <string.h>
#include <strings.h>

#define EVENT_MAXIMUM 16384    /* bytes; a larger event is not read, and taken for a message */
#define OPENING_MS 15000       /* until the first line; the platform sends a comment at once */
#define PREAMBLE_MAXIMUM 4096  /* bytes without a line of an event stream */
#define BACKOFF_CAP_MS 60000
#define REFUSED_FLOOR_MS 30000
#define LASTED_MS 30000        /* a stream that was open so long may be reopened without delay */
#define MISSING_MS 600000      /* at least, until a platform that has no stream is asked again */
#define DOUBT_MS 1000          /* an announcement may come so long before or after its message is found */
#define DISTRUST_MS 120000     /* the first time, then twice as long each time */
#define DISTRUST_MAXIMUM_MS 3600000
#define QUIET_BYTES_MS 256     /* bytes of a stream that are no news, per millisecond: what comes beside that is noise */
#define NEWS_BYTES (2 << 20)   /* of a message that a poll found: as large as its announcement can be */
#define NOISE_MAXIMUM (32 << 20) /* bytes; more at once is a flood */

static void open_stream(struct workspace *workspace);

static void on_timer(uv_timer_t *timer)
{
    open_stream(timer->data);
}

static void open_later(struct workspace *workspace, int64_t after_ms)
{
    if (workspace->waker.running)
        workspace_arm(&workspace->waker.timer, on_timer, after_ms);
}

bool waker_trusted(const struct workspace *workspace)
{
    return workspace->waker.open;
}

/* The stream is over, however it ended. */
static void let_go(struct workspace *workspace)
{
    struct waker *waker = &workspace->waker;
    if (!waker->http)
        return;
    waker->http = NULL;
    waker->open = false;
    workspace->host->streams--;
    platform_request_free(&waker->request);
    sse_close(&waker->events);
    uv_timer_stop(&waker->timer);
    uv_timer_stop(&waker->news_timer);
    uv_timer_stop(&waker->doubt_timer);
}

static void cancel(struct workspace *workspace)
{
    if (workspace->waker.http)
        http_cancel(workspace->waker.http);
    let_go(workspace);
}

void waker_let_go(struct workspace *workspace)
{
    struct waker *waker = &workspace->waker;
    if (!waker->open)
        return;
    log_debug(workspace->settings.id, "event stream: closed, as the platform takes no requests");
    cancel(workspace);
    waker->away = true;
}

void waker_come_back(struct workspace *workspace)
{
    struct waker *waker = &workspace->waker;
    if (!waker->away)
        return;
    waker->away = false;
    open_later(workspace, retry_next_delay(&waker->backoff, 0, host_random()));
}

void waker_follow(struct workspace *workspace)
{
    struct waker *waker = &workspace->waker;
    if (!waker->open || waker->opened_ms > http_client_moved_ms(workspace->host->watchers))
        return;
    log_debug(workspace->settings.id, "event stream: the platform moved; opening it anew");
    cancel(workspace);
    open_later(workspace, 0);
}

/* Answers that do not change soon: there is no such path, or something else is behind it. */
static void missing(struct workspace *workspace, int status)
{
    struct waker *waker = &workspace->waker;
    if (!waker->said_missing)
        log_info(workspace->settings.id, "the platform offers no event stream (HTTP %d); polling every %lld ms", status,
                 (long long)workspace->settings.interval_ms);
    waker->said_missing = true;
    open_later(workspace, MISSING_MS + (int64_t)(host_random() % (2 * MISSING_MS)));
}

static void ended(struct workspace *workspace, int status, const char *error, const char *retry_after)
{
    struct waker *waker = &workspace->waker;
    bool was_open = waker->open, refused = waker->refused || (status == 200 && waker->received > 0);
    bool lasted = was_open && clock_monotonic_ms() - waker->opened_ms >= LASTED_MS;
    let_go(workspace);
    if (lasted)
        retry_succeeded(&waker->backoff);
    if (was_open)
        poller_hint(workspace); /* what it did not get to announce */
    bool for_now = status == 0 || status == 401 || status == 403 || status == 408 || status == 429 || status >= 500;
    if (!was_open && (refused || !(for_now || status == 200) || status == 501)) {
        missing(workspace, status);
        return;
    }
    int64_t floor = status == 401 || status == 403 || status == 429 ? REFUSED_FLOOR_MS : 0;
    int64_t asked = retry_after ? retry_parse_after(retry_after, clock_wall_ms()) : -1;
    if (asked > floor)
        floor = asked < MISSING_MS ? asked : MISSING_MS;
    int64_t delay = retry_next_delay(&waker->backoff, floor, host_random());
    log_debug(workspace->settings.id, "event stream: %s (HTTP %d); polling every %lld ms, opening it again in %lld ms",
              error ? error : "it ended", status, (long long)workspace->settings.interval_ms, (long long)delay);
    open_later(workspace, delay);
}

static void on_end(const struct http_result *result, void *context)
{
    bool answered = result->progress == HTTP_ANSWERED;
    ended(context, result->status, result->error, answered ? http_header(result, "Retry-After") : NULL);
}

static void on_opening_overdue(uv_timer_t *timer)
{
    struct workspace *workspace = timer->data;
    cancel(workspace);
    ended(workspace, 0, "nothing came", NULL);
}

/* For minutes, longer each time. */
static void distrust(struct workspace *workspace, const char *reason)
{
    struct waker *waker = &workspace->waker;
    int64_t least = DISTRUST_MS;
    for (unsigned i = 0; i < waker->doubts && least < DISTRUST_MAXIMUM_MS; i++)
        least *= 2;
    if (least > DISTRUST_MAXIMUM_MS)
        least = DISTRUST_MAXIMUM_MS;
    waker->doubts++;
    int64_t delay = least + (int64_t)(host_random() % (uint64_t)(least / 2));
    log_warn(workspace->settings.id, "the platform's event stream %s; polling every %lld ms, the stream is tried again in %lld min",
             reason, (long long)workspace->settings.interval_ms, (long long)delay / 60000);
    cancel(workspace);
    poller_hint(workspace);
    open_later(workspace, delay);
}

/* Comments, or events that are no messages or that no poll finds, faster than anybody needs them. */
static bool is_flood(struct waker *waker, size_t length)
{
    int64_t now = clock_monotonic_ms(), quiet = (now - waker->noise_ms) * QUIET_BYTES_MS;
    if (waker->noise > 0)
        waker->noise = waker->noise > quiet ? waker->noise - quiet : 0;
    waker->noise_ms = now;
    waker->noise += (int64_t)length;
    return waker->noise > NOISE_MAXIMUM;
}

void waker_found(struct workspace *workspace)
{
    if (workspace->waker.noise > -NOISE_MAXIMUM)
        workspace->waker.noise -= NEWS_BYTES; /* its announcement may be still to come */
}

static void on_news(uv_timer_t *timer)
{
    struct workspace *workspace = timer->data;
    struct waker *waker = &workspace->waker;
    if (waker->flooded) {
        distrust(workspace, "floods us: many MiB of what is no message");
        return;
    }
    if (waker->refused) {
        cancel(workspace);
        ended(workspace, 200, NULL, NULL);
        return;
    }
    waker->announced = false;
    poller_hint(workspace);
}

/* An event names the message (LATEST), or carries the envelope (T1): contract §1.18. */
static void note_announced(struct workspace *workspace, const json_t *data)
{
    const json_t *params = json_object_get(json_object_get(data, "request_body"), "params");
    const char *id = json_string_value(json_object_get(data, "message_id"));
    if (!id)
        id = json_string_value(json_object_get(json_object_get(params, "message"), "messageId"));
    if (id)
        announced_add(&workspace->poller.announced, id, clock_monotonic_ms());
}

/* false: nothing that a poll could find. What cannot be read may be a message. */
static bool may_be_message(struct workspace *workspace, const struct sse_event *event)
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
    bool may_be = type && strcmp(type, "ACTIVITY_LOGGED") == 0 && (!activity || strcmp(activity, "a2a_receive") == 0) &&
                  (!method || strcmp(method, "notify") != 0); /* our own words to the canvas */
    if (may_be)
        note_announced(workspace, data);
    json_decref(value);
    return may_be;
}

static void on_event(const struct sse_event *event, void *context)
{
    struct workspace *workspace = context;
    struct waker *waker = &workspace->waker;
    if (!may_be_message(workspace, event) || waker->announced)
        return;
    waker->announced = true;
    waker->announced_ms = clock_monotonic_ms();
    uv_timer_stop(&waker->doubt_timer);
    workspace_arm(&waker->news_timer, on_news, 0);
}

/* A page for people has lines that look like an event's, too. */
static bool is_event_stream(const struct http_exchange *http)
{
    static const char expected[] = "text/event-stream";
    const char *type = http_content_type(http);
    return !type || strncasecmp(type, expected, sizeof expected - 1) == 0;
}

/* libcurl's state is not to be changed from here. */
static bool on_data(void *context, const char *bytes, size_t length)
{
    struct workspace *workspace = context;
    struct waker *waker = &workspace->waker;
    if (!waker->http || waker->refused || waker->flooded || http_status(waker->http) != 200)
        return true;
    waker->flooded = is_flood(waker, length);
    if (waker->flooded) {
        workspace_arm(&waker->news_timer, on_news, 0);
        return true;
    }
    bool is_stream = waker->open || is_event_stream(waker->http);
    if (is_stream)
        sse_feed(&waker->events, bytes, length);
    if (waker->open)
        return true;
    waker->received += length;
    waker->open = is_stream && waker->events.recognised;
    waker->refused = !waker->open && (!is_stream || waker->received > PREAMBLE_MAXIMUM);
    if (waker->open) {
        waker->opened_ms = clock_monotonic_ms();
        uv_timer_stop(&waker->timer);
        log_debug(workspace->settings.id, "event stream: open");
    }
    if (waker->open || waker->refused) /* once open: nothing of what came before is told */
        workspace_arm(&waker->news_timer, on_news, 0);
    return true;
}

static void open_stream(struct workspace *workspace)
{
    struct waker *waker = &workspace->waker;
    if (!waker->running || waker->http || waker->away)
        return;
    if (!descriptors_allow_stream(workspace->host)) {
        open_later(workspace, MISSING_MS + (int64_t)(host_random() % MISSING_MS));
        return;
    }
    waker->open = waker->refused = waker->announced = waker->flooded = false;
    waker->received = 0;
    waker->noise = 0;
    waker->noise_ms = clock_monotonic_ms();
    sse_open(&waker->events, EVENT_MAXIMUM, on_event, workspace);
    sse_skip_large(&waker->events);
    waker->request = platform_events(&workspace->platform, workspace->token.current);
    struct http_request http = {
        .method = waker->request.method,
        .url = waker->request.url,
        .headers = waker->request.headers,
        .response_maximum = SIZE_MAX,
        .fresh_connection = true,
        .on_data = on_data,
    };
    workspace->host->streams++;
    waker->http = http_send(workspace->host->watchers, &http, on_end, workspace);
    workspace_arm(&waker->timer, on_opening_overdue, OPENING_MS);
}

static void on_doubt(uv_timer_t *timer)
{
    struct workspace *workspace = timer->data;
    if (workspace->waker.open)
        distrust(workspace, "did not announce a message that a poll found");
}

void waker_doubt(struct workspace *workspace)
{
    struct waker *waker = &workspace->waker;
    int64_t now = clock_monotonic_ms();
    if (!waker->open || now - waker->announced_ms < DOUBT_MS || uv_is_active((uv_handle_t *)&waker->doubt_timer))
        return;
    workspace_arm(&waker->doubt_timer, on_doubt, DOUBT_MS);
}

void waker_start(struct workspace *workspace)
{
    struct waker *waker = &workspace->waker;
    if (waker->running)
        return;
    waker->running = true;
    waker->backoff = (struct retry_backoff){.base_ms = 500, .cap_ms = BACKOFF_CAP_MS};
    open_stream(workspace);
}

void waker_close(struct workspace *workspace)
{
    workspace->waker.running = false;
    cancel(workspace);
    uv_timer_stop(&workspace->waker.timer);
}
