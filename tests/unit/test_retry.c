#include "unit.h"

#include "wire/retry.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NOW 1777777777000 /* 2026-05-03T03:09:37Z */
#define SOON 100
#define LATE RETRY_UNCONFIRMED_AFTER_MS

/* sets of calls */
enum {
    REG = 1 << PLATFORM_REGISTER,
    BEAT = 1 << PLATFORM_HEARTBEAT,
    POLL = 1 << PLATFORM_ACTIVITY,
    A2A = 1 << PLATFORM_A2A,
    STATE = 1 << PLATFORM_STATE,
    CHECKED = REG | STATE,
    NOTIFY = 1 << PLATFORM_NOTIFY,
    SEND = 1 << PLATFORM_SEND,
    QUERY = 1 << PLATFORM_WORKSPACE,
    REPLY = A2A | NOTIFY,
    OTHERS = REG | BEAT | POLL | QUERY,
    ALL = OTHERS | REPLY
};

#define HTML "<html><title>502 Bad Gateway</title></html>"
#define ERR(text) "{\"error\":\"" text "\"}"
#define TENANT \
    "{\"error\":\"missing tenant routing header\",\"code\":\"TENANT_ORG_HEADER_REQUIRED\"}"

struct expectation {
    unsigned calls;
    int status;
    const char *body;
    int64_t since_sent_ms;
    enum retry_class class;
    bool tenant_guard, cursor_lookup_failed;
};

static const struct expectation expectations[] = {
    /* 2xx */
    {REG, 200, "{\"status\":\"registered\"}", SOON, RETRY_OK, 0, 0},
    {BEAT, 200, " {\"status\":\"ok\"}", SOON, RETRY_OK, 0, 0},
    {QUERY, 200, "{\"id\":\"x\"}", SOON, RETRY_OK, 0, 0},
    {POLL, 200, "\n[]", SOON, RETRY_OK, 0, 0},
    {POLL, 200, "[{\"id\":", SOON, RETRY_OK, 0, 0}, /* page_cut's to refuse */
    {POLL, 200, "{}", SOON, RETRY_TRANSIENT, 0, 0},
    {OTHERS & ~SEND, 200, "", SOON, RETRY_TRANSIENT, 0, 0},
    {OTHERS, 200, HTML, SOON, RETRY_TRANSIENT, 0, 0},
    {REG | BEAT | QUERY, 200, "[]", SOON, RETRY_TRANSIENT, 0, 0},
    {REG | BEAT | QUERY, 200, "{\"status\":", SOON, RETRY_TRANSIENT, 0, 0},
    {OTHERS & ~SEND, 204, "", SOON, RETRY_TRANSIENT, 0, 0},
    {A2A, 200, "{\"status\":\"queued\",\"delivery_mode\":\"poll\"}", SOON, RETRY_DELIVERED, 0, 0},
    {A2A, 202, "{\"queued\":true}", SOON, RETRY_DELIVERED, 0, 0},
    {A2A, 200, "{\"jsonrpc\":\"2.0\",\"result\":{}}", LATE, RETRY_DELIVERED, 0, 0},
    {A2A, 200, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":1,\"message\":\"m\"}}", SOON,
     RETRY_PERMANENT, 0, 0},
    {SEND, 200, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":1,\"message\":\"m\"}}", SOON,
     RETRY_DELIVERED, 0, 0},
    {NOTIFY, 200, "{\"status\":\"sent\"}", SOON, RETRY_DELIVERED, 0, 0},
    {NOTIFY, 200, "", SOON, RETRY_TRANSIENT, 0, 0},
    {REPLY, 200, HTML, LATE, RETRY_TRANSIENT, 0, 0},
    {NOTIFY, 200, "{}", SOON, RETRY_TRANSIENT, 0, 0},
    {NOTIFY, 200, "[]", SOON, RETRY_TRANSIENT, 0, 0},
    /* a push peer's agent answers what it likes, and the platform passes it on */
    {A2A, 200, "", SOON, RETRY_UNCONFIRMED, 0, 0},
    {SEND, 200, "", SOON, RETRY_DELIVERED, 0, 0},
    {A2A, 204, "", SOON, RETRY_UNCONFIRMED, 0, 0},
    {A2A, 200, "{}", SOON, RETRY_UNCONFIRMED, 0, 0},
    {SEND, 200, "{}", SOON, RETRY_DELIVERED, 0, 0},
    {A2A, 200, "[]", SOON, RETRY_UNCONFIRMED, 0, 0},
    {SEND, 200, "[]", SOON, RETRY_DELIVERED, 0, 0},
    {A2A, 200, "thank you", SOON, RETRY_UNCONFIRMED, 0, 0},
    {SEND, 200, "thank you", SOON, RETRY_DELIVERED, 0, 0},
    {A2A, 200, "{\"jsonrpc\":", SOON, RETRY_UNCONFIRMED, 0, 0},
    {SEND, 200, "{\"jsonrpc\":", SOON, RETRY_DELIVERED, 0, 0},
    {A2A, 200, "data: {\"result\":{}}\n\n", LATE, RETRY_UNCONFIRMED, 0, 0},
    {A2A | SEND, 200, ERR("agent returned empty response body"), SOON, RETRY_DELIVERED, 0, 0},
    {A2A, 500, ERR("Internal Server Error"), LATE, RETRY_UNCONFIRMED, 0, 0},
    {A2A, 500, ERR("the model is out of memory"), SOON, RETRY_UNCONFIRMED, 0, 0},
    {A2A, 501, ERR("Not Implemented"), SOON, RETRY_UNCONFIRMED, 0, 0},
    {SEND, 500, ERR("Internal Server Error"), LATE, RETRY_TRANSIENT, 0, 0},
    /* and says itself why it could not bring it there */
    {REPLY | SEND, 500, ERR("lookup failed"), SOON, RETRY_TRANSIENT, 0, 0},
    {REPLY | SEND, 500, ERR("internal error"), SOON, RETRY_TRANSIENT, 0, 0},
    {REPLY | SEND, 500, ERR("failed to create proxy request"), SOON, RETRY_TRANSIENT, 0, 0},
    {REPLY | SEND, 500, "{\"error\":\"try again\",\"retryable\":true}", SOON, RETRY_TRANSIENT, 0,
     0},
    {REPLY | SEND, 500, "", SOON, RETRY_TRANSIENT, 0, 0},
    {REPLY | SEND, 500, HTML, SOON, RETRY_TRANSIENT, 0, 0},
    {REPLY | SEND, 503, ERR("Service Unavailable"), SOON, RETRY_TRANSIENT, 0, 0},
    {NOTIFY, 200, "{\"status\":\"queued\"}", SOON, RETRY_TRANSIENT, 0, 0},
    {A2A, 200, "{\"status\":\"sent\"}", SOON, RETRY_UNCONFIRMED, 0, 0},
    /* 3xx */
    {OTHERS & ~REG, 301, "", SOON, RETRY_PERMANENT, 0, 0},
    {OTHERS & ~REG, 307, HTML, LATE, RETRY_PERMANENT, 0, 0},
    {CHECKED, 302, HTML, SOON, RETRY_TRANSIENT, 0, 0},
    {REPLY, 302, "", SOON, RETRY_TRANSIENT, 0, 0},
    {REPLY, 307, HTML, LATE, RETRY_TRANSIENT, 0, 0},
    /* the tenant guard */
    {POLL | REPLY | QUERY, 404, "", SOON, RETRY_TRANSIENT, 1, 0},
    {POLL | REPLY | QUERY, 404, " \n", SOON, RETRY_TRANSIENT, 1, 0},
    {BEAT, 404, "", SOON, RETRY_PERMANENT, 0, 0},
    {ALL & ~REG, 404, "404 page not found", SOON, RETRY_PERMANENT, 0, 0},
    {ALL & ~REG, 404, ERR("workspace not found"), SOON, RETRY_PERMANENT, 0, 0},
    {ALL & ~REG, 404, HTML, SOON, RETRY_PERMANENT, 0, 0},
    {CHECKED, 404, "", SOON, RETRY_TRANSIENT, 0, 0},
    {CHECKED, 404, HTML, SOON, RETRY_TRANSIENT, 0, 0},
    {CHECKED, 404, ERR("not found"), SOON, RETRY_TRANSIENT, 0, 0},
    {POLL | REPLY | QUERY, 400, TENANT, SOON, RETRY_TRANSIENT, 1, 0},
    {REG | BEAT, 400, TENANT, SOON, RETRY_PERMANENT, 0, 0},
    {ALL, 400, ERR("invalid request body"), SOON, RETRY_PERMANENT, 0, 0},
    {ALL & ~REG, 400, "", SOON, RETRY_PERMANENT, 0, 0},
    {CHECKED, 400, HTML, SOON, RETRY_TRANSIENT, 0, 0},
    /* credentials */
    {ALL, 401, ERR("invalid workspace auth token"), SOON, RETRY_UNAUTHORIZED, 0, 0},
    {ALL & ~REG, 401, "", SOON, RETRY_UNAUTHORIZED, 0, 0},
    {CHECKED, 401, ERR("missing workspace auth token"), SOON, RETRY_UNAUTHORIZED, 0, 0},
    {CHECKED, 401, "", SOON, RETRY_TRANSIENT, 0, 0},
    {CHECKED, 401, HTML, SOON, RETRY_TRANSIENT, 0, 0},
    {CHECKED, 403, HTML, SOON, RETRY_TRANSIENT, 0, 0},
    {CHECKED, 403, "{\"message\":\"forbidden\"}", SOON, RETRY_TRANSIENT, 0, 0},
    {CHECKED | BEAT | POLL, 403, ERR("no"), SOON, RETRY_UNAUTHORIZED, 0, 0},
    {REPLY, 403, ERR("access denied: workspaces cannot communicate"), SOON, RETRY_REFUSED, 0, 0},
    {REPLY, 403, HTML, SOON, RETRY_REFUSED, 0, 0},
    {REPLY, 403, ERR("talk_to_user_disabled"), SOON, RETRY_PERMANENT, 0, 0},
    {SEND | QUERY, 403, ERR("access denied"), SOON, RETRY_PERMANENT, 0, 0},
    /* a push peer's agent: not about our token */
    {A2A, 401, ERR("no api key"), SOON, RETRY_UNCONFIRMED, 0, 0},
    {SEND, 401, ERR("no api key"), SOON, RETRY_PERMANENT, 0, 0},
    {A2A | SEND, 401, ERR("invalid caller auth token"), SOON, RETRY_UNAUTHORIZED, 0, 0},
    {A2A, 500, ERR("failed to call the model"), SOON, RETRY_UNCONFIRMED, 0, 0},
    /* other 4xx */
    {ALL, 402, ERR("workspace budget limit exceeded"), SOON, RETRY_PERMANENT, 0, 0},
    {ALL & ~REG, 405, "", SOON, RETRY_PERMANENT, 0, 0},
    {CHECKED, 405, "", SOON, RETRY_TRANSIENT, 0, 0},
    {CHECKED, 405, ERR("method not allowed"), SOON, RETRY_TRANSIENT, 0, 0},
    {CHECKED, 421, "", SOON, RETRY_TRANSIENT, 0, 0},
    {CHECKED, 421, ERR("misdirected"), SOON, RETRY_TRANSIENT, 0, 0},
    {ALL, 408, "", SOON, RETRY_TRANSIENT, 0, 0},
    {ALL, 409, ERR("kind"), SOON, RETRY_PERMANENT, 0, 0},
    {POLL, 410, ERR("since_id cursor not found"), SOON, RETRY_GONE, 0, 0},
    {ALL & ~POLL, 410, ERR("workspace removed"), SOON, RETRY_PERMANENT, 0, 0},
    {ALL, 413, ERR("too large"), SOON, RETRY_PERMANENT, 0, 0},
    {ALL, 425, "", SOON, RETRY_TRANSIENT, 0, 0},
    {ALL, 429, ERR("rate limit exceeded"), SOON, RETRY_TRANSIENT, 0, 0},
    {ALL & ~REG, 451, "", SOON, RETRY_PERMANENT, 0, 0},
    {ALL & ~REG, 499, "", SOON, RETRY_PERMANENT, 0, 0},
    /* 5xx */
    {ALL & ~A2A, 500, ERR("registration failed"), LATE, RETRY_TRANSIENT, 0, 0},
    {POLL, 500, ERR("cursor lookup failed"), SOON, RETRY_TRANSIENT, 0, 1},
    {ALL & ~(POLL | A2A), 500, ERR("cursor lookup failed"), SOON, RETRY_TRANSIENT, 0, 0},
    {POLL, 503, ERR("cursor lookup failed"), SOON, RETRY_TRANSIENT, 0, 0},
    {POLL, 500, ERR("query failed"), SOON, RETRY_TRANSIENT, 0, 0},
    {REPLY, 502, "{\"error\":\"failed to read agent response\",\"delivery_confirmed\":true}", SOON,
     RETRY_DELIVERED, 0, 0},
    {OTHERS, 502, "{\"error\":\"x\",\"delivery_confirmed\":true}", SOON, RETRY_TRANSIENT, 0, 0},
    {REPLY, 502, "{\"error\":\"x\",\"delivery_confirmed\":false}", LATE, RETRY_TRANSIENT, 0, 0},
    {REPLY, 502, "{\"error\":\"x\",\"delivery_confirmed\":\"true\"}", SOON, RETRY_TRANSIENT, 0, 0},
    {REPLY, 502, ERR("failed to reach workspace agent"), LATE, RETRY_TRANSIENT, 0, 0},
    {REPLY, 502, HTML, LATE, RETRY_UNCONFIRMED, 0, 0},
    {REPLY, 502, "", LATE, RETRY_UNCONFIRMED, 0, 0},
    {REPLY, 502, "{}", LATE, RETRY_UNCONFIRMED, 0, 0},
    {REPLY, 502, HTML, LATE - 1, RETRY_TRANSIENT, 0, 0},
    {OTHERS, 502, HTML, LATE, RETRY_TRANSIENT, 0, 0},
    {REPLY, 504, HTML, LATE, RETRY_UNCONFIRMED, 0, 0},
    {REPLY, 504, ERR("x"), LATE, RETRY_TRANSIENT, 0, 0},
    {REPLY, 504, HTML, SOON, RETRY_TRANSIENT, 0, 0},
    {REPLY, 503, HTML, LATE, RETRY_TRANSIENT, 0, 0},
    {ALL, 503, "{\"error\":\"x\",\"busy\":true,\"retry_after\":30}", LATE, RETRY_TRANSIENT, 0, 0},
    {REPLY, 519, HTML, LATE, RETRY_TRANSIENT, 0, 0},
    {REPLY, 520, HTML, LATE, RETRY_UNCONFIRMED, 0, 0},
    {REPLY, 522, "error code: 522", LATE, RETRY_UNCONFIRMED, 0, 0},
    {REPLY, 524, HTML, LATE, RETRY_UNCONFIRMED, 0, 0},
    {REPLY, 524, ERR("x"), LATE, RETRY_TRANSIENT, 0, 0},
    {REPLY, 524, HTML, LATE - 1, RETRY_TRANSIENT, 0, 0},
    {REPLY, 525, HTML, LATE, RETRY_TRANSIENT, 0, 0},
    {OTHERS, 524, HTML, LATE, RETRY_TRANSIENT, 0, 0},
    {ALL, 599, "", SOON, RETRY_TRANSIENT, 0, 0},
    /* no HTTP */
    {ALL, 0, "", SOON, RETRY_TRANSIENT, 0, 0},
    {ALL, 100, "", SOON, RETRY_TRANSIENT, 0, 0},
    {ALL, 600, "", SOON, RETRY_TRANSIENT, 0, 0},
    {ALL, 999, HTML, LATE, RETRY_TRANSIENT, 0, 0},
};

static struct retry_answer answered(enum platform_call call, int status, const char *body)
{
    return (struct retry_answer){.call = call,
                                 .transport = RETRY_ANSWERED,
                                 .status = status,
                                 .body = body,
                                 .body_length = strlen(body),
                                 .since_sent_ms = SOON,
                                 .now_wall_ms = NOW};
}

static void every_answer_has_its_class(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(expectations); i++) {
        const struct expectation *expected = &expectations[i];
        for (enum platform_call call = PLATFORM_REGISTER; call <= PLATFORM_STATE; call++) {
            if (!(expected->calls & 1u << call))
                continue;
            struct retry_answer answer = answered(call, expected->status, expected->body);
            answer.since_sent_ms = expected->since_sent_ms;
            struct retry_verdict verdict = retry_classify(&answer);
            if (verdict.class != expected->class ||
                verdict.tenant_guard != expected->tenant_guard ||
                verdict.cursor_lookup_failed != expected->cursor_lookup_failed)
                fail_msg("%s, %d, %s: %s, not %s; \"%s\"", platform_call_text(call),
                         expected->status, expected->body, retry_class_text(verdict.class),
                         retry_class_text(expected->class), verdict.reason);
        }
    }
}

static void every_broken_exchange_has_its_class(void **state)
{
    (void)state;
    static const struct {
        unsigned calls;
        enum retry_transport transport;
        int64_t since;
        enum retry_class class;
    } cases[] = {{ALL, RETRY_NOT_SENT, SOON, RETRY_TRANSIENT},
                 {ALL, RETRY_NOT_SENT, LATE, RETRY_TRANSIENT},
                 {ALL, RETRY_NO_ANSWER, LATE - 1, RETRY_TRANSIENT},
                 {REPLY, RETRY_NO_ANSWER, LATE, RETRY_UNCONFIRMED},
                 {OTHERS, RETRY_NO_ANSWER, LATE, RETRY_TRANSIENT}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (enum platform_call call = PLATFORM_REGISTER; call <= PLATFORM_STATE; call++) {
            if (!(cases[i].calls & 1u << call))
                continue;
            struct retry_answer answer = {.call = call,
                                          .transport = cases[i].transport,
                                          .status = 200,
                                          .body = "{}",
                                          .body_length = 2,
                                          .transport_error = "Timeout was reached",
                                          .since_sent_ms = cases[i].since,
                                          .now_wall_ms = NOW};
            if (retry_classify(&answer).class != cases[i].class)
                fail_msg("%s, row %zu", platform_call_text(call), i);
        }
    }
}

static void reason_is(struct retry_answer answer, const char *expected)
{
    assert_string_equal(retry_classify(&answer).reason, expected);
}

static void the_reason_is_one_line_an_operator_understands(void **state)
{
    (void)state;
    reason_is(answered(PLATFORM_REGISTER, 401, ERR("missing workspace auth token")),
              "registration: HTTP 401: missing workspace auth token");
    reason_is(answered(PLATFORM_HEARTBEAT, 502, HTML), "heartbeat: HTTP 502: 502 Bad Gateway");
    reason_is(answered(PLATFORM_ACTIVITY, 500, ""), "poll: HTTP 500");
    reason_is(answered(PLATFORM_ACTIVITY, 200, "[]"), "poll: HTTP 200");
    reason_is(answered(PLATFORM_ACTIVITY, 200, HTML),
              "poll: HTTP 200: the answer is not the JSON expected: 502 Bad Gateway");
    reason_is(answered(PLATFORM_ACTIVITY, 404, ""),
              "poll: HTTP 404: the tenant guard refused it; check the platform's URL, or set "
              "MOLECULE_ORG_ID");
    reason_is(answered(PLATFORM_ACTIVITY, 400, TENANT),
              "poll: HTTP 400: missing tenant routing header; the tenant guard "
              "refused it; check the platform's URL, or set MOLECULE_ORG_ID");
    reason_is(answered(PLATFORM_ACTIVITY, 302, ""),
              "poll: HTTP 302: a redirect, which is not followed; check the platform's URL");
    reason_is(answered(PLATFORM_WORKSPACE, 410, ERR("workspace removed")),
              "workspace query: HTTP 410: workspace removed");
    reason_is(answered(PLATFORM_A2A, 200, "{\"error\":{\"message\":\"I\\nfailed\"}}"),
              "reply to a peer: HTTP 200: the peer answered with an error: I failed");
    reason_is(answered(PLATFORM_A2A, 200, "{\"result\":\"secret\"}"), "reply to a peer: HTTP 200");
    reason_is(answered(PLATFORM_A2A, 502, "{\"error\":\"e\",\"delivery_confirmed\":true}"),
              "reply to a peer: HTTP 502: e; delivered, but the peer's answer was lost");

    struct retry_answer broken = {.call = PLATFORM_ACTIVITY,
                                  .transport = RETRY_NOT_SENT,
                                  .transport_error = "Could not connect\nto server"};
    reason_is(broken, "poll: not sent (Could not connect to server)");
    broken = (struct retry_answer){.call = PLATFORM_A2A,
                                   .transport = RETRY_NO_ANSWER,
                                   .since_sent_ms = 61250,
                                   .transport_error = "Timeout was reached"};
    reason_is(broken, "reply to a peer: sent, and no answer after 61.2 s (Timeout was reached); it "
                      "may have been delivered");
    broken.transport_error = NULL;
    broken.since_sent_ms = 12;
    reason_is(broken, "reply to a peer: sent, and no answer after 0.0 s");
}

static void a_registration_cut_short_does_not_show_its_token(void **state)
{
    (void)state;
    struct retry_answer answer = answered(PLATFORM_REGISTER, 200, "{\"auth_token\":\"t0ps3cret");
    struct retry_verdict verdict = retry_classify(&answer);
    assert_int_equal(verdict.class, RETRY_TRANSIENT);
    assert_string_equal(verdict.reason,
                        "registration: HTTP 200: the answer is not the JSON expected");
}

static void a_very_long_error_is_cut_to_one_line(void **state)
{
    (void)state;
    char body[4096];
    memset(body, 'x', sizeof body);
    struct retry_answer answer = {
        .call = PLATFORM_ACTIVITY, .status = 404, .body = body, .body_length = sizeof body};
    struct retry_verdict verdict = retry_classify(&answer);
    assert_true(strlen(verdict.reason) < RETRY_REASON_SIZE);
    assert_true(strlen(verdict.reason) > 100);
}

static void the_platforms_wish_to_wait_is_a_floor(void **state)
{
    (void)state;
    static const struct {
        const char *header, *body;
        int64_t floor_ms;
    } cases[] = {{NULL, "", 0},
                 {"7", "", 7000},
                 {"0", "", 0},
                 {"-5", "", 0},
                 {"soon", "", 0},
                 {"100000", "", 300000},
                 {NULL, "{\"retry_after\":30}", 30000},
                 {NULL, "{\"retry_after\":1.5}", 1500},
                 {NULL, "{\"retry_after\":\"12\"}", 12000},
                 {NULL, "{\"retry_after\":-3}", 0},
                 {NULL, "{\"retry_after\":1e300}", 300000},
                 {NULL, "{\"retry_after\":null}", 0},
                 {NULL, "{\"retry_after\":99999999999999999999}", 300000},
                 {"7", "{\"retry_after\":30}", 7000},
                 {"junk", "{\"retry_after\":30}", 30000},
                 {"Sun, 03 May 2026 03:10:37 GMT", "", 60000},
                 {"Sun, 03 May 2026 03:09:00 GMT", "", 0},
                 {"Mon, 04 May 2026 03:10:37 GMT", "", 300000}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct retry_answer answer = answered(PLATFORM_ACTIVITY, 429, cases[i].body);
        answer.retry_after = cases[i].header;
        assert_int_equal(retry_classify(&answer).floor_ms, cases[i].floor_ms);
    }
    struct retry_answer fine = answered(PLATFORM_ACTIVITY, 200, "[]");
    fine.retry_after = "9";
    assert_int_equal(retry_classify(&fine).floor_ms, 0);
}

static void retry_after_is_seconds_or_a_date(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int64_t ms;
    } cases[] = {{"0", 0},
                 {"120", 120000},
                 {" 5 ", 5000},
                 {"\t5", 5000},
                 {"007", 7000},
                 {"", -1},
                 {" ", -1},
                 {"-1", -1},
                 {"+1", -1},
                 {"1.5", -1},
                 {"5s", -1},
                 {"5 6", -1},
                 {"0x10", -1},
                 {"soon", -1},
                 {"Sun, 03 May 2026 03:09:38 GMT", 1000},
                 {"Sunday, 03-May-26 03:09:39 GMT", 2000},
                 {"Sun May  3 03:09:40 2026", 3000},
                 {"Sun, 06 Nov 1994 08:49:37 GMT", 0},
                 {"Sunday, 06-Nov-94 08:49:37 GMT", 0},
                 {"Sun Nov  6 08:49:37 1994", 0},
                 {"Sun, 03 May 2026 03:09:38 GMT junk", -1},
                 {"Sun, 03 May 2026 03:09:38", -1},
                 {"Sun, 03 May 2026 25:09:38 GMT", -1},
                 {"2026-05-03T03:09:38Z", -1}};
    for (size_t i = 0; i < COUNT(cases); i++)
        if (retry_parse_after(cases[i].value, NOW) != cases[i].ms)
            fail_msg("\"%s\": %lld", cases[i].value,
                     (long long)retry_parse_after(cases[i].value, NOW));
    static const char *const huge[] = {"9223372036854775807", "9223372036854776",
                                       "99999999999999999999999999999999"};
    for (size_t i = 0; i < COUNT(huge); i++)
        assert_true(retry_parse_after(huge[i], NOW) > RETRY_FLOOR_MAXIMUM_MS);
}

static void the_backoff_doubles_up_to_its_cap(void **state)
{
    (void)state;
    static const int64_t most[] = {500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    struct retry_backoff backoff = {.base_ms = 500, .cap_ms = 60000};
    for (size_t i = 0; i < COUNT(most); i++) {
        struct retry_backoff copy = backoff;
        assert_int_equal(retry_next_delay(&copy, 0, 0), 1);
        copy = backoff;
        assert_int_equal(retry_next_delay(&copy, 0, (uint64_t)most[i]), 1);
        copy = backoff;
        assert_int_equal(retry_next_delay(&copy, most[i] + 5, 77), most[i] + 5);
        assert_int_equal(retry_next_delay(&backoff, 0, (uint64_t)most[i] - 1), most[i]);
        assert_int_equal(backoff.failures, i + 1);
    }
    retry_succeeded(&backoff);
    assert_int_equal(retry_next_delay(&backoff, 0, 499), 500);
}

static void an_outage_of_years_does_not_overflow_the_backoff(void **state)
{
    (void)state;
    struct retry_backoff backoff = {.base_ms = 500, .cap_ms = 60000, .failures = UINT32_MAX};
    int64_t delay = retry_next_delay(&backoff, 0, UINT64_MAX);
    assert_true(delay >= 1 && delay <= 60000);
    assert_int_equal(backoff.failures, UINT32_MAX);
    backoff = (struct retry_backoff){.base_ms = 500, .cap_ms = INT64_MAX, .failures = 200};
    assert_true(retry_next_delay(&backoff, 0, UINT64_MAX) >= 1);
    backoff = (struct retry_backoff){0};
    assert_int_equal(retry_next_delay(&backoff, 0, UINT64_MAX), 1);
    backoff = (struct retry_backoff){.base_ms = 500, .cap_ms = 100};
    assert_true(retry_next_delay(&backoff, 0, 99) == 100);
}

static void classes_have_names_for_logs(void **state)
{
    (void)state;
    assert_string_equal(retry_class_text(RETRY_UNCONFIRMED), "unconfirmed");
    assert_string_equal(retry_class_text((enum retry_class)99), "unknown");
    assert_string_equal(platform_call_text(PLATFORM_ACTIVITY), "poll");
}

static void a_refusal_is_believed_when_it_was_said_often_and_long_enough(void **state)
{
    (void)state;
    struct retry_refusals refusals = {0};
    assert_false(retry_refused(&refusals, 1000, 75000));
    assert_false(retry_refused(&refusals, 2000, 75000));
    assert_false(retry_refused(&refusals, 76000, 75000)); /* often, and not longer than that */
    assert_true(retry_refused(&refusals, 76001, 75000));
    refusals = (struct retry_refusals){0};
    assert_false(retry_refused(&refusals, 0, 75000)); /* the clock may begin there */
    /* long, and said twice: what came between is not known */
    assert_false(retry_refused(&refusals, 900000, 75000));
    assert_true(retry_refused(&refusals, 900001, 75000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refusal_is_believed_when_it_was_said_often_and_long_enough),
        cmocka_unit_test(every_answer_has_its_class),
        cmocka_unit_test(every_broken_exchange_has_its_class),
        cmocka_unit_test(the_reason_is_one_line_an_operator_understands),
        cmocka_unit_test(a_registration_cut_short_does_not_show_its_token),
        cmocka_unit_test(a_very_long_error_is_cut_to_one_line),
        cmocka_unit_test(the_platforms_wish_to_wait_is_a_floor),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
        cmocka_unit_test(the_backoff_doubles_up_to_its_cap),
        cmocka_unit_test(an_outage_of_years_does_not_overflow_the_backoff),
        cmocka_unit_test(classes_have_names_for_logs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
