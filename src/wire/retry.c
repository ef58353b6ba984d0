/* What follows from an exchange. What the answer shows is put into a few facts first; then the
 * first line of the table whose transport, calls, status and facts match is the verdict. */
#include "wire/retry.h"

#include "wire/jsontext.h"
#include "wire/reply.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define ERROR_BODY_MAXIMUM (1024 * 1024)

const char *retry_class_text(enum retry_class class)
{
    static const char *const texts[] = {
#define X(name, text) text,
        RETRY_CLASSES(X)
#undef X
    };
    return (size_t) class < sizeof texts / sizeof *texts ? texts[class] : "unknown";
}

/* Sets of calls. */
#define CALL(name) (1u << PLATFORM_##name)
#define REPLIES (CALL(A2A) | CALL(NOTIFY) | CALL(SEND) | CALL(SAY))
#define LOOPS (CALL(REGISTER) | CALL(HEARTBEAT) | CALL(ACTIVITY))
/* the platform passes on what a push peer's agent answers, whatever that is */
#define TO_PEER (CALL(A2A) | CALL(SEND))
#define ASKED (CALL(PEERS) | CALL(LIMITS) | CALL(DELEGATE) | CALL(FETCH) | CALL(ACK) | CALL(UPLOAD))
/* these may end the process: believed only in the platform's own words */
#define CHECKED (CALL(REGISTER) | CALL(STATE))
/* the tenant guard stands before them */
#define GUARDED (CALL(ACTIVITY) | CALL(WORKSPACE) | REPLIES | ASKED)
#define EVERY (LOOPS | GUARDED | CALL(STATE))

/* What an answer can show. */
enum fact {
    FACT_LATE = 1 << 0,       /* 30 s or more after our last byte */
    FACT_EMPTY = 1 << 1,      /* no body */
    FACT_EXPECTED = 1 << 2,   /* what a 2xx of this call holds */
    FACT_PEER_ERROR = 1 << 3, /* a JSON-RPC error, the peer's own */
    FACT_PLATFORM = 1 << 4,   /* the platform's JSON: an object with an `error` */
    FACT_TENANT = 1 << 5,     /* code TENANT_ORG_HEADER_REQUIRED */
    FACT_CURSOR = 1 << 6,     /* `cursor lookup failed` */
    FACT_CONFIRMED = 1 << 7,  /* delivery_confirmed: true */
    /* `access denied`: who may talk to whom was looked up, or could not be (contract §12) */
    FACT_ACCESS = 1 << 8,
    /* HTML: an edge's or a captive portal's, the platform relays as application/json */
    FACT_PAGE = 1 << 9,
    /* not one of the platform's own errors: a push peer's agent failed */
    FACT_AGENT = 1 << 10,
    FACT_NOTHING = 1 << 11 /* LATEST's words for an agent that answered with nothing */
};

#define TENANT_ADVICE \
    "the tenant guard refused it; check the platform's URL, or set MOLECULE_ORG_ID"
#define NOT_FOLLOWED "a redirect, which is not followed; check the platform's URL"
#define ELSEWHERE "not the platform's own answer: a proxy answers in its place, or the URL is wrong"
#define MAYBE_DELIVERED "it may have been delivered"
#define PEER_FAILED "delivered, but the peer answered with an error"
#define PEER_REFUSED "the peer answered with an error"
#define PEER_ODD "the answer is not an A2A response"
#define TOLD_REPLIES (CALL(A2A) | CALL(NOTIFY))

struct rule {
    enum retry_transport transport;
    unsigned calls;
    int from, to;          /* HTTP status; 0, 0 unless RETRY_ANSWERED */
    unsigned has, has_not; /* facts */
    enum retry_class class;
    const char *says; /* put into the reason; NULL: nothing to add */
};

/* In this order: rules that look at the body precede those for the status alone. */
static const struct rule rules[] = {
    {RETRY_NOT_SENT, EVERY, 0, 0, 0, 0, RETRY_TRANSIENT, NULL},
    {RETRY_NO_ANSWER, REPLIES, 0, 0, FACT_LATE, 0, RETRY_UNCONFIRMED, MAYBE_DELIVERED},
    {RETRY_NO_ANSWER, EVERY, 0, 0, 0, 0, RETRY_TRANSIENT, NULL},

    {RETRY_ANSWERED, TO_PEER, 200, 299, FACT_NOTHING, 0, RETRY_DELIVERED, PEER_ODD},
    {RETRY_ANSWERED, CALL(A2A), 200, 299, FACT_PEER_ERROR, 0, RETRY_PERMANENT, PEER_REFUSED},
    {RETRY_ANSWERED, REPLIES, 200, 299, FACT_PEER_ERROR, 0, RETRY_DELIVERED, PEER_FAILED},
    {RETRY_ANSWERED, REPLIES, 200, 299, FACT_EXPECTED, 0, RETRY_DELIVERED, NULL},
    {RETRY_ANSWERED, EVERY & ~REPLIES, 200, 299, FACT_EXPECTED, 0, RETRY_OK, NULL},
    {RETRY_ANSWERED, CALL(A2A), 200, 299, 0, FACT_PAGE, RETRY_UNCONFIRMED, PEER_ODD},
    {RETRY_ANSWERED, CALL(SEND), 200, 299, 0, FACT_PAGE, RETRY_DELIVERED, PEER_ODD},
    {RETRY_ANSWERED, EVERY, 200, 299, 0, 0, RETRY_TRANSIENT, "the answer is not the JSON expected"},

    /* the platform did not see it */
    {RETRY_ANSWERED, REPLIES, 300, 399, 0, 0, RETRY_TRANSIENT, NOT_FOLLOWED},
    /* a rollout, a captive portal */
    {RETRY_ANSWERED, CHECKED, 300, 399, 0, 0, RETRY_TRANSIENT, NOT_FOLLOWED},
    {RETRY_ANSWERED, EVERY, 300, 399, 0, 0, RETRY_PERMANENT, NOT_FOLLOWED},

    {RETRY_ANSWERED, GUARDED, 400, 400, FACT_TENANT, 0, RETRY_TRANSIENT, TENANT_ADVICE},
    {RETRY_ANSWERED, CHECKED, 400, 499, 0, FACT_PLATFORM, RETRY_TRANSIENT, ELSEWHERE},
    /* a deployment that is not complete yet */
    {RETRY_ANSWERED, CHECKED, 404, 405, 0, 0, RETRY_TRANSIENT, NULL},
    {RETRY_ANSWERED, CHECKED, 421, 421, 0, 0, RETRY_TRANSIENT, NULL},
    /* not about our token */
    {RETRY_ANSWERED, CALL(A2A), 401, 401, FACT_AGENT, 0, RETRY_UNCONFIRMED, PEER_REFUSED},
    {RETRY_ANSWERED, CALL(SEND), 401, 401, FACT_AGENT, 0, RETRY_PERMANENT, PEER_REFUSED},
    {RETRY_ANSWERED, EVERY, 401, 401, 0, 0, RETRY_UNAUTHORIZED, NULL},
    {RETRY_ANSWERED, LOOPS | CALL(STATE), 403, 403, 0, 0, RETRY_UNAUTHORIZED, NULL},
    {RETRY_ANSWERED, TOLD_REPLIES, 403, 403, FACT_ACCESS, 0, RETRY_REFUSED, NULL},
    {RETRY_ANSWERED, TOLD_REPLIES, 403, 403, 0, FACT_PLATFORM, RETRY_REFUSED, ELSEWHERE},
    {RETRY_ANSWERED, GUARDED, 404, 404, FACT_EMPTY, 0, RETRY_TRANSIENT, TENANT_ADVICE},
    {RETRY_ANSWERED, EVERY, 408, 408, 0, 0, RETRY_TRANSIENT, NULL},
    {RETRY_ANSWERED, CALL(ACTIVITY), 410, 410, 0, 0, RETRY_GONE, NULL},
    {RETRY_ANSWERED, CALL(WORKSPACE), 410, 410, 0, 0, RETRY_PERMANENT, NULL},
    {RETRY_ANSWERED, EVERY, 425, 425, 0, 0, RETRY_TRANSIENT, NULL},
    {RETRY_ANSWERED, EVERY, 429, 429, 0, 0, RETRY_TRANSIENT, NULL},
    {RETRY_ANSWERED, EVERY, 400, 499, 0, 0, RETRY_PERMANENT, NULL},

    {RETRY_ANSWERED, CALL(ACTIVITY), 500, 500, FACT_CURSOR, 0, RETRY_TRANSIENT, NULL},
    /* where it is a push peer's agent, it had the message; 502 to 504 ask to try later */
    {RETRY_ANSWERED, CALL(A2A), 500, 501, FACT_AGENT, 0, RETRY_UNCONFIRMED, PEER_REFUSED},
    {RETRY_ANSWERED, CALL(A2A), 505, 511, FACT_AGENT, 0, RETRY_UNCONFIRMED, PEER_REFUSED},
    {RETRY_ANSWERED, REPLIES, 502, 502, FACT_CONFIRMED, 0, RETRY_DELIVERED,
     "delivered, but the peer's answer was lost"},
    {RETRY_ANSWERED, REPLIES, 502, 502, FACT_LATE, FACT_PLATFORM, RETRY_UNCONFIRMED,
     MAYBE_DELIVERED},
    {RETRY_ANSWERED, REPLIES, 504, 504, FACT_LATE, FACT_PLATFORM, RETRY_UNCONFIRMED,
     MAYBE_DELIVERED},
    {RETRY_ANSWERED, REPLIES, 520, 524, FACT_LATE, FACT_PLATFORM, RETRY_UNCONFIRMED,
     MAYBE_DELIVERED},
    {RETRY_ANSWERED, EVERY, 500, 599, 0, 0, RETRY_TRANSIENT, NULL},
};

/* A status that HTTP does not have, or a call that we do not make. */
static const struct rule otherwise = {.class = RETRY_TRANSIENT, .says = "not an HTTP answer"};

static size_t skip_space(const char *body, size_t length)
{
    size_t at = 0;
    while (at < length &&
           (body[at] == ' ' || body[at] == '\t' || body[at] == '\r' || body[at] == '\n'))
        at++;
    return at;
}

static bool is_page(const struct retry_answer *answer, char first)
{
    const char *type = answer->content_type;
    if (type)
        return strncasecmp(type, "text/html", 9) == 0 ||
               strncasecmp(type, "application/xhtml", 17) == 0;
    return first == '<';
}

/* What a push peer's agent answered, as the platform passes it on, or the platform's own answer for
 * a peer that polls. */
static unsigned peer_facts(const struct retry_answer *answer)
{
    switch (reply_read_answer(false, answer->body, answer->body_length)) {
    case REPLY_ANSWER_NOTHING: return FACT_NOTHING;
    case REPLY_ANSWER_ERROR: return FACT_PEER_ERROR;
    case REPLY_ANSWER_STRANGE: return 0;
    default: return FACT_EXPECTED;
    }
}

static unsigned success_facts(const struct retry_answer *answer)
{
    size_t start = skip_space(answer->body, answer->body_length);
    char first = start < answer->body_length ? answer->body[start] : '\0';
    if (answer->call == PLATFORM_FETCH)
        return FACT_EXPECTED;
    /* the caller checks the rest */
    if (answer->call == PLATFORM_ACTIVITY || answer->call == PLATFORM_PEERS)
        return first == '[' ? FACT_EXPECTED : 0;
    if (first != '{')
        return is_page(answer, first) ? FACT_PAGE : 0;
    if (1u << answer->call & TO_PEER)
        return peer_facts(answer);
    if (1u << answer->call & REPLIES) {
        bool expected = reply_read_answer(true, answer->body, answer->body_length) ==
                        REPLY_ANSWER_SENT;
        return expected ? FACT_EXPECTED : 0;
    }
    json_t *object = jsontext_read(answer->body, answer->body_length, NULL, NULL);
    unsigned facts = json_is_object(object) ? FACT_EXPECTED : 0;
    json_decref(object);
    return facts;
}

/* Seconds, as a number or as text; -1: unlimited. */
static int64_t body_floor(const json_t *object, int64_t now_wall_ms)
{
    const json_t *after = json_object_get(object, "retry_after");
    if (json_is_string(after))
        return retry_parse_after(json_string_value(after), now_wall_ms);
    double seconds = json_is_number(after) ? json_number_value(after) : -1;
    if (seconds < 0)
        return -1;
    return seconds < RETRY_FLOOR_MAXIMUM_MS / 1000.0 ? (int64_t)(seconds * 1000)
                                                     : RETRY_FLOOR_MAXIMUM_MS;
}

static bool holds(const json_t *object, const char *key, const char *words)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value && strstr(value, words);
}

/* A push peer's agent answered 300 or above itself: the platform passes that on as an `error` alone
 * (a2a_proxy.go of both versions). Its own errors have more members, or one of these texts. */
static bool is_of_agent(const json_t *object)
{
    static const char *const own[] = {"lookup failed",
                                      "internal error",
                                      "internal server error",
                                      "query failed",
                                      "failed to marshal request",
                                      "failed to marshal poll-mode response",
                                      "failed to create proxy request",
                                      "registration failed",
                                      "missing caller auth token",
                                      "invalid caller auth token",
                                      "caller ID does not match workspace auth token",
                                      "missing workspace auth token",
                                      "invalid workspace auth token",
                                      "missing Authorization header",
                                      "workspace has no inbound secret configured"};
    const char *words = json_string_value(json_object_get(object, "error"));
    if (!words || json_object_size(object) != 1)
        return false;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(words, own[i]) == 0)
            return false;
    return strncmp(words, "access denied", 13) != 0;
}

static unsigned error_facts(const struct retry_answer *answer, int64_t *floor_ms)
{
    size_t start = skip_space(answer->body, answer->body_length);
    if (start == answer->body_length)
        return FACT_EMPTY;
    if (answer->body[start] != '{' || answer->body_length > ERROR_BODY_MAXIMUM)
        return 0;
    json_t *object = jsontext_read(answer->body, answer->body_length, NULL, NULL);
    unsigned facts = 0;
    if (json_object_get(object, "error"))
        facts |= FACT_PLATFORM | (is_of_agent(object) ? FACT_AGENT : 0);
    if (holds(object, "code", "TENANT_ORG_HEADER_REQUIRED"))
        facts |= FACT_TENANT;
    if (holds(object, "error", "cursor lookup failed"))
        facts |= FACT_CURSOR;
    if (holds(object, "error", "access denied"))
        facts |= FACT_ACCESS;
    if (json_is_true(json_object_get(object, "delivery_confirmed")))
        facts |= FACT_CONFIRMED;
    *floor_ms = body_floor(object, answer->now_wall_ms);
    json_decref(object);
    return facts;
}

static const struct rule *find_rule(const struct retry_answer *answer, unsigned facts)
{
    int status = answer->transport == RETRY_ANSWERED ? answer->status : 0;
    for (const struct rule *rule = rules; rule < rules + sizeof rules / sizeof *rules; rule++)
        if (rule->transport == answer->transport && rule->calls & 1u << answer->call &&
            status >= rule->from && status <= rule->to && (facts & rule->has) == rule->has &&
            !(facts & rule->has_not))
            return rule;
    return &otherwise;
}

static void write_transport(const struct retry_answer *answer, const char *call, const char *says,
                            char *reason)
{
    char words[RETRY_REASON_SIZE / 2] = "";
    if (answer->transport_error)
        platform_error_text(answer->transport_error, strlen(answer->transport_error), words,
                            sizeof words);
    char after[64] = "not sent";
    if (answer->unacknowledged)
        snprintf(after, sizeof after, "sent, and never acknowledged by the other side");
    if (answer->transport == RETRY_NO_ANSWER)
        snprintf(after, sizeof after, "sent, and no answer after %" PRId64 ".%" PRId64 " s",
                 answer->since_sent_ms / 1000, answer->since_sent_ms / 100 % 10);
    snprintf(reason, RETRY_REASON_SIZE, "%s: %s%s%s%s%s%s", call, after, *words ? " (" : "", words,
             *words ? ")" : "", says ? "; " : "", says ? says : "");
}

static void write_status(const struct retry_answer *answer, const struct rule *rule,
                         const char *call, char *reason)
{
    char words[RETRY_REASON_SIZE / 2] = "";
    bool success = answer->status >= 200 && answer->status < 300;
    bool may_hold_secrets = success && (answer->call == PLATFORM_REGISTER ||
                                        answer->call == PLATFORM_HEARTBEAT);
    if (!may_hold_secrets && (!success || rule->says))
        platform_error_text(answer->body, answer->body_length, words, sizeof words);
    const char *says = rule->says ? rule->says : "";
    if (success && !*says && !*words) { /* of every answer; no need to print */
        const char digits[] = {(char)('0' + answer->status / 100),
                               (char)('0' + answer->status / 10 % 10),
                               (char)('0' + answer->status % 10), '\0'};
        stpcpy(stpcpy(stpcpy(reason, call), ": HTTP "), digits);
    } else if (success) /* there our words explain the platform's */
        snprintf(reason, RETRY_REASON_SIZE, "%s: HTTP %d%s%s%s%s", call, answer->status,
                 *says ? ": " : "", says, *words ? ": " : "", words);
    else
        snprintf(reason, RETRY_REASON_SIZE, "%s: HTTP %d%s%s%s%s", call, answer->status,
                 *words ? ": " : "", words,
                 !*says   ? ""
                 : *words ? "; "
                          : ": ",
                 says);
}

struct retry_verdict retry_classify(const struct retry_answer *answer)
{
    int64_t body_floor_ms = -1, header_floor_ms = -1;
    bool answered = answer->transport == RETRY_ANSWERED,
         success = answer->status >= 200 && answer->status < 300;
    unsigned facts = answer->since_sent_ms >= RETRY_UNCONFIRMED_AFTER_MS ? FACT_LATE : 0;
    if (answered)
        facts |= success ? success_facts(answer) : error_facts(answer, &body_floor_ms);
    if (answered && !success && answer->retry_after)
        header_floor_ms = retry_parse_after(answer->retry_after, answer->now_wall_ms);

    const struct rule *rule = find_rule(answer, facts);
    struct retry_verdict verdict = {.class = rule->class};
    int64_t floor_ms = header_floor_ms >= 0 ? header_floor_ms : body_floor_ms;
    verdict.floor_ms = floor_ms < 0                        ? 0
                       : floor_ms > RETRY_FLOOR_MAXIMUM_MS ? RETRY_FLOOR_MAXIMUM_MS
                                                           : floor_ms;
    verdict.from_platform = facts & FACT_PLATFORM;
    verdict.remarkable = rule->says;
    verdict.from_peer = rule->has & (FACT_PEER_ERROR | FACT_AGENT);
    verdict.tenant_guard = rule->says && strcmp(rule->says, TENANT_ADVICE) == 0;
    verdict.cursor_lookup_failed = rule->has & FACT_CURSOR;
    if (answered)
        write_status(answer, rule, platform_call_text(answer->call), verdict.reason);
    else
        write_transport(answer, platform_call_text(answer->call), rule->says, verdict.reason);
    return verdict;
}

int64_t retry_parse_after(const char *value, int64_t now_wall_ms)
{
    static const char *const dates[] = {"%a, %d %b %Y %H:%M:%S GMT", "%a, %d-%b-%y %H:%M:%S GMT",
                                        "%a %b %d %H:%M:%S %Y"};
    static const int64_t most_seconds = INT64_MAX / 1000;
    while (*value == ' ' || *value == '\t')
        value++;
    size_t digits = strspn(value, "0123456789");
    if (digits > 0) {
        int64_t seconds = 0;
        for (size_t i = 0; i < digits && seconds < most_seconds; i++)
            seconds = seconds > most_seconds / 10 - 1 ? most_seconds
                                                      : seconds * 10 + (value[i] - '0');
        return value[digits + strspn(value + digits, " \t")] ? -1 : seconds * 1000;
    }
    for (size_t i = 0; isalpha((unsigned char)*value) && i < sizeof dates / sizeof *dates; i++) {
        struct tm parts = {0};
        const char *rest = strptime(value, dates[i], &parts);
        if (!rest || rest[strspn(rest, " \t")])
            continue;
        int64_t when_ms = (int64_t)timegm(&parts) * 1000;
        return when_ms > now_wall_ms ? when_ms - now_wall_ms : 0;
    }
    return -1;
}

int64_t retry_next_delay(struct retry_backoff *backoff, int64_t floor_ms, uint64_t random)
{
    int64_t most = backoff->base_ms > 0 ? backoff->base_ms : 1;
    if (backoff->failures < UINT32_MAX)
        backoff->failures++;
    for (unsigned i = 1; i < backoff->failures && most < backoff->cap_ms; i++)
        most = most > INT64_MAX / 2 ? INT64_MAX : most * 2;
    if (most > backoff->cap_ms)
        most = backoff->cap_ms > 0 ? backoff->cap_ms : 1;
    int64_t delay = 1 + (int64_t)(random % (uint64_t)most);
    return delay > floor_ms ? delay : floor_ms;
}

bool retry_refused(struct retry_refusals *refusals, int64_t now_ms, int64_t patience_ms)
{
    if (refusals->count == 0)
        refusals->first_ms = now_ms;
    if (refusals->count < UINT32_MAX)
        refusals->count++;
    return refusals->count >= RETRY_REFUSALS_LEAST && now_ms - refusals->first_ms > patience_ms;
}

void retry_succeeded(struct retry_backoff *backoff)
{
    backoff->failures = 0;
}
