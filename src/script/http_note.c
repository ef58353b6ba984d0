#include "script/http_note.h"

#include "base/clock.h"
#include "base/memory.h"
#include "script/call_words.h"
#include "script/calls.h"
#include "script/handler_run.h"
#include "script/playback.h"
#include "script/script_said.h"
#include "script/vm.h"
#include "wire/jsontext.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static json_t *question_of(const struct http_call *call, size_t body_length)
{
    return calls_http(call->method, call->url, call->body, body_length);
}

void http_note_asked(struct http_call *call, size_t body_length)
{
    const struct handler *handler = call->vm->running;
    call->unnoted = true;
    if (handler && handler->calls)
        call->noted = calls_asked(call->vm, question_of(call, body_length));
    if (call->noted && call->streaming)
        buffer_init(&call->seen, CALLS_SEEN_MAXIMUM);
}

void http_note_piece(struct http_call *call, const char *bytes, size_t length)
{
    if (!call->noted)
        return;
    size_t room = call->seen.maximum - call->seen.length;
    buffer_append(&call->seen, bytes, length < room ? length : room);
    call->seen_bytes += length;
}

/* The query may hold a key. */
static char *describe(const struct http_call *call, long long took)
{
    int length = (int)strcspn(call->url, "?#");
    char *text = call->error ? memory_format("%s %.*s: %s (%lld ms)", call->method, length,
                                             call->url, call->error, took)
                             : memory_format("%s %.*s: %d (%lld ms)", call->method, length,
                                             call->url, call->status, took);
    char *shown = call_words_hide(text);
    free(text);
    return shown;
}

static json_t *headers_of(const struct http_call *call)
{
    json_t *headers = json_array();
    for (size_t at = 0; at < call->head.length;) {
        const char *name = call->head.data + at, *value = name + strlen(name) + 1;
        bool secret = call_words_secret(name, strlen(name));
        json_array_append_new(headers, json_pack("[o, o]", jsontext_string(name, strlen(name)),
                                                 secret ? json_string("[hidden]")
                                                        : jsontext_string(value, strlen(value))));
        at += strlen(name) + strlen(value) + 2;
    }
    return headers;
}

static void set_result(const struct http_call *call, const struct calls_result *result, bool closed)
{
    bool whole = !call->streaming;
    const struct buffer *body = whole ? &call->pieces : &call->seen;
    bool has_body = !call->error || !whole ||
                    (call->pieces.length > 0 && strcmp(call->code, "TOO_LARGE") != 0);
    if (call->error) {
        calls_set_text(result, "error", call->error);
        calls_set(result, "code", json_string(call->code));
    }
    if (closed)
        calls_set(result, "closed", json_true());
    if (!has_body)
        return;
    calls_set(result, "status", json_integer(call->status));
    calls_set(result, "headers", headers_of(call));
    calls_set_bytes(result, "body", body->length ? body->data : "", body->length,
                    whole ? body->length : call->seen_bytes);
}

/* The query may hold a key. */
static void trace(const struct http_call *call, int64_t took_ms)
{
    char *plain = memory_copy(call->url, strcspn(call->url, "?#"));
    char *url = call_words_hide(plain);
    trace_record(&(struct trace_span){
        .context = &call->trace.context,
        .parent = call->trace.parent,
        .kind = TRACE_CLIENT,
        .name = call->method,
        .took_ms = took_ms,
        .problem = call->error           ? call->code
                   : call->status >= 400 ? "an error status"
                                         : NULL,
        .values = {{TRACE_METHOD, .text = call->method},
                   {TRACE_URL, .text = url},
                   {TRACE_STATUS, .number = call->status}},
        .value_count = call->status > 0 ? 3 : 2,
    });
    free(url);
    free(plain);
}

void http_note_end(struct http_call *call, struct handler *handler, bool closed)
{
    if (!call->unnoted || !handler)
        return;
    call->unnoted = false;
    int64_t took_ms = clock_monotonic_ms() - call->started_ms;
    struct calls_result result = calls_answered(handler, call->noted);
    if (result.json)
        set_result(call, &result, closed);
    trace(call, took_ms);
    char *text = describe(call, took_ms);
    script_did(handler, "molecule.http", text, took_ms, calls_end(&result, took_ms));
    free(text);
    buffer_free(&call->seen);
}

/* --- from a recording --- */

static void take_headers(struct http_call *call, const json_t *headers)
{
    size_t index;
    const json_t *header;
    json_array_foreach (headers, index, header) {
        const char *name = json_string_value(json_array_get(header, 0)),
                   *value = json_string_value(json_array_get(header, 1));
        if (!name || !value)
            continue;
        buffer_append(&call->head, name, strlen(name) + 1);
        buffer_append(&call->head, value, strlen(value) + 1);
    }
}

static const char *code_of(const char *code)
{
    static const char *const known[] = {"TIMEOUT",   "RESOLVE",     "CONNECT",   "TLS",
                                        "TOO_LARGE", "URL",         "REDIRECTS", "FORBIDDEN",
                                        "NETWORK",   "NOT_RECORDED"};
    for (size_t i = 0; code && i < sizeof known / sizeof *known; i++)
        if (strcmp(code, known[i]) == 0)
            return known[i];
    return "NETWORK";
}

static void take_result(struct http_call *call, const json_t *recorded)
{
    size_t length;
    const char *error = json_string_value(json_object_get(recorded, "error"));
    char *body = calls_get_bytes(recorded, "body", &length);
    call->status = (int)json_integer_value(json_object_get(recorded, "status"));
    take_headers(call, json_object_get(recorded, "headers"));
    if (body)
        buffer_append(&call->pieces, body, length);
    free(body);
    if (error) {
        call->error = memory_copy_text(error);
        call->code = code_of(json_string_value(json_object_get(recorded, "code")));
    } else if (json_is_true(json_object_get(recorded, "closed"))) {
        call->error = memory_copy_text("the recording has no more of this answer, which was not "
                                       "read to its end");
        call->code = "NOT_RECORDED";
    }
}

static void run_wake(struct turn *turn)
{
    struct http_call *call = (struct http_call *)((char *)turn - offsetof(struct http_call, turn));
    operation_wake(&call->operation);
}

void http_play(struct http_call *call, size_t body_length)
{
    json_t *recorded = playback_find(call->vm, question_of(call, body_length));
    take_result(call, recorded);
    bool goes_on = json_object_get(recorded, "unfinished");
    json_decref(recorded);
    if (!call->streaming && !goes_on)
        turn_take(call->vm->lane, &call->turn, run_wake);
}
