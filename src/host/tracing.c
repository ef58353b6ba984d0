#include "host/tracing.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/secret_file.h"
#include "base/trace.h"
#include "net/http_client.h"
#include "script/call_words.h"
#include "wire/otlp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEADERS_MAXIMUM 32
#define ANSWER_MAXIMUM (64 * 1024)
#define FLUSH_MS 2000
#define LOOK_MS 200
#define FLUSH_LOOK_MS 50
#define PERIOD_DEFAULT_MS 5000
#define QUEUE_DEFAULT 2048
#define BATCH_DEFAULT 512
#define TIMEOUT_DEFAULT_MS 10000

struct tracing {
    uv_loop_t *loop;
    uv_timer_t timer; /* freed with it */
    struct http_client *client;
    struct http_exchange *exchange; /* NULL: nothing is on its way */
    struct otlp_resource resource;
    char *url, *shown; /* `shown`: without what may be a key */
    char *headers[HEADERS_MAXIMUM + 1];
    size_t header_count;
    int64_t period_ms, timeout_ms, batch;
    int64_t sent_ms;  /* monotonic */
    char *body;       /* on its way */
    size_t in_flight; /* spans in it */
    bool failing;
};

static void send_batch(struct tracing *tracing);

static void on_result(const struct http_result *result, void *context)
{
    struct tracing *tracing = context;
    bool taken = result->progress == HTTP_ANSWERED && result->status >= 200 && result->status < 300;
    tracing->exchange = NULL;
    free(tracing->body);
    tracing->body = NULL;
    if (!taken) {
        trace_count_dropped(tracing->in_flight);
        if (!tracing->failing && result->progress == HTTP_ANSWERED)
            log_warn(LOG_TRACE_FAILING, NULL, "traces: %s answered %d; spans are dropped",
                     tracing->shown, result->status);
        else if (!tracing->failing)
            log_warn(LOG_TRACE_FAILING, NULL, "traces: %s: %s; spans are dropped", tracing->shown,
                     result->error ? result->error : "no answer");
    } else if (tracing->failing) {
        log_info(LOG_TRACE_RECOVERED, NULL, "traces: %s takes spans again", tracing->shown);
    }
    tracing->failing = !taken;
    tracing->in_flight = 0;
    if (taken && trace_waiting() >= (size_t)tracing->batch)
        send_batch(tracing);
}

static void send_batch(struct tracing *tracing)
{
    size_t count = 0, length = 0;
    struct trace_kept *spans = tracing->exchange ? NULL
                                                 : trace_take((size_t)tracing->batch, &count);
    if (count == 0)
        return;
    tracing->body = otlp_encode(&tracing->resource, spans, &length);
    trace_kept_free(spans);
    tracing->in_flight = count;
    struct http_request request = {
        .method = "POST",
        .url = tracing->url,
        .headers = tracing->headers,
        .body = tracing->body,
        .body_length = length,
        .timeout_ms = tracing->timeout_ms,
        .response_maximum = ANSWER_MAXIMUM,
        .general = true,
    };
    tracing->exchange = http_send(tracing->client, &request, on_result, tracing);
}

/* A whole batch is sent as soon as somebody looks, a part of one when its time has come. */
static void on_timer(uv_timer_t *timer)
{
    struct tracing *tracing = timer->data;
    int64_t now_ms = clock_monotonic_ms();
    if (trace_waiting() < (size_t)tracing->batch && now_ms - tracing->sent_ms < tracing->period_ms)
        return;
    tracing->sent_ms = now_ms;
    send_batch(tracing);
}

/* --- the variables --- */

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static bool read_number(const char *name, int64_t standard, int64_t least, int64_t *number,
                        char *problem, size_t problem_size)
{
    const char *text = variable(name);
    char *end;
    *number = text ? strtoll(text, &end, 10) : standard;
    if (!text || (!*end && *number >= least && *number <= 1000000000))
        return true;
    snprintf(problem, problem_size, "%s: a whole number from %lld is needed; got \"%s\"", name,
             (long long)least, text);
    return false;
}

static bool read_sampling(struct trace_sampling *sampling, char *problem, size_t problem_size)
{
    static const char *const names[] = {"always_on", "always_off", "traceidratio"};
    const char *name = variable("OTEL_TRACES_SAMPLER");
    const char *given = variable("OTEL_TRACES_SAMPLER_ARG");
    name = name ? name : "parentbased_always_on";
    sampling->by_parent = strncmp(name, "parentbased_", 12) == 0;
    const char *rest = name + (sampling->by_parent ? 12 : 0);
    size_t i = 0;
    while (i < 3 && strcmp(rest, names[i]) != 0)
        i++;
    char *end = NULL;
    sampling->sampler = (enum trace_sampler)i;
    sampling->ratio = given ? strtod(given, &end) : 1;
    if (i == 3)
        snprintf(problem, problem_size,
                 "OTEL_TRACES_SAMPLER: always_on, always_off and traceidratio are known, also with "
                 "parentbased_ before them; got \"%s\"",
                 name);
    else if (given && i == 2 && (*end || sampling->ratio < 0 || sampling->ratio > 1))
        snprintf(problem, problem_size,
                 "OTEL_TRACES_SAMPLER_ARG: a number from 0 to 1 is needed; got \"%s\"", given);
    else
        return true;
    return false;
}

static bool is_header(const char *name, const char *value)
{
    for (const char *at = value; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            return false;
    return *name && !name[strcspn(name, " \t:\r\n")];
}

static void cut_blanks(char *text)
{
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == ' ')
        text[--length] = '\0';
}

/* "k=v,k=v" with percent-encoded values, as HTTP headers. What they hold may be keys. */
static bool read_headers(struct tracing *tracing, const char *variable, const char *given,
                         char *problem, size_t problem_size)
{
    char *copy = memory_copy_text(given), *rest = copy, *pair;
    bool fine = true;
    while (fine && (pair = strsep(&rest, ",")) && tracing->header_count < HEADERS_MAXIMUM) {
        char *value = strchr(pair, '=');
        pair += strspn(pair, " ");
        if (!*pair)
            continue;
        if (value)
            *value++ = '\0';
        cut_blanks(pair);
        if (value) {
            value += strspn(value, " ");
            cut_blanks(value);
            log_hide(value);
            otlp_decode_percent(value);
            log_hide(value);
        }
        fine = value && is_header(pair, value);
        if (fine)
            tracing->headers[tracing->header_count++] = memory_format("%s: %s", pair, value);
    }
    if (!fine)
        snprintf(problem, problem_size,
                 "%s: name=value,name=value is needed, with percent-encoded values", variable);
    memory_wipe(copy);
    return fine;
}

static bool configure(struct tracing *tracing, char *problem, size_t problem_size)
{
    struct trace_sampling sampling;
    int64_t queue;
    const char *headers = variable("OTEL_EXPORTER_OTLP_TRACES_HEADERS");
    const char *protocol = variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL");
    const char *headers_of = headers ? "OTEL_EXPORTER_OTLP_TRACES_HEADERS"
                                     : "OTEL_EXPORTER_OTLP_HEADERS";
    headers = headers ? headers : variable("OTEL_EXPORTER_OTLP_HEADERS");
    protocol = protocol ? protocol : variable("OTEL_EXPORTER_OTLP_PROTOCOL");
    if (protocol && strcmp(protocol, "http/json") != 0) {
        snprintf(problem, problem_size,
                 "OTEL_EXPORTER_OTLP_PROTOCOL: http/json is spoken alone; got \"%s\"", protocol);
        return false;
    }
    tracing->headers[tracing->header_count++] = memory_copy_text("Content-Type: application/json");
    if (headers && !read_headers(tracing, headers_of, headers, problem, problem_size))
        return false;
    /* keys of the collector are none of the script's and its programs' business */
    secret_wipe_variable("OTEL_EXPORTER_OTLP_TRACES_HEADERS");
    secret_wipe_variable("OTEL_EXPORTER_OTLP_HEADERS");
    const char *service = variable("OTEL_SERVICE_NAME");
    tracing->resource = (struct otlp_resource){.service = service ? service : "molecule",
                                               .attributes = variable("OTEL_RESOURCE_ATTRIBUTES"),
                                               .version = MOLECULE_VERSION};
    if (!read_number("OTEL_BSP_SCHEDULE_DELAY", PERIOD_DEFAULT_MS, 1, &tracing->period_ms, problem,
                     problem_size) ||
        !read_number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH_DEFAULT, 1, &tracing->batch, problem,
                     problem_size) ||
        !read_number("OTEL_BSP_MAX_QUEUE_SIZE", QUEUE_DEFAULT, 1, &queue, problem, problem_size) ||
        !read_number("OTEL_EXPORTER_OTLP_TIMEOUT", TIMEOUT_DEFAULT_MS, 1, &tracing->timeout_ms,
                     problem, problem_size) ||
        !read_sampling(&sampling, problem, problem_size))
        return false;
    trace_export((size_t)queue, sampling);
    return true;
}

/* NULL: nobody wants traces. */
static char *find_url(void)
{
    const char *disabled = variable("OTEL_SDK_DISABLED"),
               *exporter = variable("OTEL_TRACES_EXPORTER");
    const char *whole = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    const char *base = variable("OTEL_EXPORTER_OTLP_ENDPOINT");
    if ((disabled && strcmp(disabled, "true") == 0) || (exporter && strcmp(exporter, "none") == 0))
        return NULL;
    if (whole)
        return memory_copy_text(whole);
    if (!base)
        return NULL;
    size_t length = strlen(base);
    return memory_format("%s%sv1/traces", base, length > 0 && base[length - 1] == '/' ? "" : "/");
}

static void free_tracing(uv_handle_t *timer)
{
    struct tracing *tracing = timer->data;
    for (size_t i = 0; i < tracing->header_count; i++)
        memory_wipe(tracing->headers[i]);
    memory_wipe(tracing->url);
    free(tracing->shown);
    free(tracing->body);
    free(tracing);
}

/* The query may hold a key. */
static char *shown_url(const char *url)
{
    char *plain = memory_copy(url, strcspn(url, "?#")), *shown = call_words_hide(plain);
    memory_wipe(plain);
    return shown;
}

static bool check_url(const struct tracing *tracing, char *problem, size_t problem_size)
{
    if (strncasecmp(tracing->url, "http://", 7) == 0 ||
        strncasecmp(tracing->url, "https://", 8) == 0)
        return true;
    snprintf(problem, problem_size, "%s: a URL with http:// or https:// is needed; got \"%s\"",
             variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") ? "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
                                                            : "OTEL_EXPORTER_OTLP_ENDPOINT",
             tracing->shown);
    return false;
}

bool tracing_open(struct tracing **opened, uv_loop_t *loop, const char *ca_file, char *problem,
                  size_t problem_size)
{
    struct http_client_options options = {.ca_file = ca_file,
                                          .ca_file_beside = true,
                                          .user_agent = "molecule/" MOLECULE_VERSION,
                                          .connections_total = 2};
    char *url = find_url();
    *opened = NULL;
    if (!url)
        return true;
    struct tracing *tracing = memory_allocate(sizeof *tracing);
    tracing->loop = loop;
    tracing->url = url;
    tracing->shown = shown_url(url);
    uv_timer_init(loop, &tracing->timer);
    uv_unref((uv_handle_t *)&tracing->timer);
    tracing->timer.data = tracing;
    tracing->client = http_client_open(loop, &options);
    if (!tracing->client)
        snprintf(problem, problem_size, "traces: libcurl cannot be set up");
    if (!tracing->client || !check_url(tracing, problem, problem_size) ||
        !configure(tracing, problem, problem_size)) {
        tracing_close(tracing);
        return false;
    }
    uint64_t look_ms = tracing->period_ms < LOOK_MS ? (uint64_t)tracing->period_ms : LOOK_MS;
    uv_timer_start(&tracing->timer, on_timer, look_ms, look_ms);
    *opened = tracing;
    return true;
}

/* It only turns the loop. */
static void on_flush(uv_timer_t *timer)
{
    (void)timer;
}

void tracing_flush(struct tracing *tracing)
{
    int64_t until_ms = clock_monotonic_ms() + FLUSH_MS;
    if (!tracing)
        return;
    uv_timer_start(&tracing->timer, on_flush, FLUSH_LOOK_MS, FLUSH_LOOK_MS);
    uv_ref((uv_handle_t *)&tracing->timer); /* or the loop would wait for the collector alone */
    while (clock_monotonic_ms() < until_ms) {
        send_batch(tracing);
        if (!tracing->exchange)
            break;
        uv_run(tracing->loop, UV_RUN_ONCE);
    }
    uv_unref((uv_handle_t *)&tracing->timer);
}

void tracing_close(struct tracing *tracing)
{
    if (!tracing)
        return;
    size_t left;
    struct trace_kept *spans = trace_take(SIZE_MAX, &left);
    trace_kept_free(spans);
    trace_count_dropped(left + tracing->in_flight);
    trace_export(0, (struct trace_sampling){0});
    if (tracing->exchange)
        http_cancel(tracing->exchange);
    if (tracing->client)
        http_client_close(tracing->client);
    uv_close((uv_handle_t *)&tracing->timer, free_tracing);
}
