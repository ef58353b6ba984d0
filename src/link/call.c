#include "link/call.h"

#include "base/check.h"
#include "base/clock.h"

#include <string.h>

#define COUNT_MAXIMUM 1000000000 /* requests in a window */
/* a connection that was idle for longer may be dead, and nothing would say so */
#define MESSAGE_IDLE_MS 2000
#define WINDOW_MAXIMUM_S 120 /* the platform's is 60 */

/* A header's whole number, at most `maximum`; -1: none. */
static int64_t read_count(const char *text, int64_t maximum)
{
    size_t digits = text ? strspn(text, "0123456789") : 0;
    if (digits == 0 || text[digits + strspn(text + digits, " \t")])
        return -1;
    int64_t number = 0;
    for (size_t i = 0; i < digits && number < maximum; i++)
        number = number * 10 + (text[i] - '0');
    return number < maximum ? number : maximum;
}

/* Below a tenth of the platform's rate budget, replies wait for the next window, while heartbeats
 * and polls continue. Below half, polls prompted by hints share half of what is left. */
static void read_rate_budget(struct rate_budget *budget, const struct http_result *result)
{
    int64_t all = read_count(http_header(result, "X-RateLimit-Limit"), COUNT_MAXIMUM);
    if (all < 0)
        return;
    int64_t left = read_count(http_header(result, "X-RateLimit-Remaining"), COUNT_MAXIMUM);
    int64_t seconds = read_count(http_header(result, "X-RateLimit-Reset"), WINDOW_MAXIMUM_S);
    if (left < 0 || seconds < 0)
        return;
    budget->hint_gap_ms = left * 2 < all ? seconds * 2000 / (left > 0 ? left : 1) : 0;
    budget->quiet_until_ms = left * 10 < all && seconds > 0 ? clock_monotonic_ms() + seconds * 1000
                                                            : 0;
}

/* The platform's clock, since the epoch; -1: it does not tell. */
static int64_t read_date(struct rate_budget *budget, const char *date)
{
    size_t size = date ? strlen(date) + 1 : 0;
    if (!date || size > CALL_DATE_SIZE)
        return date ? retry_parse_after(date, 0) : -1;
    if (strcmp(date, budget->date) != 0) {
        memcpy(budget->date, date, size);
        budget->date_ms = retry_parse_after(date, 0);
    }
    return budget->date_ms;
}

/* Of JSON: what else it could be is not asked. */
static bool is_object(const struct http_result *result)
{
    return result->body_length > 0 && *result->body == '{';
}

static void on_result(const struct http_result *result, void *context)
{
    struct call *call = context;
    bool answered = result->progress == HTTP_ANSWERED;
    bool not_sent = result->progress == HTTP_NOT_SENT || result->unacknowledged;
    struct retry_answer facts = {
        .call = call->request.call,
        .transport = answered   ? RETRY_ANSWERED
                     : not_sent ? RETRY_NOT_SENT
                                : RETRY_NO_ANSWER,
        .unacknowledged = result->unacknowledged,
        .status = answered ? result->status : 0,
        .body = result->body,
        .body_length = result->body_length,
        .content_type = answered && !is_object(result) ? http_header(result, "Content-Type") : NULL,
        .retry_after = answered && result->status >= 300 ? http_header(result, "Retry-After")
                                                         : NULL,
        .transport_error = result->error,
        .since_sent_ms = result->since_sent_ms,
    };
    int64_t date_ms = answered ? read_date(call->budget, http_header(result, "Date")) : -1;
    /* a date to wait for is the platform's, so its clock counts */
    facts.now_wall_ms = date_ms > 0 ? date_ms : clock_wall_ms();
    struct call_answer answer = {
        .date_ms = date_ms,
        .verdict = retry_classify(&facts),
        .status = facts.status,
        .body = result->body,
        .body_length = result->body_length,
        .sent = (!answered && !not_sent) ||
                (answered && (facts.status < 300 || facts.status >= 500)),
        .too_large = result->too_large,
    };
    if (answered)
        read_rate_budget(call->budget, result);
    if (call->answers)
        call->answers[answer.verdict.class]++;
    call->http = NULL;
    platform_request_free(&call->request);
    call->callback(&answer, call->context);
}

void call_start(struct call *call, struct rate_budget *budget, struct http_client *client,
                struct platform_request request, const struct call_limits *limits,
                call_callback *callback, void *context)
{
    check(!call->http); /* one request at a time: both would answer for this one */
    call->budget = budget;
    call->request = request;
    call->callback = callback;
    call->context = context;
    struct http_request http = {
        .method = call->request.method,
        .url = call->request.url,
        .headers = platform_headers_lines(call->request.headers),
        .body = call->request.body,
        .body_length = call->request.body_length,
        .timeout_ms = limits->timeout_ms,
        .stall_timeout_ms = limits->stall_ms,
        .response_maximum = limits->response_maximum,
        .fresh_connection = limits->fresh_connection,
        .idle_maximum_ms = limits->delivery_counts ? MESSAGE_IDLE_MS : 0,
        .delivery_counts = limits->delivery_counts,
    };
    call->http = http_send(client, &http, on_result, call);
}

bool call_busy(const struct call *call)
{
    return call->http != NULL;
}

void call_cancel(struct call *call)
{
    if (!call->http)
        return;
    http_cancel(call->http);
    call->http = NULL;
    platform_request_free(&call->request);
}
