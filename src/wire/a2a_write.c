/* Answers: results, problems, events of streams, bodies of webhooks. */
#include "wire/a2a_private.h"

#include "base/memory.h"
#include "wire/jsontext.h"

#include <stdlib.h>
#include <string.h>

#define ANSWER_MAXIMUM (256 * 1024 * 1024)
#define JSON "application/json"
#define TYPED "application/a2a+json"
#define EVENTS "text/event-stream"

static const struct {
    int code, status;
    const char *rpc, *reason;
} errors[] = {
#define X(name, code, status, rpc, reason) {code, status, rpc, reason},
    A2A_ERRORS(X)
#undef X
};

static bool add(struct buffer *buffer, const json_t *value)
{
    size_t needed;
    return jsontext_write(value, buffer, &needed);
}

/* [1.0 §9.5, §11.6] ErrorInfo for the errors of A2A, and which parameter was wrong. NULL: neither,
 * or no memory. */
static json_t *details(const struct a2a_problem *problem)
{
    json_t *info = NULL, *metadata = json_object(), *list = json_array();
    const char *reason = errors[problem->error].reason;
    if (problem->task_id[0])
        json_object_set_new(metadata, "taskId", json_string(problem->task_id));
    if (*reason)
        info = json_pack("{s:s, s:s, s:s, s:O}", "@type",
                         "type.googleapis.com/google.rpc.ErrorInfo", "reason", reason, "domain",
                         A2A_DOMAIN, "metadata", metadata);
    else if (problem->error == A2A_INVALID_PARAMS && problem->field[0])
        info = json_pack("{s:s, s:[{s:s, s:s}]}", "@type",
                         "type.googleapis.com/google.rpc.BadRequest", "fieldViolations", "field",
                         problem->field, "description", problem->text);
    if (info && json_object_size(metadata) == 0)
        json_object_del(info, "metadata");
    if (info)
        json_array_append_new(list, info);
    json_decref(metadata);
    if (json_array_size(list) > 0)
        return list;
    json_decref(list);
    return NULL;
}

/* The `error` of JSON-RPC; 0.3 knows no form for its data. */
static json_t *rpc_error(const struct a2a_request *request, const struct a2a_problem *problem)
{
    json_t *data = request->version == A2A_1_0 ? details(problem) : NULL;
    json_t *error = json_pack("{s:i, s:s}", "code", errors[problem->error].code, "message",
                              problem->text);
    if (data && error)
        json_object_set(error, "data", data);
    json_decref(data);
    return error;
}

/* [1.0 §11.6]; 0.3 leaves the form open, so it is the same. */
static json_t *http_error(const struct a2a_problem *problem)
{
    json_t *list = details(problem);
    json_t *error = json_pack("{s:{s:i, s:s, s:s}}", "error", "code", errors[problem->error].status,
                              "status", errors[problem->error].rpc, "message", problem->text);
    if (list && error)
        json_object_set(json_object_get(error, "error"), "details", list);
    json_decref(list);
    return error;
}

/* Appends an answer: the value, in JSON-RPC's frame as its member `name`. */
static bool frame(struct buffer *buffer, const struct a2a_request *request, const char *name,
                  const json_t *value)
{
    if (request->binding == A2A_HTTP_JSON)
        return add(buffer, value);
    if (!buffer_append_text(buffer, "{\"jsonrpc\":\"2.0\",\"id\":") ||
        !(request->id ? add(buffer, request->id) : buffer_append_text(buffer, "null")))
        return false;
    return buffer_append_text(buffer, ",\"") && buffer_append_text(buffer, name) &&
           buffer_append_text(buffer, "\":") && add(buffer, value) &&
           buffer_append_char(buffer, '}');
}

static struct a2a_text finish(struct buffer *buffer, int status, const char *content_type)
{
    struct a2a_text text = {
        .length = buffer->length, .status = status, .content_type = content_type};
    text.bytes = buffer_take(buffer);
    return text;
}

/* What cannot be written is answered with this; it needs no memory of jansson. */
static void write_failure(struct buffer *buffer, const struct a2a_request *request)
{
    buffer_clear(buffer);
    if (request->binding == A2A_HTTP_JSON) {
        buffer_append_text(buffer, "{\"error\":{\"code\":500,\"status\":\"INTERNAL\","
                                   "\"message\":\"the answer cannot be written\"}}");
        return;
    }
    buffer_append_text(buffer, "{\"jsonrpc\":\"2.0\",\"id\":");
    if (!request->id || !add(buffer, request->id))
        buffer_append_text(buffer, "null");
    buffer_append_text(
        buffer, ",\"error\":{\"code\":-32603,\"message\":\"the answer cannot be written\"}}");
}

/* JSON-RPC answers with HTTP 200 whatever they say, but for what a proxy or a plain HTTP client
 * should understand too: come back later. */
static int status_of(const struct a2a_request *request, enum a2a_error error)
{
    bool later = error == A2A_RATE_LIMITED || error == A2A_UNAVAILABLE;
    return request->binding == A2A_HTTP_JSON || later ? errors[error].status : 200;
}

struct a2a_text a2a_write_problem(const struct a2a_request *request,
                                  const struct a2a_problem *problem)
{
    struct buffer buffer;
    buffer_init(&buffer, ANSWER_MAXIMUM);
    json_t *error = request->binding == A2A_HTTP_JSON ? http_error(problem)
                                                      : rpc_error(request, problem);
    if (!error || !frame(&buffer, request, "error", error))
        write_failure(&buffer, request);
    json_decref(error);
    return finish(&buffer, status_of(request, problem->error), JSON);
}

struct a2a_text a2a_write_result(const struct a2a_request *request, const json_t *result)
{
    struct buffer buffer;
    buffer_init(&buffer, ANSWER_MAXIMUM);
    json_t *old = request->version == A2A_0_3 ? a2a_v03_result(request->operation, result) : NULL;
    const json_t *value = request->version == A2A_0_3 ? old : result;
    bool written = value && frame(&buffer, request, "result", value);
    json_decref(old);
    if (!written) {
        write_failure(&buffer, request);
        return finish(&buffer, status_of(request, A2A_INTERNAL), JSON);
    }
    bool typed = request->binding == A2A_HTTP_JSON && request->typed;
    return finish(&buffer, 200, typed ? TYPED : JSON);
}

struct a2a_text a2a_write_event(const struct a2a_request *request, const json_t *response,
                                bool last)
{
    struct buffer buffer;
    buffer_init(&buffer, ANSWER_MAXIMUM);
    json_t *old = request->version == A2A_0_3 ? a2a_v03_event(response, last) : NULL;
    const json_t *value = request->version == A2A_0_3 ? old : response;
    buffer_append_text(&buffer, "data: ");
    bool written = value && frame(&buffer, request, "result", value);
    json_decref(old);
    if (!written) {
        static const struct a2a_problem problem = {.error = A2A_INTERNAL,
                                                   .text = "the event cannot be written"};
        buffer_free(&buffer);
        return a2a_write_stream_problem(request, &problem);
    }
    buffer_append_text(&buffer, "\n\n");
    return finish(&buffer, 200, EVENTS);
}

/* The SDKs of 1.0 tell such an event by its SSE name, and read over it under any other in
 * HTTP+JSON. */
struct a2a_text a2a_write_stream_problem(const struct a2a_request *request,
                                         const struct a2a_problem *problem)
{
    struct buffer buffer;
    struct a2a_text text = a2a_write_problem(request, problem);
    buffer_init(&buffer, ANSWER_MAXIMUM);
    buffer_append_text(&buffer, request->version == A2A_1_0 ? "event: error\ndata: " : "data: ");
    buffer_append(&buffer, text.bytes, text.length);
    buffer_append_text(&buffer, "\n\n");
    free(text.bytes);
    return finish(&buffer, 200, EVENTS);
}

/* [1.0 §4.3.3]; in 0.3 it is the task [0.3 §9.5]. */
struct a2a_text a2a_write_notification(enum a2a_version version, const json_t *response,
                                       const json_t *task)
{
    struct buffer buffer;
    buffer_init(&buffer, ANSWER_MAXIMUM);
    json_t *old = version == A2A_0_3 ? a2a_v03_task(task) : NULL;
    const json_t *value = version == A2A_0_3 ? old : response;
    if (!value || !add(&buffer, value)) {
        buffer_clear(&buffer);
        buffer_append_text(&buffer, "{}");
    }
    json_decref(old);
    return finish(&buffer, 200, version == A2A_0_3 ? JSON : TYPED);
}
