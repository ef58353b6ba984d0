#include "host/exchange.h"

#include "base/clock.h"

#include <stdlib.h>

/* Under a tenth of the platform's rate budget: replies wait for the next window, heartbeats and polls go on. Under a
 * half of it: polls that hints lead to share half of what is left. */
static void read_rate_budget(struct rate_budget *budget, const struct http_result *result)
{
    const char *limit = http_header(result, "X-RateLimit-Limit");
    const char *remaining = http_header(result, "X-RateLimit-Remaining");
    const char *reset = http_header(result, "X-RateLimit-Reset");
    if (!limit || !remaining || !reset)
        return;
    long all = strtol(limit, NULL, 10), left = strtol(remaining, NULL, 10), seconds = strtol(reset, NULL, 10);
    budget->hint_gap_ms = all > 0 && left * 2 < all && seconds > 0 ? seconds * 2000 / (left > 0 ? left : 1) : 0;
    if (all > 0 && left * 10 < all && seconds > 0)
        budget->quiet_until_ms = clock_monotonic_ms() + (seconds < 120 ? seconds : 120) * 1000;
    else
        budget->quiet_until_ms = 0;
}

static void on_result(const struct http_result *result, void *context)
{
    struct exchange *exchange = context;
    bool answered = result->progress == HTTP_ANSWERED;
    struct retry_answer facts = {
        .call = exchange->request.call,
        .transport = answered                             ? RETRY_ANSWERED
                     : result->progress == HTTP_NOT_SENT ? RETRY_NOT_SENT
                                                         : RETRY_NO_ANSWER,
        .status = answered ? result->status : 0,
        .body = result->body,
        .body_length = result->body_length,
        .retry_after = answered ? http_header(result, "Retry-After") : NULL,
        .transport_error = result->error,
        .since_sent_ms = result->since_sent_ms,
        .now_wall_ms = clock_wall_ms(),
    };
    const char *date = answered ? http_header(result, "Date") : NULL;
    struct exchange_answer answer = {
        .date_ms = date ? retry_parse_after(date, 0) : -1,
        .verdict = retry_classify(&facts),
        .status = facts.status,
        .body = result->body,
        .body_length = result->body_length,
        .sent = result->progress == HTTP_NO_ANSWER || (answered && (facts.status < 300 || facts.status >= 500)),
        .too_large = result->too_large,
    };
    if (answered)
        read_rate_budget(exchange->budget, result);
    exchange->http = NULL;
    platform_request_free(&exchange->request);
    exchange->callback(&answer, exchange->context);
}

void exchange_start(struct exchange *exchange, struct rate_budget *budget, struct http_client *client,
                    struct platform_request request, const struct exchange_limits *limits,
                    exchange_callback *callback, void *context)
{
    exchange->budget = budget;
    exchange->request = request;
    exchange->callback = callback;
    exchange->context = context;
    struct http_request http = {
        .method = exchange->request.method,
        .url = exchange->request.url,
        .headers = exchange->request.headers,
        .body = exchange->request.body,
        .body_length = exchange->request.body_length,
        .timeout_ms = limits->timeout_ms,
        .stall_timeout_ms = limits->stall_ms,
        .response_maximum = limits->response_maximum,
        .fresh_connection = limits->fresh_connection,
    };
    exchange->http = http_send(client, &http, on_result, exchange);
}

bool exchange_busy(const struct exchange *exchange)
{
    return exchange->http != NULL;
}

void exchange_cancel(struct exchange *exchange)
{
    if (!exchange->http)
        return;
    http_cancel(exchange->http);
    exchange->http = NULL;
    platform_request_free(&exchange->request);
}
