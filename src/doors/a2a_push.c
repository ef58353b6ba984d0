/* Messages that the platform pushes (contract §5): JSON-RPC of A2A 0.3, each answered in the form
 * that the platform reads, with the reply as a Message. One that takes longer than the platform
 * waits is answered with a text that says so, and its reply goes to the canvas. If the connection
 * breaks, the platform sends the message again, and gets the answer then. */
#include "doors/a2a_private.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/timer.h"
#include "doors/push_files.h"
#include "wire/jsontext.h"
#include "wire/served.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LATE_WORDS "This takes longer; the answer follows."
#define AGAIN_MS 200
#define STATUS_PATH "/internal/a2a-auth-status"
#define INGEST_PATH "/internal/chat/uploads/ingest"
#define READ_PATH "/internal/file/read"

static bool ends_with(const char *path, const char *end)
{
    size_t length = strlen(path), more = strlen(end);
    return length >= more && strcmp(path + length - more, end) == 0;
}

/* What operators ask before they let the platform rely on the secret (a2a_inbound_gate of its
 * runtime). */
static void answer_status(const struct a2a_push *push, struct http_request *http)
{
    bool has = push->has_secret(push->context);
    struct http_header type = {"Content-Type", "application/json"};
    char body[300];
    int length = snprintf(body, sizeof body,
                          "{\"require_auth\":%s,\"inbound_secret_present\":%s,"
                          "\"ready_to_enforce\":%s,\"runtime_version\":\"molecule/%s\"}",
                          push->unauthenticated ? "false" : "true", has ? "true" : "false",
                          has ? "true" : "false", MOLECULE_VERSION);
    http_request_answer(http, &(struct http_answer){.status = 200,
                                                    .headers = &type,
                                                    .header_count = 1,
                                                    .body = body,
                                                    .length = (size_t)length});
}

bool a2a_push_head(const struct a2a_agent *agent, struct http_request *http, const char *path)
{
    const struct a2a_push *push = agent->push;
    const char *method = http_request_method(http);
    bool asks_status = ends_with(path, STATUS_PATH), takes = ends_with(path, INGEST_PATH),
         gives = ends_with(path, READ_PATH);
    bool known = push->knows(push->context, http_request_header(http, "Authorization"));
    bool internal = asks_status || takes || gives; /* with the secret on every version */
    if (!known && (internal || !push->unauthenticated)) {
        a2a_answer_plainly(http, agent, 401, "WWW-Authenticate", "Bearer realm=\"molecule\"",
                           "unauthorized");
        return false;
    }
    if (asks_status && strcmp(method, "GET") == 0) {
        answer_status(push, http);
        return false;
    }
    const char *allowed = asks_status || gives ? "GET" : "POST";
    if (strcmp(method, allowed) != 0) {
        a2a_answer_plainly(http, agent, 405, "Allow", allowed, "this path has no such method");
        return false;
    }
    return true;
}

void a2a_push_postpone(struct a2a_exchange *exchange)
{
    struct http_request *http = exchange->http;
    exchange->http = NULL;
    http_request_reset(http);
    a2a_exchange_end(exchange);
}

/* --- the answer --- */

static void answer_ended(struct a2a_exchange *exchange, const json_t *record)
{
    const json_t *task = task_of_record(record);
    const json_t *status = json_object_get(json_object_get(task, "status"), "message");
    enum task_state state = task_state(task);
    size_t i, j;
    json_t *artifact, *part, *parts = json_array();
    if (state == TASK_FAILED) {
        const char *words = json_string_value(
            json_object_get(json_array_get(json_object_get(status, "parts"), 0), "text"));
        a2a_refuse(exchange, A2A_INTERNAL, NULL, "%s", words ? words : "the agent failed");
        json_decref(parts);
        return;
    }
    json_array_foreach (json_object_get(task, "artifacts"), i, artifact)
        json_array_foreach (json_object_get(artifact, "parts"), j, part)
            json_array_append(parts, part);
    if (json_array_size(parts) == 0 && status)
        json_array_extend(parts, json_object_get(status, "parts"));
    const json_t *first = json_array_get(json_object_get(task, "history"), 0);
    char *id = memory_join(json_string_value(json_object_get(task, "id")), "/reply");
    json_t *result = json_array_size(parts) > 0
                         ? json_pack("{s:{s:s, s:s, s:O}}", "message", "messageId", id, "role",
                                     "ROLE_AGENT", "parts", parts)
                         : json_pack("{s:{s:O, s:O, s:O}}", "task", "id",
                                     json_object_get(task, "id"), "contextId",
                                     json_object_get(first, "contextId"), "status",
                                     json_object_get(task, "status"));
    a2a_answer(exchange, result);
    json_decref(result);
    json_decref(parts);
    free(id);
}

static void answer_late(struct a2a_exchange *exchange, const char *task_id)
{
    char *id = memory_join(task_id, "/late");
    json_t *result = json_pack("{s:{s:s, s:s, s:[{s:s}]}}", "message", "messageId", id, "role",
                               "ROLE_AGENT", "parts", "text", LATE_WORDS);
    a2a_answer(exchange, result);
    json_decref(result);
    free(id);
}

static void on_event(struct task_watcher *watcher, const json_t *response, const json_t *record,
                     bool last)
{
    struct a2a_exchange *exchange = (struct a2a_exchange *)watcher;
    if (!response)
        a2a_push_postpone(exchange);
    else if (last && !exchange->looking && json_is_true(json_object_get(record, "late")))
        answer_late(exchange,
                    json_string_value(json_object_get(task_of_record(record), "id"))); /* its reply
                                                                                          went to
                                                                                          the canvas
                                                                                        */
    else if (last && !exchange->looking)
        answer_ended(exchange, record);
}

static void on_late(void *context)
{
    struct a2a_exchange *exchange = context;
    exchange->looking = false;
    if (!exchange->http) {
        a2a_exchange_end(exchange);
        return;
    }
    answer_late(exchange, exchange->late_id);
}

/* The platform will not wait much longer. */
static void on_patience(uv_timer_t *timer)
{
    struct a2a_exchange *exchange = timer->data;
    struct a2a_task *task = exchange->watcher.task;
    if (!exchange->http || !task)
        return;
    free(exchange->late_id);
    exchange->late_id = memory_copy_text(task->id);
    exchange->looking = tasks_make_late(exchange->agent->tasks, task, on_late, exchange);
    if (!exchange->looking) /* it is about to begin, or to end */
        timer_arm(timer, on_patience, AGAIN_MS);
}

/* --- the request --- */

static void set_patience(struct a2a_exchange *exchange, int64_t patience_ms)
{
    if (patience_ms <= 0)
        return;
    exchange->patience = memory_allocate(sizeof *exchange->patience);
    uv_timer_init(exchange->server->loop, exchange->patience);
    uv_unref((uv_handle_t *)exchange->patience);
    exchange->patience->data = exchange;
    timer_arm(exchange->patience, on_patience, patience_ms);
}

static void begin(struct a2a_exchange *exchange, json_t *request, const char *body, size_t length)
{
    struct a2a_agent *agent = exchange->agent;
    char *message_id = served_pushed_message_id(request, body, length);
    struct a2a_task *task = tasks_begin_pushed(agent->tasks, message_id, body, length,
                                               &exchange->problem);
    free(message_id);
    if (!task) {
        a2a_push_postpone(exchange);
        return;
    }
    set_patience(exchange, agent->push->answer_within_ms);
    exchange->watcher.event = on_event;
    tasks_watch(task, &exchange->watcher);
}

void a2a_push_operate(struct a2a_exchange *exchange, const char *body, size_t length)
{
    bool repaired = false;
    const char *path = http_request_path(exchange->http);
    if (ends_with(path, INGEST_PATH)) {
        push_files_take(exchange);
        return;
    }
    if (ends_with(path, READ_PATH)) {
        push_files_give(exchange);
        return;
    }
    json_t *request = jsontext_read(body, length, &repaired, NULL);
    exchange->request.version = A2A_0_3;
    exchange->request.binding = A2A_JSON_RPC;
    exchange->request.operation = A2A_SEND;
    exchange->request.id = json_incref(json_object_get(request, "id"));
    if (!json_is_object(request)) {
        a2a_refuse(exchange, A2A_PARSE, NULL, "the request is not a JSON object");
    } else if (repaired) { /* the bytes stand in a row, which must be JSON */
        char *sound = jsontext_print(request);
        begin(exchange, request, sound, strlen(sound));
        free(sound);
    } else {
        begin(exchange, request, body, length);
    }
    json_decref(request);
}
