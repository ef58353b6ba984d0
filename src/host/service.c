/* One question at a time is a struct service, from service_ask to script_answer. Those to the platform are repeated after
 * transient errors until their time is over; a message to a peer that only queues it waits on for the reply that names it. */
#include "host/service.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/uuid.h"
#include "host/delegated.h"
#include "host/receipt.h"
#include "host/workspace.h"
#include "wire/jsontext.h"
#include "wire/result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_CAP_MS 10000
#define ANSWER_MAXIMUM ((size_t)64 << 20)
#define SEND_LEAST_MS 10000 /* a peer's platform needs some time even where nobody waits for the peer */
#define ACK_TIMEOUT_MS 30000
#define LIMITS_EVERY_MS 600000
#define LIMITS_TIMEOUT_MS 10000
#define BEHIND_MAXIMUM_MS 5000 /* what a handler says waits so long for a reply in front of it */

struct service {
    uv_timer_t timer; /* first: the next try, or the end of waiting */
    struct service *next;
    struct workspace *workspace;
    struct script_ask *ask;    /* NULL: answered */
    struct changes *changes;   /* of a commit whose question was answered early */
    struct exchange exchange;
    struct retry_backoff backoff;
    struct reply_request request; /* SEND, NOTIFY */
    int64_t started_ms, deadline_ms; /* monotonic */
    bool recording;            /* the disk thread has it */
    bool tried;                /* it may have reached the platform */
    bool behind, was_behind;   /* it waits for a reply to the same receiver; it did so, and does not again */
    struct receipt *receipt;   /* NOTIFY: whether it was shown by an earlier attempt is being looked for */
    bool looked;               /* it was */
    struct delegated *delegated; /* DELEGATE: its result is awaited */
    json_t *delegation;        /* what the platform answered to it; NULL: nothing yet */
    char *file_id;             /* of an acknowledgement, which nobody waits for */
    char problem[RETRY_REASON_SIZE];
};

static void transmit(struct service *service);
static void know_answer(struct service *service);

static void free_service(uv_handle_t *timer)
{
    struct service *service = (struct service *)timer;
    reply_request_free(&service->request);
    changes_free(service->changes);
    free(service->file_id);
    json_decref(service->delegation);
    free(service);
}

static void end(struct service *service)
{
    struct service **link = &service->workspace->services;
    while (*link != service)
        link = &(*link)->next;
    *link = service->next;
    exchange_cancel(&service->exchange);
    delegated_cancel(service->delegated);
    service->delegated = NULL;
    receipt_cancel(service->receipt);
    service->receipt = NULL;
    uv_close((uv_handle_t *)&service->timer, free_service);
}

static void end_if_idle(struct service *service)
{
    if (!service->recording)
        end(service);
}

/* Takes `value`. */
static void answer(struct service *service, char *value, size_t length)
{
    struct script_ask *ask = service->ask;
    service->ask = NULL;
    if (ask) {
        ask->value = value;
        ask->value_length = length;
        script_answer(ask);
    } else {
        free(value);
    }
    end_if_idle(service);
}

static void fail(struct service *service, const char *problem, const char *code)
{
    struct script_ask *ask = service->ask;
    service->ask = NULL;
    if (ask) {
        ask->problem = memory_copy_text(problem);
        ask->code = code;
        script_answer(ask);
    } else if (service->file_id) {
        log_debug(service->workspace->settings.id, "%s", problem);
    }
    end_if_idle(service);
}

static struct service *open_service(struct workspace *workspace, struct script_ask *ask, int64_t timeout_ms)
{
    struct service *service = memory_allocate(sizeof *service);
    service->workspace = workspace;
    service->ask = ask;
    service->backoff = (struct retry_backoff){.base_ms = 500, .cap_ms = BACKOFF_CAP_MS};
    service->started_ms = clock_monotonic_ms();
    service->deadline_ms = service->started_ms + timeout_ms;
    service->next = workspace->services;
    workspace->services = service;
    uv_timer_init(&workspace->host->network.loop, &service->timer);
    return service;
}

/* --- the store --- */

static void on_stored(void *context, char *value)
{
    struct service *service = context;
    service->recording = false;
    answer(service, value, value ? strlen(value) : 0);
}

static void ask_record(struct service *service)
{
    struct record *record = service->workspace->record;
    struct script_ask *ask = service->ask;
    service->recording = true;
    if (ask->kind == SCRIPT_ASK_GET)
        record_store_get(record, ask->key, on_stored, service);
    else if (ask->kind == SCRIPT_ASK_KEYS)
        record_store_keys(record, ask->key, ask->most, on_stored, service);
    else
        record_store_commit(record, ask->changes, on_stored, service);
}

/* --- messages to peers --- */

/* The question as the wire has it. false: it cannot be sent, and was answered so. */
static bool build_message(struct service *service)
{
    struct script_ask *ask = service->ask;
    char digest[UUID_TEXT_SIZE], random[UUID_TEXT_SIZE], problem[512];
    char *parts = ask->reply.parts ? json_dumps(ask->reply.parts, JSON_COMPACT) : NULL;
    char *content = memory_format("%s\n%s\n%s", ask->key ? ask->key : "", ask->reply.text ? ask->reply.text : "",
                                  parts ? parts : "");
    uuid_of_name(content, digest);
    uuid_random(random);
    char *purpose = ask->retries > 0 ? memory_format("/send/%u.%u/%s", ask->retries, ask->number, digest)
                                     : memory_format("/send/%u/%s", ask->number, digest);
    struct message origin = {.row_id = ask->row_id ? ask->row_id : random, .source_id = ask->key,
                             .context_id = ask->context_id, .hops = ask->hops};
    ask->reply.question = true;
    workspace_fit(service->workspace, &ask->reply);
    bool built = reply_build(&origin, &ask->reply, purpose, &service->request, problem, sizeof problem);
    free(parts);
    free(content);
    free(purpose);
    if (!built)
        fail(service, problem, "TOO_LARGE");
    return built;
}

/* {text, parts} of a peer's result or message; yours. */
static json_t *answer_object(const json_t *parts, const char *text)
{
    json_t *object = json_object();
    json_object_set_new(object, "text", jsontext_string(text ? text : "", text ? strlen(text) : 0));
    if (json_is_array(parts))
        json_object_set(object, "parts", (json_t *)parts);
    else
        json_object_set_new(object, "parts", json_array());
    return object;
}

/* Takes the object. */
static char *write_answer(json_t *object)
{
    char *written = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    return written;
}

static char *answer_text(const json_t *parts, const char *text)
{
    return write_answer(answer_object(parts, text));
}

static void set_text(json_t *object, const char *key, const char *text)
{
    if (text)
        json_object_set_new(object, key, jsontext_string(text, strlen(text)));
}

/* {text, parts, state, task_id, context_id}, and of a task under way {queued, id}. */
static char *result_text(const struct result *result, const char *question)
{
    json_t *object = answer_object(result->parts, result->text);
    set_text(object, "state", result->state);
    set_text(object, "task_id", result->task_id);
    set_text(object, "context_id", result->context_id);
    if (result->kind == RESULT_UNDER_WAY) {
        json_object_set_new(object, "queued", json_true());
        set_text(object, "id", question);
    }
    return write_answer(object);
}

static void on_answer_recorded(void *context, char *value)
{
    struct service *service = context;
    free(value);
    service->recording = false;
    if (!service->ask) {
        end(service);
        return;
    }
    struct script_ask *ask = service->ask;
    answer(service, memory_copy_text(ask->text), strlen(ask->text));
}

/* An answer is kept under the peer's id and the question's: nobody else can give it. Yours to free. */
static char *answer_key(const char *peer, const char *question)
{
    return memory_format("%s/%s", peer, question);
}

/* Kept first: the handler that runs again after a crash gets it from there. Takes the answer's text. */
static void keep_answer(struct service *service, char *text)
{
    free(service->ask->text);
    service->ask->text = text;
    service->recording = true;
    uv_timer_stop(&service->timer);
    char *key = answer_key(service->ask->key, service->request.id);
    record_answer_set(service->workspace->record, key, text, on_answer_recorded, service);
    free(key);
}

static void fail_task(struct service *service, const struct result *result)
{
    bool says = result->text && *result->text;
    char *problem = memory_format("the peer's task ended as %s%s%s", result->state, says ? ": " : " without a word",
                                  says ? result->text : "");
    fail(service, problem, "PEER");
    free(problem);
}

static void on_result(struct service *service, const struct exchange_answer *given)
{
    struct result result = {0};
    json_t *body = jsontext_read(given->body, given->body_length, NULL, NULL);
    const json_t *value = json_object_get(body, "result"), *error = json_object_get(body, "error");
    if (!value || (error && !json_is_null(error)))
        fail(service, given->verdict.reason, "PEER");
    else if (!result_read(value, &result))
        fail(service, "out of memory", "UNAVAILABLE");
    else if (result.kind == RESULT_FAILURE)
        fail_task(service, &result);
    else
        keep_answer(service, result_text(&result, service->request.id));
    result_free(&result);
    json_decref(body);
}

static void on_waited(uv_timer_t *timer)
{
    struct service *service = (struct service *)timer;
    char *queued = memory_format("{\"queued\":true,\"id\":\"%s\"}", service->request.id);
    answer(service, queued, strlen(queued));
}

static void await_reply(struct service *service)
{
    int64_t left = service->started_ms + service->ask->timeout_ms - clock_monotonic_ms();
    workspace_arm(&service->timer, on_waited, left > 0 ? left : 0);
}

/* --- tasks handed to peers --- */

static void answer_delegation(struct service *service)
{
    char *text = json_dumps(service->delegation, JSON_COMPACT);
    answer(service, text, strlen(text));
}

/* A peer that polls has not answered within the time. */
static void on_delegation_waited(uv_timer_t *timer)
{
    struct service *service = (struct service *)timer;
    json_object_set_new(service->delegation, "queued", json_true());
    answer_delegation(service);
}

static void on_delegated(enum delegated_state state, const char *text, void *context)
{
    struct service *service = context;
    delegated_cancel(service->delegated);
    service->delegated = NULL;
    if (state == DELEGATED_FAILED) {
        fail(service, text, "PEER");
    } else if (state == DELEGATED_COMPLETED) {
        json_object_set_new(service->delegation, "status", json_string("completed"));
        json_object_set_new(service->delegation, "text", jsontext_string(text, strlen(text)));
        answer_delegation(service);
    } else { /* service_take_answer: the task's message has the delegation's id */
        const char *id = json_string_value(json_object_get(service->delegation, "delegation_id"));
        service->request.id = memory_copy_text(id);
        json_object_set_new(service->delegation, "status", json_string("queued"));
        service->recording = true;
        know_answer(service);
    }
}

/* The platform has taken it. */
static void await_delegation(struct service *service, const struct exchange_answer *given)
{
    service->delegation = jsontext_read(given->body, given->body_length, NULL, NULL);
    const char *id = json_string_value(json_object_get(service->delegation, "delegation_id"));
    if (!id || service->ask->most == 0) {
        answer(service, memory_copy(given->body, given->body_length), given->body_length);
        return;
    }
    workspace_arm(&service->timer, on_delegation_waited, service->ask->most);
    service->delegated = delegated_look(service->workspace, id, on_delegated, service);
}

/* The reply's row has had its effect. */
static void finish_entry(struct workspace *workspace, struct inbox_entry *entry)
{
    log_info(workspace->settings.id, "message %s from %s: the answer to what a handler asked", entry->row_id,
             workspace_sender(entry));
    inbox_start(workspace->inbox, entry);
    inbox_post(workspace->inbox, entry);
    workspace_finish(workspace, entry, "answer");
}

/* The delegation with the peer's answer in it; takes that, yours to free. */
static char *delegation_text(struct service *service, char *answered)
{
    json_t *given = json_loads(answered, 0, NULL);
    json_object_set_new(service->delegation, "status", json_string("completed"));
    json_object_update(service->delegation, given);
    json_decref(given);
    free(answered);
    return json_dumps(service->delegation, JSON_COMPACT);
}

static void take(struct service *service, struct inbox_entry *entry)
{
    exchange_cancel(&service->exchange);
    const struct message *message = inbox_content(entry, service->workspace->settings.id);
    char *text = answer_text(message->parts, message->text);
    if (service->delegation)
        text = delegation_text(service, text);
    keep_answer(service, text);
    finish_entry(service->workspace, entry);
}

bool service_take_answer(struct workspace *workspace, struct inbox_entry *entry)
{
    const struct message *message = entry->message;
    if (!message->in_reply_to || !message->source_id)
        return false;
    for (struct service *service = workspace->services; service; service = service->next) {
        const struct script_ask *ask = service->ask;
        bool waits = ask && (ask->kind == SCRIPT_ASK_SEND || ask->kind == SCRIPT_ASK_DELEGATE);
        if (!waits || !service->request.id || service->recording ||
            strcmp(service->request.id, message->in_reply_to) != 0 || strcmp(ask->key, message->source_id) != 0)
            continue;
        take(service, entry);
        return true;
    }
    return false;
}

static void forget_it(void *context, char *value)
{
    (void)context;
    free(value);
}

void service_remember_answer(struct workspace *workspace, const struct message *message)
{
    if (!message->source_id || !uuid_valid(message->in_reply_to)) /* ours are */
        return;
    char *text = answer_text(message->parts, message->text), *key = answer_key(message->source_id, message->in_reply_to);
    record_answer_set(workspace->record, key, text, forget_it, NULL);
    free(key);
    free(text);
}

/* The answer may have come before the question: in an earlier run of the handler. */
static void send_or_take(struct service *service)
{
    struct inbox_entry *entry = inbox_find_reply(service->workspace->inbox, service->request.id, service->ask->key);
    if (entry)
        take(service, entry);
    else if (!service->delegation) /* of a delegation the peer has it already */
        transmit(service);
}

static void on_known_answer(void *context, char *value)
{
    struct service *service = context;
    service->recording = false;
    if (!service->ask) {
        free(value);
        end(service);
    } else if (value) {
        log_debug(service->workspace->settings.id, "message %s to %s: answered before this handler ran again",
                  service->request.id, service->ask->key);
        if (service->delegation)
            value = delegation_text(service, value);
        answer(service, value, strlen(value));
    } else {
        send_or_take(service);
    }
}

/* --- words to the canvas --- */

/* What a handler shows is marked by its place in the handler: an attempt that comes after shows it no more. The mark is a
 * digest of what was shown, which is how receipts are told apart (ledger_count_same). */
#define UNSURE "?" /* it may have been shown */

static void mark_shown(struct service *service, const char *mark, void (*then)(void *context, char *value))
{
    char *key = memory_format("notify/%s", service->request.id);
    service->recording = true;
    record_answer_set(service->workspace->record, key, mark, then, service);
    free(key);
}

static void on_shown_marked(void *context, char *value)
{
    struct service *service = context;
    free(value);
    service->recording = false;
    answer(service, memory_copy_text(""), 0);
}

static void shown(struct service *service)
{
    char digest[UUID_TEXT_SIZE];
    uuid_of_name(service->request.body, digest);
    if (service->ask->row_id)
        mark_shown(service, digest, on_shown_marked);
    else
        answer(service, memory_copy_text(""), 0);
}

static void forget_mark(void *context, char *value)
{
    (void)context;
    free(value);
}

/* Its answer will not be heard. */
static void mark_unsure(struct service *service)
{
    char *key = memory_format("notify/%s", service->request.id);
    record_answer_set(service->workspace->record, key, UNSURE, forget_mark, NULL);
    free(key);
}

static void on_unsure_marked(void *context, char *value)
{
    struct service *service = context;
    free(value);
    service->recording = false;
    fail(service, service->problem, "UNCONFIRMED");
}

/* It may have been shown, and there is nobody to ask now: the next attempt looks for it. */
static void show_unsure(struct service *service, const struct exchange_answer *given)
{
    snprintf(service->problem, sizeof service->problem, "%s", given->verdict.reason);
    if (service->ask->row_id)
        mark_shown(service, UNSURE, on_unsure_marked);
    else
        fail(service, service->problem, "UNCONFIRMED");
}

static void on_show_receipt(bool found, void *context)
{
    struct service *service = context;
    service->receipt = NULL;
    service->looked = true;
    if (found)
        shown(service);
    else
        transmit(service);
}

static void on_known_shown(void *context, char *value)
{
    struct service *service = context;
    struct workspace *workspace = service->workspace;
    service->recording = false;
    if (!service->ask) {
        free(value);
        end(service);
        return;
    }
    const struct inbox_entry *entry = inbox_find_running(workspace->inbox, service->ask->row_id);
    bool unsure = value ? strcmp(value, UNSURE) == 0 : entry && entry->suspect;
    if (value && !unsure) {
        log_debug(workspace->settings.id, "message %s: the canvas was told this by an earlier attempt", service->ask->row_id);
        answer(service, memory_copy_text(""), 0);
    } else if (unsure && entry) {
        service->receipt = receipt_look(workspace, entry, &service->request, on_show_receipt, service);
    } else {
        transmit(service);
    }
    free(value);
}

static void show(struct service *service)
{
    if (!service->ask->row_id) {
        transmit(service);
        return;
    }
    char *key = memory_format("notify/%s", service->request.id);
    service->recording = true;
    record_answer_get(service->workspace->record, key, on_known_shown, service);
    free(key);
}

/* --- calls to the platform --- */

static void on_try_again(uv_timer_t *timer)
{
    transmit((struct service *)timer);
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

static void again(struct service *service, const struct exchange_answer *given, int64_t floor_ms)
{
    int64_t wait = retry_next_delay(&service->backoff, floor_ms, host_random());
    snprintf(service->problem, sizeof service->problem, "%s", given->verdict.reason);
    if (clock_monotonic_ms() + wait >= service->deadline_ms)
        fail(service, service->problem, given->status ? "UNAVAILABLE" : "TIMEOUT");
    else
        workspace_arm(&service->timer, on_try_again, wait);
}

/* Not for a canvas message that may have been shown: it has no id that would make a second one the same. */
static bool may_repeat(const struct service *service, const struct exchange_answer *given)
{
    return !service->ask || service->ask->kind != SCRIPT_ASK_NOTIFY || !given->sent;
}

/* T1 stages nothing for a workspace that polls, and will not do so later either (contract §1.16). */
static bool has_no_uploads(const struct service *service, const struct exchange_answer *given)
{
    return service->ask && service->ask->kind == SCRIPT_ASK_UPLOAD && given->status == 503 &&
           strstr(given->verdict.reason, "workspace url not registered yet");
}

static void succeed(struct service *service, const struct exchange_answer *given)
{
    if (!service->ask) { /* an acknowledgement */
        end(service);
        return;
    }
    switch (service->ask->kind) {
    case SCRIPT_ASK_SEND:
        if (reply_read_answer(false, given->body, given->body_length) == REPLY_ANSWER_QUEUED)
            await_reply(service);
        else
            on_result(service, given);
        return;
    case SCRIPT_ASK_UPLOAD: {
        json_t *body = jsontext_read(given->body, given->body_length, NULL, NULL);
        char *files = json_dumps(json_object_get(body, "files"), JSON_COMPACT);
        json_decref(body);
        if (files)
            answer(service, files, strlen(files));
        else
            fail(service, "the platform's answer names no files", "REFUSED");
        return;
    }
    case SCRIPT_ASK_DELEGATE:
        await_delegation(service, given);
        return;
    case SCRIPT_ASK_NOTIFY:
        shown(service);
        return;
    default:
        answer(service, memory_copy(given->body, given->body_length), given->body_length);
    }
}

/* What /uploads/limits says, where the platform has it, and how long a message may be. */
static void answer_limits(struct service *service)
{
    struct workspace *workspace = service->workspace;
    json_t *limits = workspace->upload_limits ? json_loads(workspace->upload_limits, 0, NULL) : NULL;
    if (!json_is_object(limits)) {
        json_decref(limits);
        limits = json_object();
    }
    json_object_set_new(limits, "message_bytes", json_integer((json_int_t)workspace_message_maximum(workspace)));
    char *text = json_dumps(limits, JSON_COMPACT);
    json_decref(limits);
    answer(service, text, strlen(text));
}

/* One that does not say is not asked again and again. */
static void on_limits(struct service *service, const struct exchange_answer *given)
{
    struct workspace *workspace = service->workspace;
    free(workspace->upload_limits);
    workspace->upload_limits = given->verdict.class == RETRY_OK ? memory_copy_text(given->body) : NULL;
    workspace->upload_limits_ms = clock_monotonic_ms();
    answer_limits(service);
}

static void on_exchanged(const struct exchange_answer *given, void *context)
{
    struct service *service = context;
    service->tried = true;
    if (service->ask && service->ask->kind == SCRIPT_ASK_LIMITS) {
        on_limits(service, given);
        return;
    }
    switch (given->verdict.class) {
    case RETRY_OK:
    case RETRY_DELIVERED:
        succeed(service, given);
        return;
    case RETRY_UNCONFIRMED:
        if (service->ask && service->ask->kind == SCRIPT_ASK_NOTIFY)
            show_unsure(service, given);
        else
            fail(service, given->verdict.reason, "UNCONFIRMED");
        return;
    case RETRY_TRANSIENT:
        if (given->too_large)
            fail(service, given->verdict.reason, "TOO_LARGE");
        else if (has_no_uploads(service, given))
            fail(service, given->verdict.reason, "UNAVAILABLE");
        else if (may_repeat(service, given))
            again(service, given, given->verdict.floor_ms);
        else
            show_unsure(service, given);
        return;
    case RETRY_UNAUTHORIZED:
        token_refused(service->workspace, given);
        again(service, given, token_floor_ms(service->workspace));
        return;
    case RETRY_GONE:
    case RETRY_REFUSED:
    case RETRY_PERMANENT:
        fail(service, given->verdict.reason, given->verdict.from_peer ? "PEER" : code_of(given->status));
    }
}

static struct platform_request make_request(const struct service *service)
{
    const struct platform *platform = &service->workspace->platform;
    const char *token = service->workspace->token.current;
    const struct script_ask *ask = service->ask;
    if (!ask)
        return platform_ack(platform, token, service->file_id);
    switch (ask->kind) {
    case SCRIPT_ASK_SEND:
        return platform_send(platform, token, ask->key, service->request.body, service->request.body_length);
    case SCRIPT_ASK_NOTIFY:
        workspace_tells(service->workspace, service->request.body, service->request.body_length);
        return platform_say(platform, token, service->request.body, service->request.body_length);
    case SCRIPT_ASK_PEERS:
        return platform_peers(platform, token, ask->key);
    case SCRIPT_ASK_DELEGATE: {
        char key[UUID_TEXT_SIZE];
        char *name = memory_format("%s/delegate/%u.%u/%s/%s", ask->row_id ? ask->row_id : "", ask->retries, ask->number,
                                   ask->key, ask->text);
        uuid_of_name(name, key);
        free(name);
        return platform_delegate(platform, token, ask->key, ask->text, ask->text_length, ask->row_id ? key : NULL);
    }
    case SCRIPT_ASK_FETCH:
        return platform_fetch(platform, token, ask->key);
    case SCRIPT_ASK_LIMITS:
        return platform_limits(platform, token);
    case SCRIPT_ASK_UPLOAD:
        return platform_upload(platform, token, ask->key, ask->text, ask->text_length);
    default:
        return (struct platform_request){0};
    }
}

static bool goes_to(const struct inbox_entry *ahead, const void *receiver)
{
    const struct stored_reply *stored = ahead->context;
    if (!stored)
        return false;
    return stored->request.to_canvas ? !receiver : receiver && strcmp(stored->request.target, receiver) == 0;
}

/* The handler began while the reply to the message before was on its way. What it says to the same receiver should not
 * arrive in front of that; but the receiver may be away for hours, or work on the reply for minutes. */
static bool is_behind(const struct service *service)
{
    const struct script_ask *ask = service->ask;
    if (!ask || !ask->row_id || (ask->kind != SCRIPT_ASK_SEND && ask->kind != SCRIPT_ASK_NOTIFY))
        return false;
    const struct inbox_entry *entry = inbox_find_running(service->workspace->inbox, ask->row_id);
    return entry && inbox_any_reply_ahead(entry, goes_to, ask->kind == SCRIPT_ASK_SEND ? ask->key : NULL);
}

static void go_on(struct service *service)
{
    int64_t waited_ms = clock_monotonic_ms() - service->started_ms; /* it was not its own time */
    service->behind = false;
    service->was_behind = true;
    service->started_ms += waited_ms;
    service->deadline_ms += waited_ms;
    uv_timer_stop(&service->timer);
    transmit(service);
}

static void on_behind_long_enough(uv_timer_t *timer)
{
    go_on((struct service *)timer);
}

void services_go_on(struct workspace *workspace)
{
    struct service *next;
    for (struct service *service = workspace->services; service; service = next) {
        next = service->next;
        if (service->behind && !is_behind(service))
            go_on(service);
    }
}

static void transmit(struct service *service)
{
    struct workspace *workspace = service->workspace;
    int64_t now = clock_monotonic_ms(), left = service->deadline_ms - now;
    service->behind = !service->tried && !service->was_behind && is_behind(service);
    if (service->behind) {
        workspace_arm(&service->timer, on_behind_long_enough, BEHIND_MAXIMUM_MS);
        return;
    }
    int64_t quiet_until_ms = workspace->budget.quiet_until_ms;
    if (quiet_until_ms > now && quiet_until_ms < service->deadline_ms) {
        workspace_arm(&service->timer, on_try_again, quiet_until_ms - now);
        return;
    }
    struct platform_request request = make_request(service);
    if (!request.url) {
        fail(service, "the id is not one that the platform could have: its ids are UUIDs", "BAD_ID");
        return;
    }
    struct exchange_limits limits = {
        .timeout_ms = left > SEND_LEAST_MS ? left : SEND_LEAST_MS,
        .response_maximum = service->ask && service->ask->kind == SCRIPT_ASK_FETCH ? (size_t)service->ask->most : ANSWER_MAXIMUM,
        .fresh_connection = service->tried,
        .delivery_counts = true};
    exchange_start(&service->exchange, &workspace->budget, workspace->host->client, request, &limits, on_exchanged, service);
}

static void know_answer(struct service *service)
{
    char *key = answer_key(service->ask->key, service->request.id);
    record_answer_get(service->workspace->record, key, on_known_answer, service);
    free(key);
}

/* --- questions --- */

void service_ask(struct workspace *workspace, struct script_ask *ask)
{
    struct service *service = open_service(workspace, ask, ask->timeout_ms);
    if (workspace->state == WORKSPACE_CLOSED || !workspace->record) {
        fail(service, "the host stops", "STOPPED");
        return;
    }
    switch (ask->kind) {
    case SCRIPT_ASK_GET:
    case SCRIPT_ASK_KEYS:
    case SCRIPT_ASK_COMMIT:
        ask_record(service);
        return;
    case SCRIPT_ASK_SEND:
        if (!uuid_valid(ask->key)) {
            fail(service, "the id is not one that the platform could have: its ids are UUIDs", "BAD_ID");
        } else if (build_message(service)) {
            if (ask->timeout_ms < SEND_LEAST_MS)
                service->deadline_ms += SEND_LEAST_MS - ask->timeout_ms;
            service->recording = ask->may_be_known;
            if (ask->may_be_known)
                know_answer(service);
            else
                transmit(service);
        }
        return;
    case SCRIPT_ASK_NOTIFY:
        if (build_message(service))
            show(service);
        return;
    case SCRIPT_ASK_LIMITS:
        if (workspace->upload_limits_ms && clock_monotonic_ms() - workspace->upload_limits_ms < LIMITS_EVERY_MS)
            answer_limits(service);
        else
            transmit(service);
        return;
    case SCRIPT_ASK_DELEGATE:
        if (!uuid_valid(ask->key)) {
            fail(service, "the id is not one that the platform could have: its ids are UUIDs", "BAD_ID");
            return;
        } /* fall through */
    case SCRIPT_ASK_PEERS:
    case SCRIPT_ASK_FETCH:
    case SCRIPT_ASK_UPLOAD:
        transmit(service);
        return;
    }
}

void service_acknowledge(struct workspace *workspace, const char *file_id)
{
    struct service *service = open_service(workspace, NULL, ACK_TIMEOUT_MS);
    service->file_id = memory_copy_text(file_id);
    transmit(service);
}

void service_interrupt(struct workspace *workspace)
{
    struct service *next;
    for (struct service *service = workspace->services; service; service = next) {
        next = service->next;
        if (service->ask && service->ask->kind == SCRIPT_ASK_NOTIFY && service->ask->row_id && exchange_busy(&service->exchange))
            mark_unsure(service);
        if (service->ask && service->recording) { /* the disk thread may still read them */
            service->changes = service->ask->changes;
            service->ask->changes = NULL;
        }
        if (service->ask)
            fail(service, "the host stops", "STOPPED");
        else if (!service->recording)
            end(service);
    }
}

void service_close(struct workspace *workspace)
{
    service_interrupt(workspace);
    while (workspace->services)
        end(workspace->services);
}
