/* What peers answer to messages and tasks from handlers: at once, or by a later message, which may
 * come before the handler asks again after a crash. */
#include "messages/host_call.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/timer.h"
#include "base/uuid.h"
#include "wire/jsontext.h"
#include "wire/result.h"
#include "wire/served.h"

#include <stdlib.h>
#include <string.h>

/* What the message's id is made of, from its place in the handler and its content. */
static char *purpose_of(const struct script_ask *ask)
{
    char digest[UUID_TEXT_SIZE];
    char *parts = ask->reply.parts ? jsontext_print(ask->reply.parts) : NULL;
    char *content = memory_format("%s\n%s\n%s", ask->key ? ask->key : "",
                                  ask->reply.text ? ask->reply.text : "", parts ? parts : "");
    uuid_of_name(content, digest);
    char *purpose = ask->retries > 0
                        ? memory_format("/send/%u.%u/%s", ask->retries, ask->number, digest)
                        : memory_format("/send/%u/%s", ask->number, digest);
    if (ask->branch) {
        char *of_branch = memory_join("/", ask->branch, purpose);
        free(purpose);
        purpose = of_branch;
    }
    free(parts);
    free(content);
    return purpose;
}

/* The message as the wire has it. false: it cannot be sent, and was answered so. */
bool host_call_build_message(struct host_call *call)
{
    struct script_ask *ask = call->ask;
    char random[UUID_TEXT_SIZE], problem[512];
    uuid_random(random);
    const char *of_question = ask->question.purpose;
    char *purpose = of_question ? memory_copy_text(of_question) : purpose_of(ask);
    struct message origin = {.row_id = ask->row_id ? ask->row_id : random,
                             .source_id = ask->key,
                             .context_id = ask->context_id,
                             .message_id = ask->question.reply_to,
                             .hops = of_question ? (unsigned)ask->question.hops
                                                 : (unsigned)ask->hops};
    char traceparent[TRACE_PARENT_SIZE];
    trace_write(&ask->trace.context, traceparent);
    ask->reply.traceparent = traceparent;
    ask->reply.question = !ask->question.reply_to;
    link_fit_reply(call->calls->link, &ask->reply);
    bool built = reply_build(&origin, &ask->reply, purpose, &call->request, problem,
                             sizeof problem);
    ask->reply.traceparent = NULL;
    free(purpose);
    if (!built)
        host_call_fail(call, problem, "TOO_LARGE");
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
    char *written = jsontext_print(object);
    json_decref(object);
    return written;
}

static char *answer_text(const struct message *message)
{
    json_t *parts = message_parts(message);
    char *text = write_answer(answer_object(parts, message->text));
    json_decref(parts);
    return text;
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
    struct host_call *call = context;
    free(value);
    call->recording = false;
    if (!call->ask) {
        host_call_end(call);
        return;
    }
    struct script_ask *ask = call->ask;
    host_call_answer(call, memory_copy_text(ask->text), strlen(ask->text));
}

/* An answer is kept under the peer's id and the question's: nobody else can give it. Yours to free.
 */
static char *answer_key(const char *peer, const char *question)
{
    return memory_format("%s/%s", peer, question);
}

/* Who sends what the platform pushes is not known: there the question alone must do, whose id is a
 * UUID that only the peer has. */
static char *answer_key_of(const struct host_call *call)
{
    return answer_key(call->calls->link->pushed ? "" : call->ask->key, call->request.id);
}

/* Kept first: the handler that runs again after a crash gets it from there. Takes the answer's
 * text. */
static void keep_answer(struct host_call *call, char *text)
{
    free(call->ask->text);
    call->ask->text = text;
    call->recording = true;
    uv_timer_stop(&call->timer);
    char *key = answer_key_of(call);
    journal_answer_set(call->calls->journal, key, text, on_answer_recorded, call);
    free(key);
}

static void fail_task(struct host_call *call, const struct result *result)
{
    bool says = result->text && *result->text;
    char *problem = memory_format("the peer's task ended as %s%s%s", result->state,
                                  says ? ": " : " without a word", says ? result->text : "");
    host_call_fail(call, problem, "PEER");
    free(problem);
}

void host_call_take_result(struct host_call *call, const struct call_answer *given)
{
    struct result result = {0};
    json_t *body = jsontext_read(given->body, given->body_length, NULL, NULL);
    const json_t *value = json_object_get(body, "result"), *error = json_object_get(body, "error");
    if (!value || (error && !json_is_null(error)))
        host_call_fail(call, given->verdict.reason, "PEER");
    else if (!result_read(value, &result))
        host_call_fail(call, "out of memory", "UNAVAILABLE");
    else if (result.kind == RESULT_FAILURE)
        fail_task(call, &result);
    else
        keep_answer(call, result_text(&result, call->request.id));
    result_free(&result);
    json_decref(body);
}

static void on_waited(uv_timer_t *timer)
{
    struct host_call *call = (struct host_call *)timer;
    char *queued = memory_format("{\"queued\":true,\"id\":\"%s\"}", call->request.id);
    host_call_answer(call, queued, strlen(queued));
}

void host_call_await_reply(struct host_call *call)
{
    int64_t left = call->started_ms + call->ask->timeout_ms - clock_monotonic_ms();
    timer_arm(&call->timer, on_waited, left > 0 ? left : 0);
}

/* --- tasks handed to peers --- */

static void answer_delegation(struct host_call *call)
{
    char *text = jsontext_print(call->delegation);
    host_call_answer(call, text, strlen(text));
}

/* A peer that polls has not answered in time. */
static void on_delegation_waited(uv_timer_t *timer)
{
    struct host_call *call = (struct host_call *)timer;
    json_object_set_new(call->delegation, "queued", json_true());
    answer_delegation(call);
}

static void on_delegated(enum delegated_state state, const char *text, void *context)
{
    struct host_call *call = context;
    delegated_cancel(call->delegated);
    call->delegated = NULL;
    if (state == DELEGATED_FAILED) {
        host_call_fail(call, text, "PEER");
    } else if (state == DELEGATED_COMPLETED) {
        json_object_set_new(call->delegation, "status", json_string("completed"));
        json_object_set_new(call->delegation, "text", jsontext_string(text, strlen(text)));
        answer_delegation(call);
    } else { /* host_calls_take_answer: the task's message has the delegation's id */
        const char *id = json_string_value(json_object_get(call->delegation, "delegation_id"));
        call->request.id = memory_copy_text(id);
        json_object_set_new(call->delegation, "status", json_string("queued"));
        call->recording = true;
        host_call_know_answer(call);
    }
}

/* The platform has accepted it. */
void host_call_await_delegation(struct host_call *call, const struct call_answer *given)
{
    call->delegation = jsontext_read(given->body, given->body_length, NULL, NULL);
    const char *id = json_string_value(json_object_get(call->delegation, "delegation_id"));
    if (!id || call->ask->most == 0) {
        host_call_answer(call, memory_copy(given->body, given->body_length), given->body_length);
        return;
    }
    timer_arm(&call->timer, on_delegation_waited, call->ask->most);
    call->delegated = delegated_look(call->calls->link, id, on_delegated, call);
}

/* The delegation with the peer's answer in it; takes that, yours to free. */
static char *delegation_text(struct host_call *call, char *answered)
{
    json_t *given = json_loads(answered, 0, NULL);
    json_object_set_new(call->delegation, "status", json_string("completed"));
    json_object_update(call->delegation, given);
    json_decref(given);
    free(answered);
    return jsontext_print(call->delegation);
}

static void take(struct host_call *call, struct inbox_entry *entry)
{
    struct host_calls *calls = call->calls;
    call_cancel(&call->request_call);
    const struct message *message = inbox_content(entry, call->calls->link->options->id);
    char *text = answer_text(message);
    if (call->delegation)
        text = delegation_text(call, text);
    keep_answer(call, text);
    calls->answered(calls->context, entry); /* its row has had its effect */
}

static bool is_pushed(const struct message *message)
{
    return message->served && served_pushed(message);
}

bool host_calls_take_answer(struct host_calls *calls, struct inbox_entry *entry)
{
    const struct message *message = entry->message;
    bool pushed = is_pushed(message);
    if (!message->in_reply_to || (!message->source_id && !pushed))
        return false;
    for (struct host_call *call = calls->first; call; call = call->next) {
        const struct script_ask *ask = call->ask;
        /* what answers a question of ctx.ask is recognized by itself (questions.h) */
        bool waits = ask && !ask->question.purpose &&
                     (ask->kind == SCRIPT_ASK_SEND || ask->kind == SCRIPT_ASK_DELEGATE);
        if (!waits || !call->request.id || call->recording ||
            strcmp(call->request.id, message->in_reply_to) != 0 ||
            (!pushed && strcmp(ask->key, message->source_id) != 0))
            continue;
        take(call, entry);
        return true;
    }
    return false;
}

static void forget_it(void *context, char *value)
{
    (void)context;
    free(value);
}

void host_calls_remember_answer(struct host_calls *calls, const struct message *message)
{
    const char *source = is_pushed(message) ? "" : message->source_id;
    if (!source || !uuid_valid(message->in_reply_to)) /* ours are */
        return;
    char *text = answer_text(message), *key = answer_key(source, message->in_reply_to);
    journal_answer_set(calls->journal, key, text, forget_it, NULL);
    free(key);
    free(text);
}

/* The answer may have come before the question: in an earlier run of the handler. */
static void send_or_take(struct host_call *call)
{
    struct inbox_entry *entry = call->ask->question.purpose
                                    ? NULL
                                    : inbox_find_reply(call->calls->inbox, call->request.id,
                                                       call->ask->key);
    if (entry)
        take(call, entry);
    else if (!call->delegation) /* the peer already has the delegation */
        host_call_transmit(call);
}

static void on_known_answer(void *context, char *value)
{
    struct host_call *call = context;
    call->recording = false;
    if (!call->ask) {
        free(value);
        host_call_end(call);
    } else if (value) {
        call->calls->counts->repeats_avoided++;
        log_debug(LOG_CALL_REPEATED, call->calls->link->options->id,
                  "message %s to %s: answered before this handler ran again", call->request.id,
                  call->ask->key);
        if (call->delegation)
            value = delegation_text(call, value);
        host_call_answer(call, value, strlen(value));
    } else {
        send_or_take(call);
    }
}

void host_call_know_answer(struct host_call *call)
{
    char *key = answer_key_of(call);
    journal_answer_get(call->calls->journal, key, on_known_answer, call);
    free(key);
}
