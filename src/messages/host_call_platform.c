/* What handlers ask of the platform: the request, when it may go, and what its answer means. After
 * a transient failure it is repeated until the question's time is up. */
#include "messages/host_call.h"
#include "messages/questions.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/timer.h"
#include "wire/jsontext.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAXIMUM ((size_t)64 << 20)
#define BLOCKED_MAXIMUM_MS 5000 /* how long a handler's message waits for an earlier reply */

static void on_try_again(uv_timer_t *timer)
{
    host_call_transmit((struct host_call *)timer);
}

static const char *code_of(int status)
{
    switch (status) {
    case 401: return "UNAUTHORIZED";
    case 402: return "BUDGET";
    case 403: return "FORBIDDEN";
    case 404: return "NOT_FOUND";
    case 413: return "TOO_LARGE";
    default: return "REFUSED";
    }
}

static void again(struct host_call *call, const struct call_answer *given, int64_t floor_ms)
{
    int64_t wait = retry_next_delay(&call->backoff, floor_ms, random_number());
    snprintf(call->problem, sizeof call->problem, "%s", given->verdict.reason);
    if (clock_monotonic_ms() + wait >= call->deadline_ms)
        host_call_fail(call, call->problem, given->status ? "UNAVAILABLE" : "TIMEOUT");
    else
        timer_arm(&call->timer, on_try_again, wait);
}

/* Not for a canvas message that may have been shown: it has no id by which a second one could be
 * deduplicated. */
static bool may_repeat(const struct host_call *call, const struct call_answer *given)
{
    bool tells_canvas = call->ask ? call->ask->kind == SCRIPT_ASK_NOTIFY : call->request.to_canvas;
    return !tells_canvas || !given->sent;
}

/* T1 stages nothing for a workspace that polls, and will not do so later either (contract §1.16).
 */
static bool has_no_uploads(const struct host_call *call, const struct call_answer *given)
{
    return call->ask && call->ask->kind == SCRIPT_ASK_UPLOAD && given->status == 503 &&
           strstr(given->verdict.reason, "workspace url not registered yet");
}

static void succeed(struct host_call *call, const struct call_answer *given)
{
    if (!call->ask) { /* an acknowledgment */
        host_call_end(call);
        return;
    }
    switch (call->ask->kind) {
    case SCRIPT_ASK_SEND:
        if (reply_read_answer(false, given->body, given->body_length) == REPLY_ANSWER_QUEUED)
            host_call_await_reply(call);
        else
            host_call_take_result(call, given);
        return;
    case SCRIPT_ASK_UPLOAD: {
        json_t *body = jsontext_read(given->body, given->body_length, NULL, NULL);
        char *files = jsontext_print(json_object_get(body, "files"));
        json_decref(body);
        if (files)
            host_call_answer(call, files, strlen(files));
        else
            host_call_fail(call, "the platform's answer names no files", "REFUSED");
        return;
    }
    case SCRIPT_ASK_DELEGATE: host_call_await_delegation(call, given); return;
    case SCRIPT_ASK_NOTIFY: host_call_shown(call); return;
    default:
        host_call_answer(call, memory_copy(given->body, given->body_length), given->body_length);
    }
}

/* What /uploads/limits says, where the platform has it, and how long a message may be. */
void host_call_answer_limits(struct host_call *call)
{
    struct host_calls *calls = call->calls;
    json_t *limits = calls->upload_limits ? json_loads(calls->upload_limits, 0, NULL) : NULL;
    if (!json_is_object(limits)) {
        json_decref(limits);
        limits = json_object();
    }
    json_object_set_new(limits, "message_bytes",
                        json_integer((json_int_t)link_message_maximum(calls->link)));
    char *text = jsontext_print(limits);
    json_decref(limits);
    host_call_answer(call, text, strlen(text));
}

/* A platform that does not say is not asked again and again. */
static void on_limits(struct host_call *call, const struct call_answer *given)
{
    struct host_calls *calls = call->calls;
    free(calls->upload_limits);
    calls->upload_limits = given->verdict.class == RETRY_OK ? memory_copy_text(given->body) : NULL;
    calls->upload_limits_ms = clock_monotonic_ms();
    host_call_answer_limits(call);
}

/* The post of a question: from its beginning the question may have been seen, unless it failed for
 * certain. */
static void note_post(struct host_call *call, bool begins)
{
    const struct script_ask *ask = call->ask;
    struct question *question = ask && ask->question.key
                                    ? questions_find(call->calls->questions, ask->row_id,
                                                     ask->question.key)
                                    : NULL;
    if (question && begins)
        questions_post_begins(call->calls->questions, question);
    else if (question)
        question_post_failed(question);
}

static bool has_failed(const struct call_answer *given)
{
    bool delivered = given->verdict.class == RETRY_OK || given->verdict.class == RETRY_DELIVERED ||
                     given->verdict.class == RETRY_UNCONFIRMED;
    return !delivered && (given->status != 0 || !given->sent);
}

static void on_answer(const struct call_answer *given, void *context)
{
    struct host_call *call = context;
    call->tried = true;
    if (has_failed(given))
        note_post(call, false);
    if (call->ask && call->ask->kind == SCRIPT_ASK_LIMITS) {
        on_limits(call, given);
        return;
    }
    switch (given->verdict.class) {
    case RETRY_OK:
    case RETRY_DELIVERED: succeed(call, given); return;
    case RETRY_UNCONFIRMED:
        if (call->ask && call->ask->kind == SCRIPT_ASK_NOTIFY)
            host_call_show_unsure(call, given);
        else
            host_call_fail(call, given->verdict.reason, "UNCONFIRMED");
        return;
    case RETRY_TRANSIENT:
        if (given->too_large)
            host_call_fail(call, given->verdict.reason, "TOO_LARGE");
        else if (has_no_uploads(call, given))
            host_call_fail(call, given->verdict.reason, "UNAVAILABLE");
        else if (may_repeat(call, given))
            again(call, given, given->verdict.floor_ms);
        else if (!call->ask)
            host_call_fail(call, given->verdict.reason, "UNCONFIRMED");
        else
            host_call_show_unsure(call, given);
        return;
    case RETRY_UNAUTHORIZED:
        token_refused(call->calls->link, given);
        again(call, given, token_floor_ms(call->calls->link));
        return;
    case RETRY_GONE:
    case RETRY_REFUSED:
    case RETRY_PERMANENT:
        host_call_fail(call, given->verdict.reason,
                       given->verdict.from_peer ? "PEER" : code_of(given->status));
    }
}

static struct platform_request make_request(const struct host_call *call)
{
    const struct platform *platform = &call->calls->link->platform;
    const char *token = call->calls->link->token.current;
    const struct script_ask *ask = call->ask;
    if (!ask && call->file_id)
        return platform_ack(platform, token, call->file_id);
    if (!ask && call->request.target)
        return platform_send(platform, token, call->request.target, call->request.body,
                             call->request.body_length);
    if (!ask) {
        echoes_told_body(call->calls->echoes, call->request.body, call->request.body_length);
        return platform_say(platform, token, call->request.body, call->request.body_length);
    }
    switch (ask->kind) {
    case SCRIPT_ASK_SEND:
        return platform_send(platform, token, ask->key, call->request.body,
                             call->request.body_length);
    case SCRIPT_ASK_NOTIFY:
        echoes_told_body(call->calls->echoes, call->request.body, call->request.body_length);
        return platform_say(platform, token, call->request.body, call->request.body_length);
    case SCRIPT_ASK_PEERS: return platform_peers(platform, token, ask->key);
    case SCRIPT_ASK_DELEGATE:
        return platform_delegate(platform, token, ask->key, ask->text, ask->text_length,
                                 call->delegation_key);
    case SCRIPT_ASK_FETCH: return platform_fetch(platform, token, ask->key);
    case SCRIPT_ASK_LIMITS: return platform_limits(platform, token);
    case SCRIPT_ASK_UPLOAD:
        return platform_upload(platform, token, ask->key, ask->text, ask->text_length);
    default: return (struct platform_request){0};
    }
}

static bool goes_to(const struct inbox_entry *ahead, const void *receiver)
{
    const struct reply_request *reply = ahead->reply;
    if (!reply)
        return false;
    return reply->to_canvas ? !receiver : receiver && strcmp(reply->target, receiver) == 0;
}

/* The handler began while the reply to the previous message was on its way. What it says to the
 * same receiver should not arrive before it; but the receiver may be away for hours, or work on the
 * reply for minutes. */
static bool is_blocked(const struct host_call *call)
{
    const struct script_ask *ask = call->ask;
    if (!ask || !ask->row_id || (ask->kind != SCRIPT_ASK_SEND && ask->kind != SCRIPT_ASK_NOTIFY))
        return false;
    const struct inbox_entry *entry = inbox_find_running(call->calls->inbox, ask->row_id);
    return entry &&
           inbox_any_reply_ahead(entry, goes_to, ask->kind == SCRIPT_ASK_SEND ? ask->key : NULL);
}

static void go_on(struct host_call *call)
{
    int64_t waited_ms = clock_monotonic_ms() - call->started_ms; /* its own time had not begun */
    call->blocked = false;
    call->was_blocked = true;
    call->started_ms += waited_ms;
    call->deadline_ms += waited_ms;
    uv_timer_stop(&call->timer);
    host_call_transmit(call);
}

static void on_blocked_long_enough(uv_timer_t *timer)
{
    go_on((struct host_call *)timer);
}

void host_calls_go_on(struct host_calls *calls)
{
    struct host_call *next;
    for (struct host_call *call = calls->first; call; call = next) {
        next = call->next;
        if (call->blocked && !is_blocked(call))
            go_on(call);
    }
}

void host_call_transmit(struct host_call *call)
{
    struct host_calls *calls = call->calls;
    int64_t now = clock_monotonic_ms(), left = call->deadline_ms - now;
    call->blocked = !call->tried && !call->was_blocked && is_blocked(call);
    if (call->blocked) {
        timer_arm(&call->timer, on_blocked_long_enough, BLOCKED_MAXIMUM_MS);
        return;
    }
    int64_t quiet_until_ms = calls->link->budget.quiet_until_ms;
    if (quiet_until_ms > now && quiet_until_ms < call->deadline_ms) {
        timer_arm(&call->timer, on_try_again, quiet_until_ms - now);
        return;
    }
    note_post(call, true);
    struct platform_request request = make_request(call);
    if (!request.url) {
        host_call_fail(call, "not a workspace id (a UUID); molecule.peers() lists the ids",
                       "BAD_ID");
        return;
    }
    struct call_limits limits = {
        .timeout_ms = left > HOST_CALL_LEAST_MS ? left : HOST_CALL_LEAST_MS,
        .response_maximum = call->ask && call->ask->kind == SCRIPT_ASK_FETCH
                                ? (size_t)call->ask->most
                                : ANSWER_MAXIMUM,
        .fresh_connection = call->tried,
        .delivery_counts = true};
    link_call(calls->link, &call->request_call, request, &limits, on_answer, call);
}
