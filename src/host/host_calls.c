/* One question at a time is a struct host_call, from host_calls_ask to script_answer. Those to the
 * platform are repeated after transient errors until their time is over; a message to a peer that
 * only queues it waits on for the reply that names it. */
#include "host/host_call.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/uuid.h"
#include "wire/jsontext.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_CAP_MS 10000
#define ANSWER_MAXIMUM ((size_t)64 << 20)
/* a peer's platform needs some time even where nobody waits for the peer */
#define SEND_LEAST_MS 10000
#define ACK_TIMEOUT_MS 30000
#define LIMITS_EVERY_MS 600000
#define LIMITS_TIMEOUT_MS 10000
#define BEHIND_MAXIMUM_MS 5000 /* how long a handler's message waits for an earlier reply */

static void free_call(uv_handle_t *timer)
{
    struct host_call *call = (struct host_call *)timer;
    reply_request_free(&call->request);
    changes_free(call->changes);
    free(call->file_id);
    json_decref(call->delegation);
    free(call);
}

void host_call_end(struct host_call *call)
{
    struct host_call **link = &call->workspace->host_calls;
    while (*link != call)
        link = &(*link)->next;
    *link = call->next;
    exchange_cancel(&call->exchange);
    delegated_cancel(call->delegated);
    call->delegated = NULL;
    receipt_cancel(call->receipt);
    call->receipt = NULL;
    uv_close((uv_handle_t *)&call->timer, free_call);
}

static void end_if_idle(struct host_call *call)
{
    if (!call->recording)
        host_call_end(call);
}

/* Takes `value`. */
void host_call_answer(struct host_call *call, char *value, size_t length)
{
    struct script_ask *ask = call->ask;
    call->ask = NULL;
    if (ask) {
        ask->value = value;
        ask->value_length = length;
        script_answer(ask);
    } else {
        free(value);
    }
    end_if_idle(call);
}

void host_call_fail(struct host_call *call, const char *problem, const char *code)
{
    struct script_ask *ask = call->ask;
    call->ask = NULL;
    if (ask) {
        ask->problem = memory_copy_text(problem);
        ask->code = code;
        script_answer(ask);
    } else if (call->file_id) {
        log_debug(call->workspace->settings.id, "%s", problem);
    }
    end_if_idle(call);
}

static struct host_call *open_call(struct workspace *workspace, struct script_ask *ask,
                                   int64_t timeout_ms)
{
    struct host_call *call = memory_allocate(sizeof *call);
    call->workspace = workspace;
    call->ask = ask;
    call->backoff = (struct retry_backoff){.base_ms = 500, .cap_ms = BACKOFF_CAP_MS};
    call->started_ms = clock_monotonic_ms();
    call->deadline_ms = call->started_ms + timeout_ms;
    call->next = workspace->host_calls;
    workspace->host_calls = call;
    uv_timer_init(&workspace->host->network.loop, &call->timer);
    return call;
}

/* --- the store --- */

static void on_stored(void *context, char *value)
{
    struct host_call *call = context;
    call->recording = false;
    host_call_answer(call, value, value ? strlen(value) : 0);
}

static void ask_record(struct host_call *call)
{
    struct journal *journal = call->workspace->journal;
    struct script_ask *ask = call->ask;
    call->recording = true;
    if (ask->kind == SCRIPT_ASK_GET)
        journal_store_get(journal, ask->key, on_stored, call);
    else if (ask->kind == SCRIPT_ASK_KEYS)
        journal_store_keys(journal, ask->key, ask->most, on_stored, call);
    else
        journal_store_commit(journal, ask->changes, on_stored, call);
}

/* --- calls to the platform --- */

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

static void again(struct host_call *call, const struct exchange_answer *given, int64_t floor_ms)
{
    int64_t wait = retry_next_delay(&call->backoff, floor_ms, host_random());
    snprintf(call->problem, sizeof call->problem, "%s", given->verdict.reason);
    if (clock_monotonic_ms() + wait >= call->deadline_ms)
        host_call_fail(call, call->problem, given->status ? "UNAVAILABLE" : "TIMEOUT");
    else
        workspace_arm(&call->timer, on_try_again, wait);
}

/* Not for a canvas message that may have been shown: it has no id that would make a second one the
 * same. */
static bool may_repeat(const struct host_call *call, const struct exchange_answer *given)
{
    return !call->ask || call->ask->kind != SCRIPT_ASK_NOTIFY || !given->sent;
}

/* T1 stages nothing for a workspace that polls, and will not do so later either (contract §1.16).
 */
static bool has_no_uploads(const struct host_call *call, const struct exchange_answer *given)
{
    return call->ask && call->ask->kind == SCRIPT_ASK_UPLOAD && given->status == 503 &&
           strstr(given->verdict.reason, "workspace url not registered yet");
}

static void succeed(struct host_call *call, const struct exchange_answer *given)
{
    if (!call->ask) { /* an acknowledgement */
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
        char *files = json_dumps(json_object_get(body, "files"), JSON_COMPACT);
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
static void answer_limits(struct host_call *call)
{
    struct workspace *workspace = call->workspace;
    json_t *limits = workspace->upload_limits ? json_loads(workspace->upload_limits, 0, NULL)
                                              : NULL;
    if (!json_is_object(limits)) {
        json_decref(limits);
        limits = json_object();
    }
    json_object_set_new(limits, "message_bytes",
                        json_integer((json_int_t)workspace_message_maximum(workspace)));
    char *text = json_dumps(limits, JSON_COMPACT);
    json_decref(limits);
    host_call_answer(call, text, strlen(text));
}

/* One that does not say is not asked again and again. */
static void on_limits(struct host_call *call, const struct exchange_answer *given)
{
    struct workspace *workspace = call->workspace;
    free(workspace->upload_limits);
    workspace->upload_limits = given->verdict.class == RETRY_OK ? memory_copy_text(given->body)
                                                                : NULL;
    workspace->upload_limits_ms = clock_monotonic_ms();
    answer_limits(call);
}

static void on_exchanged(const struct exchange_answer *given, void *context)
{
    struct host_call *call = context;
    call->tried = true;
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
        else
            host_call_show_unsure(call, given);
        return;
    case RETRY_UNAUTHORIZED:
        token_refused(call->workspace, given);
        again(call, given, token_floor_ms(call->workspace));
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
    const struct platform *platform = &call->workspace->platform;
    const char *token = call->workspace->token.current;
    const struct script_ask *ask = call->ask;
    if (!ask)
        return platform_ack(platform, token, call->file_id);
    switch (ask->kind) {
    case SCRIPT_ASK_SEND:
        return platform_send(platform, token, ask->key, call->request.body,
                             call->request.body_length);
    case SCRIPT_ASK_NOTIFY:
        workspace_tells(call->workspace, call->request.body, call->request.body_length);
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

/* By its place in the handler, so that one that runs again hands over the same; outside of handlers
 * any. */
static void make_delegation_key(struct host_call *call)
{
    const struct script_ask *ask = call->ask;
    if (!ask->row_id) {
        uuid_random(call->delegation_key);
        return;
    }
    char *name = memory_format("%s/delegate/%u.%u/%s/%s", ask->row_id, ask->retries, ask->number,
                               ask->key, ask->text);
    uuid_of_name(name, call->delegation_key);
    free(name);
}

static bool goes_to(const struct inbox_entry *ahead, const void *receiver)
{
    const struct stored_reply *stored = ahead->context;
    if (!stored)
        return false;
    return stored->request.to_canvas ? !receiver
                                     : receiver && strcmp(stored->request.target, receiver) == 0;
}

/* The handler began while the reply to the message before was on its way. What it says to the same
 * receiver should not arrive in front of that; but the receiver may be away for hours, or work on
 * the reply for minutes. */
static bool is_behind(const struct host_call *call)
{
    const struct script_ask *ask = call->ask;
    if (!ask || !ask->row_id || (ask->kind != SCRIPT_ASK_SEND && ask->kind != SCRIPT_ASK_NOTIFY))
        return false;
    const struct inbox_entry *entry = inbox_find_running(call->workspace->inbox, ask->row_id);
    return entry &&
           inbox_any_reply_ahead(entry, goes_to, ask->kind == SCRIPT_ASK_SEND ? ask->key : NULL);
}

static void go_on(struct host_call *call)
{
    int64_t waited_ms = clock_monotonic_ms() - call->started_ms; /* it was not its own time */
    call->behind = false;
    call->was_behind = true;
    call->started_ms += waited_ms;
    call->deadline_ms += waited_ms;
    uv_timer_stop(&call->timer);
    host_call_transmit(call);
}

static void on_behind_long_enough(uv_timer_t *timer)
{
    go_on((struct host_call *)timer);
}

void host_calls_go_on(struct workspace *workspace)
{
    struct host_call *next;
    for (struct host_call *call = workspace->host_calls; call; call = next) {
        next = call->next;
        if (call->behind && !is_behind(call))
            go_on(call);
    }
}

void host_call_transmit(struct host_call *call)
{
    struct workspace *workspace = call->workspace;
    int64_t now = clock_monotonic_ms(), left = call->deadline_ms - now;
    call->behind = !call->tried && !call->was_behind && is_behind(call);
    if (call->behind) {
        workspace_arm(&call->timer, on_behind_long_enough, BEHIND_MAXIMUM_MS);
        return;
    }
    int64_t quiet_until_ms = workspace->budget.quiet_until_ms;
    if (quiet_until_ms > now && quiet_until_ms < call->deadline_ms) {
        workspace_arm(&call->timer, on_try_again, quiet_until_ms - now);
        return;
    }
    struct platform_request request = make_request(call);
    if (!request.url) {
        host_call_fail(call, "not a workspace id (a UUID); molecule.peers() lists the ids",
                       "BAD_ID");
        return;
    }
    struct exchange_limits limits = {.timeout_ms = left > SEND_LEAST_MS ? left : SEND_LEAST_MS,
                                     .response_maximum = call->ask &&
                                                                 call->ask->kind == SCRIPT_ASK_FETCH
                                                             ? (size_t)call->ask->most
                                                             : ANSWER_MAXIMUM,
                                     .fresh_connection = call->tried,
                                     .delivery_counts = true};
    exchange_start(&call->exchange, &workspace->budget, workspace->host->client, request, &limits,
                   on_exchanged, call);
}

/* --- questions --- */

void host_calls_ask(struct workspace *workspace, struct script_ask *ask)
{
    struct host_call *call = open_call(workspace, ask, ask->timeout_ms);
    if (workspace->state == WORKSPACE_CLOSED || !workspace->journal) {
        host_call_fail(call, "the host stops", "STOPPED");
        return;
    }
    if (ask->kind == SCRIPT_ASK_SEND || ask->kind == SCRIPT_ASK_DELEGATE)
        for (char *at = ask->key; *at; at++) /* as the platform writes ids */
            *at = (char)tolower((unsigned char)*at);
    switch (ask->kind) {
    case SCRIPT_ASK_GET:
    case SCRIPT_ASK_KEYS:
    case SCRIPT_ASK_COMMIT: ask_record(call); return;
    case SCRIPT_ASK_SEND:
        if (!uuid_valid(ask->key)) {
            host_call_fail(call, "not a workspace id (a UUID); molecule.peers() lists the ids",
                           "BAD_ID");
        } else if (host_call_build_message(call)) {
            if (ask->timeout_ms < SEND_LEAST_MS)
                call->deadline_ms += SEND_LEAST_MS - ask->timeout_ms;
            call->recording = ask->may_be_known;
            if (ask->may_be_known)
                host_call_know_answer(call);
            else
                host_call_transmit(call);
        }
        return;
    case SCRIPT_ASK_NOTIFY:
        if (host_call_build_message(call))
            host_call_show(call);
        return;
    case SCRIPT_ASK_LIMITS:
        if (workspace->upload_limits_ms &&
            clock_monotonic_ms() - workspace->upload_limits_ms < LIMITS_EVERY_MS)
            answer_limits(call);
        else
            host_call_transmit(call);
        return;
    case SCRIPT_ASK_DELEGATE:
        if (!uuid_valid(ask->key)) {
            host_call_fail(call, "not a workspace id (a UUID); molecule.peers() lists the ids",
                           "BAD_ID");
            return;
        }
        make_delegation_key(call); /* fall through */
    case SCRIPT_ASK_PEERS:
    case SCRIPT_ASK_FETCH:
    case SCRIPT_ASK_UPLOAD: host_call_transmit(call); return;
    }
}

void host_calls_acknowledge(struct workspace *workspace, const char *file_id)
{
    struct host_call *call = open_call(workspace, NULL, ACK_TIMEOUT_MS);
    call->file_id = memory_copy_text(file_id);
    host_call_transmit(call);
}

void host_calls_interrupt(struct workspace *workspace)
{
    struct host_call *next;
    for (struct host_call *call = workspace->host_calls; call; call = next) {
        next = call->next;
        if (call->ask && call->ask->kind == SCRIPT_ASK_NOTIFY && call->ask->row_id &&
            exchange_busy(&call->exchange))
            host_call_mark_unsure(call);
        if (call->ask && call->recording) { /* the disk thread may still read them */
            call->changes = call->ask->changes;
            call->ask->changes = NULL;
        }
        if (call->ask)
            host_call_fail(call, "the host stops", "STOPPED");
        else if (!call->recording)
            host_call_end(call);
    }
}

void host_calls_close(struct workspace *workspace)
{
    host_calls_interrupt(workspace);
    while (workspace->host_calls)
        host_call_end(workspace->host_calls);
}
