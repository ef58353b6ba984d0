#include "script/http_call.h"

#include "base/clock.h"
#include "base/memory.h"
#include "net/http_client.h"
#include "script/api_errors.h"
#include "script/handler_run.h"
#include "script/http_note.h"
#include "script/playback.h"
#include "script/sandbox.h"
#include "script/vm.h"
#include "script/vm_memory.h"
#include "script/trace_scope.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_MAXIMUM ((size_t)256 << 10) /* bytes of an answer's headers that are kept */
#define PAUSE_ABOVE ((size_t)1 << 20)    /* bytes a stream holds before the sender has to wait */
/* of one state; fewer where descriptors are short; requests beyond wait for one */
#define CONNECTIONS_MAXIMUM 256
#define CALL_BYTES ((size_t)64 << 10) /* of a request under way, inside libcurl, about */
#define USER_AGENT "molecule/" MOLECULE_VERSION

/* --- its memory --- */

void http_call_leave_owner(struct http_call *call)
{
    if (!call->resource.owner)
        return;
    handler_detach(&call->resource);
    call->vm->streams--;
}

static size_t size_of(const struct http_call *call)
{
    return call->request_bytes + call->pieces.capacity + call->head.capacity + call->seen.capacity +
           (call->exchange ? CALL_BYTES : 0);
}

static void settle(struct http_call *call)
{
    vm_recharge(call->vm, &call->charged, size_of(call));
}

static void free_timer(uv_handle_t *timer)
{
    free(timer);
}

void http_call_free(struct http_call *call)
{
    http_call_leave_owner(call);
    if (call->patience)
        uv_close((uv_handle_t *)call->patience, free_timer);
    turn_leave(&call->turn);
    vm_uncharge(call->vm, call->charged);
    free(call->url);
    free(call->method);
    free(call->body);
    for (char **header = call->headers; *header; header++)
        free(*header);
    buffer_free(&call->pieces);
    buffer_free(&call->head);
    buffer_free(&call->seen);
    free(call->error);
    free(call);
}

void http_call_cancel(struct http_call *call)
{
    if (call->exchange)
        http_cancel(call->exchange);
    call->exchange = NULL;
    turn_leave(&call->turn);
    settle(call);
}

void http_call_end(struct http_call *call)
{
    http_note_end(call, call->resource.owner, true);
    http_call_cancel(call);
    http_call_leave_owner(call);
    buffer_free(&call->pieces);
    settle(call);
}

/* --- the answer --- */

static void keep_header(const char *name, const char *value, void *context)
{
    struct http_call *call = context;
    if (strlen(name) + strlen(value) + 2 > call->head.maximum - call->head.length)
        return;
    buffer_append(&call->head, name, strlen(name) + 1);
    buffer_append(&call->head, value, strlen(value) + 1);
}

static void on_done(const struct http_result *result, void *context)
{
    struct http_call *call = context;
    call->exchange = NULL;
    turn_leave(&call->turn); /* it may have been about to look for room */
    call->status = result->status;
    http_each_header(result, keep_header, call);
    if (result->error) {
        call->error = memory_copy_text(result->error);
        call->code = result->code;
    }
    settle(call);
    if (call->waiting || !call->streaming)
        operation_wake(&call->operation);
}

/* How much the pieces grow with `length` more bytes: buffers double, and are copied meanwhile. */
static size_t growth(const struct http_call *call, size_t length)
{
    const struct buffer *pieces = &call->pieces;
    return pieces->length + length < pieces->capacity ? 0 : 2 * (pieces->capacity + length);
}

static void starve(struct http_call *call)
{
    http_cancel(call->exchange);
    call->exchange = NULL;
    call->error = memory_copy_text("the response needs more memory than is left (--memory-limit)");
    call->code = "TOO_LARGE";
    settle(call);
    if (call->waiting || !call->streaming)
        operation_wake(&call->operation);
}

static void run_starved(struct turn *turn)
{
    struct http_call *call = (struct http_call *)((char *)turn - offsetof(struct http_call, turn));
    bool held = call->held;
    call->collecting = true;
    bool fits = vm_make_room(call->vm, call->wanted);
    call->collecting = false;
    if (call->streaming && held && !call->held) {
        http_call_end(call);
        http_call_free(call);
    } else if (!call->exchange) {
        return; /* it has ended while room was made */
    } else if (fits) {
        http_resume(call->exchange);
    } else {
        starve(call);
    }
}

static bool on_data(void *context, const char *bytes, size_t length)
{
    struct http_call *call = context;
    call->wanted = growth(call, length);
    bool fits = call->wanted <= vm_room(call->vm),
         unread = call->streaming && call->pieces.length > 0;
    call->status = http_status(call->exchange);
    call->paused = unread && (!fits || call->pieces.length + length > PAUSE_ABOVE);
    if (!unread && !fits) /* not from here: what is collected may be exchanges of libcurl's */
        turn_take(call->vm->lane, &call->turn, run_starved);
    else if (!call->paused)
        buffer_append(&call->pieces, bytes, length);
    settle(call);
    if (call->waiting && call->pieces.length > 0)
        operation_wake(&call->operation);
    return fits && !call->paused;
}

/* --- start --- */

static struct http_client *client_of(lua_State *L)
{
    struct vm *vm = vm_of(L);
    /* two for each stream: those that only wait for an answer do not wait for streams to end */
    struct http_client_options options = {
        .user_agent = USER_AGENT,
        .ca_file = vm->settings->ca_file,
        .ca_file_beside = true,
        .connections_total = (int)(2 * vm_share(CONNECTIONS_MAXIMUM / 2))};
    if (vm->settings->load_only)
        api_raise(L, "http: a script that is only checked reaches no network; ask in `start`, "
                     "or when a message comes");
    if (!vm->http)
        vm->http = http_client_open(vm->loop, &options);
    if (!vm->http)
        luaL_error(L, "http: libcurl cannot be set up");
    return vm->http;
}

/* Where its message is traced, whoever answers belongs to the trace; unless the script says
 * otherwise. */
static void add_traceparent(struct http_call *call)
{
    static const char name[] = "traceparent:";
    char traceparent[TRACE_PARENT_SIZE];
    size_t count = 0;
    trace_scope_below(call->vm, &call->trace);
    trace_write(&call->trace.context, traceparent);
    while (call->headers[count] && strncasecmp(call->headers[count], name, sizeof name - 1) != 0)
        count++;
    if (*traceparent && !call->headers[count] && count < HTTP_HEADERS_MAXIMUM)
        call->headers[count] = memory_join(name, " ", traceparent);
}

static struct http_call *make(lua_State *L, const struct http_options *options, bool streaming)
{
    size_t request_bytes = sizeof(struct http_call) + options->text_length;
    vm_charge(L, request_bytes + CALL_BYTES);
    struct http_call *call = memory_allocate(sizeof *call);
    call->vm = vm_of(L);
    call->request_bytes = request_bytes;
    call->charged = request_bytes + CALL_BYTES;
    call->streaming = streaming;
    call->url = memory_copy_text(options->url);
    call->method = memory_copy_text(options->method);
    call->body = options->body ? memory_copy(options->body, options->body_length) : NULL;
    size_t maximum = options->response_maximum;
    buffer_init(&call->pieces, maximum < SIZE_MAX / 4 ? maximum : SIZE_MAX / 4);
    buffer_init(&call->head, HEAD_MAXIMUM);
    http_options_copy_headers(L, options, call->headers);
    add_traceparent(call);
    return call;
}

struct http_call *http_call_start(lua_State *L, bool streaming)
{
    struct http_options options;
    http_options_read(L, streaming, &options);
    bool recorded = playback_answers(vm_of(L));
    struct http_client *client = recorded ? NULL : client_of(L);
    struct http_call *call = make(L, &options, streaming);
    call->started_ms = clock_monotonic_ms();
    http_note_asked(call, options.body_length);
    if (recorded) {
        http_play(call, options.body_length);
        settle(call);
        return call;
    }
    struct http_request request = {
        .method = call->method,
        .url = call->url,
        .headers = call->headers,
        .body = call->body,
        .body_length = options.body_length,
        .timeout_ms = options.timeout_ms,
        .response_maximum = options.response_maximum,
        .general = true,
        .redirects_maximum = (int)options.redirects,
        .only_hosts = call->vm->allowed_hosts,
        .public_only = options.public_only,
        .public_except = call->vm->file_hosts,
        .on_data = on_data,
    };
    call->exchange = http_send(client, &request, on_done, call);
    return call;
}

bool http_call_allowed(lua_State *L)
{
    if (!sandbox_is_offline(vm_of(L)) || playback_answers(vm_of(L)))
        return true;
    luaL_pushfail(L);
    lua_getfield(L, 1, "url");
    lua_pushfstring(L, "cannot reach %s: there is no network with --offline",
                    luaL_tolstring(L, -1, NULL));
    lua_replace(L, -3);
    lua_pop(L, 1);
    lua_pushliteral(L, "OFFLINE");
    return false;
}

/* --- results --- */

static void push_header(const char *name, const char *value, void *context)
{
    lua_State *L = context;
    char lower[128];
    size_t length = 0;
    for (; name[length] && length + 1 < sizeof lower; length++)
        lower[length] = (char)tolower((unsigned char)name[length]);
    lower[length] = '\0';
    if (lua_getfield(L, -1, lower) == LUA_TSTRING) {
        lua_pushfstring(L, "%s, %s", lua_tostring(L, -1), value);
        lua_remove(L, -2);
    } else {
        lua_pop(L, 1);
        lua_pushstring(L, value);
    }
    lua_setfield(L, -2, lower);
}

int http_call_push_failure(lua_State *L, const struct http_call *call, const char *error,
                           const char *code)
{
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", call->url, error);
    lua_pushstring(L, code);
    return 3;
}

void http_call_push_headers(lua_State *L, const struct http_call *call)
{
    lua_newtable(L);
    for (size_t at = 0; at < call->head.length;) {
        const char *name = call->head.data + at, *value = name + strlen(name) + 1;
        push_header(name, value, L);
        at += strlen(name) + strlen(value) + 2;
    }
}
