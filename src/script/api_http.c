/* molecule.http: requests on the worker's own libcurl handle. core.http(options) waits for the
 * whole answer; core.http_stream(options) gives a stream whose read() waits for the next piece.
 * lua/molecule/http.lua shapes both. */
#include "base/buffer.h"
#include "base/clock.h"
#include "base/memory.h"
#include "net/http_client.h"
#include "script/api.h"
#include "script/api_errors.h"
#include "script/handler.h"
#include "script/handler_run.h"
#include "script/sandbox.h"
#include "script/vm.h"
#include "script/vm_await.h"
#include "script/vm_memory.h"

#include <ctype.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define STREAM_METATABLE "molecule.http.stream"
#define HEADERS_MAXIMUM 100
#define HEAD_MAXIMUM ((size_t)256 << 10) /* bytes of a stream's headers that are kept */
#define ANSWER_DEFAULT (16 << 20)
#define ANSWER_MAXIMUM (1 << 30)
#define STREAM_MAXIMUM ((double)((int64_t)1 << 40))
#define PAUSE_ABOVE ((size_t)1 << 20) /* bytes a stream holds before the sender has to wait */
#define STREAMS_MAXIMUM 64            /* of one state; fewer where descriptors are short */
#define CONNECTIONS_MAXIMUM 256       /* the same; requests beyond wait for one */
#define CALL_BYTES ((size_t)64 << 10) /* of a request under way, inside libcurl, about */
#define USER_AGENT "molecule/" MOLECULE_VERSION

struct http_call {
    struct operation operation; /* first; of the handler that waits, if one does */
    struct vm *vm;
    /* its answer did not fit: what is garbage is collected in a turn of the state's */
    struct turn turn;
    size_t wanted;
    size_t charged; /* to it */
    size_t request_bytes;
    struct http_exchange *exchange; /* NULL: over */
    char *url, *method, *body;
    char *headers[HEADERS_MAXIMUM + 1];
    /* streams only */
    bool streaming, waiting, paused, held; /* held: the userdata is alive */
    /* garbage, which may be its userdata: it is freed behind it */
    bool collecting;
    struct resource resource; /* owner: who opened it and has not read it to its end */
    bool outlived;            /* its handler ended first */
    uv_timer_t *patience;     /* of a read that waits only so long; NULL: none did */
    bool impatient;           /* it is over */
    /* of the answer's body: what has not been read, or all of it */
    struct buffer pieces;
    /* the answer's headers once it is over: name NUL value NUL … */
    struct buffer head;
    char *error;
    const char *code;
    int status;
};

static void leave_owner(struct http_call *call)
{
    if (!call->resource.owner)
        return;
    handler_detach(&call->resource);
    call->vm->streams--;
}

static size_t size_of(const struct http_call *call)
{
    return call->request_bytes + call->pieces.capacity + call->head.capacity +
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

static void free_call(struct http_call *call)
{
    leave_owner(call);
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
    free(call->error);
    free(call);
}

static void end_exchange(struct http_call *call)
{
    if (call->exchange)
        http_cancel(call->exchange);
    call->exchange = NULL;
    turn_leave(&call->turn);
    settle(call);
}

/* --- options: everything is checked, and may raise, before anything is allocated --- */

static const char *check_text(lua_State *L, const char *field, size_t *length)
{
    int type = lua_getfield(L, 1, field);
    if (type == LUA_TNIL)
        return NULL;
    if (type != LUA_TSTRING)
        api_misuse(L, "http: %s must be a string, not a %s", field, lua_typename(L, type));
    return lua_tolstring(L, -1, length);
}

/* In the sandbox: what would let a request mean another host than its URL, to a server that serves
 * several. */
static bool is_forbidden_header(const char *name)
{
    static const char *const forbidden[] = {"host",
                                            "content-length",
                                            "transfer-encoding",
                                            "connection",
                                            "upgrade",
                                            "te",
                                            "trailer",
                                            "keep-alive",
                                            "expect",
                                            "proxy-connection",
                                            "proxy-authorization",
                                            "forwarded",
                                            "x-forwarded-host"};
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        if (strcasecmp(name, forbidden[i]) == 0)
            return true;
    return !*name || strspn(name, letters) != strlen(name);
}

static void check_headers(lua_State *L)
{
    bool sandboxed = sandbox_is_on(vm_of(L));
    if (lua_getfield(L, 1, "headers") == LUA_TNIL)
        return;
    if (!lua_istable(L, -1))
        api_misuse(L, "http: headers must be a table of name = value");
    int count = 0;
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        if (lua_type(L, -2) != LUA_TSTRING ||
            (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER))
            api_misuse(L, "http: headers must be a table of name = value");
        lua_pushvalue(L, -1); /* tolstring must not change the table's value under lua_next */
        if (strpbrk(lua_tostring(L, -1), "\r\n") || strpbrk(lua_tostring(L, -3), "\r\n:"))
            api_misuse(L, "http: header %s holds a line break", lua_tostring(L, -3));
        if (sandboxed && is_forbidden_header(lua_tostring(L, -3)))
            api_misuse(L, "http: header %s is not in the sandbox (--sandbox)", lua_tostring(L, -3));
        lua_pop(L, 2);
        if (++count > HEADERS_MAXIMUM)
            api_misuse(L, "http: more than %d headers", HEADERS_MAXIMUM);
    }
}

static size_t headers_length(lua_State *L, int index)
{
    size_t sum = 0;
    if (!lua_istable(L, index))
        return 0;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        sum += lua_rawlen(L, -2) + (lua_type(L, -1) == LUA_TSTRING ? lua_rawlen(L, -1) : 32) +
               sizeof ": ";
        lua_pop(L, 1);
    }
    return sum;
}

static void copy_headers(lua_State *L, int index, struct http_call *call)
{
    size_t count = 0;
    if (!lua_istable(L, index))
        return;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pushvalue(L, -1);
        call->headers[count++] = memory_format("%s: %s", lua_tostring(L, -3), lua_tostring(L, -1));
        lua_pop(L, 2);
    }
}

static int64_t number_field(lua_State *L, const char *field, double scale, double fallback,
                            double maximum)
{
    double number = fallback;
    int type = lua_getfield(L, 1, field);
    if (type == LUA_TNUMBER)
        number = lua_tonumber(L, -1);
    else if (type != LUA_TNIL)
        api_misuse(L, "http: %s must be a number", field);
    if (!(number >= 0 && number <= maximum))
        api_misuse(L, "http: %s must be between 0 and %I", field, (LUAI_UACINT)maximum);
    lua_pop(L, 1);
    /* a fraction is not nothing, which would mean no timeout */
    return (int64_t)ceil(number * scale);
}

/* An answer that is collected is outside the Lua state and its limit until it is whole; in the
 * sandbox it may not be larger than what the state could take. Of a stream only a piece is there at
 * a time. */
static size_t response_maximum(lua_State *L, bool streaming)
{
    const struct vm *vm = vm_of(L);
    size_t maximum = (size_t)number_field(L, "max_bytes", 1, ANSWER_DEFAULT,
                                          streaming ? STREAM_MAXIMUM : ANSWER_MAXIMUM);
    bool limited = !streaming && sandbox_is_on(vm) && vm->memory_limit > 0;
    return limited && maximum > vm->memory_limit ? vm->memory_limit : maximum;
}

static void on_done(const struct http_result *result, void *context);
static void end_stream(struct http_call *call);
static bool on_data(void *context, const char *bytes, size_t length);

/* The options are at stack index 1. The call, under way. */
static struct http_call *start(lua_State *L, bool streaming)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    int64_t timeout_ms = number_field(L, "timeout", 1000, 30, 86400);
    size_t maximum = response_maximum(L, streaming);
    int64_t redirects = number_field(L, "redirects", 1, 5, 50);
    size_t url_length = 0, method_length = 0, body_length = 0;
    const char *url = check_text(L, "url", &url_length);
    const char *method = check_text(L, "method", &method_length);
    const char *body = check_text(L, "body", &body_length);
    lua_getfield(L, 1, "public"); /* what a sender's file names: lua/molecule/files.lua */
    bool public_only = lua_toboolean(L, -1);
    check_headers(L);
    int headers = lua_gettop(L);
    if (!url || strlen(url) != url_length)
        api_misuse(L, url ? "http: the url holds a zero byte" : "http: `url` is needed");
    for (const char *at = method ? method : "GET"; *at; at++)
        if (!isupper((unsigned char)*at))
            api_misuse(L, "http: method must be upper-case letters");
    struct vm *vm = vm_of(L);
    /* two for each stream: those that only wait for an answer do not wait for streams to end */
    struct http_client_options options = {
        .user_agent = USER_AGENT,
        .ca_file = vm->settings->ca_file,
        .ca_file_beside = true,
        .connections_total = (int)(2 * vm_share(CONNECTIONS_MAXIMUM / 2))};
    if (!vm->http)
        vm->http = http_client_open(vm->loop, &options);
    if (!vm->http)
        luaL_error(L, "http: libcurl cannot be set up");
    size_t request_bytes = sizeof(struct http_call) + url_length + body_length +
                           headers_length(L, headers);
    vm_charge(L, request_bytes + CALL_BYTES);
    struct http_call *call = memory_allocate(sizeof *call);
    call->vm = vm;
    call->request_bytes = request_bytes;
    call->charged = request_bytes + CALL_BYTES;
    call->streaming = streaming;
    call->url = memory_copy_text(url);
    call->method = memory_copy_text(method ? method : body ? "POST" : "GET");
    call->body = body ? memory_copy(body, body_length) : NULL;
    buffer_init(&call->pieces, maximum < SIZE_MAX / 4 ? maximum : SIZE_MAX / 4);
    buffer_init(&call->head, HEAD_MAXIMUM);
    copy_headers(L, headers, call);
    struct http_request request = {
        .method = call->method,
        .url = call->url,
        .headers = call->headers,
        .body = call->body,
        .body_length = body_length,
        .timeout_ms = timeout_ms,
        .response_maximum = maximum,
        .general = true,
        .redirects_maximum = (int)redirects,
        .only_hosts = vm->allowed_hosts,
        .public_only = public_only,
        .public_except = vm->file_hosts,
        .on_data = on_data,
    };
    call->exchange = http_send(vm->http, &request, on_done, call);
    return call;
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

static int push_failure(lua_State *L, const struct http_call *call, const char *error,
                        const char *code)
{
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", call->url, error);
    lua_pushstring(L, code);
    return 3;
}

static void push_headers(lua_State *L, const struct http_call *call)
{
    lua_newtable(L);
    for (size_t at = 0; at < call->head.length;) {
        const char *name = call->head.data + at, *value = name + strlen(name) + 1;
        push_header(name, value, L);
        at += strlen(name) + strlen(value) + 2;
    }
}

static int take_answer(lua_State *L, struct operation *operation)
{
    struct http_call *call = (struct http_call *)operation;
    if (call->error)
        push_failure(L, call, call->error, call->code);
    if (call->error && (call->pieces.length == 0 || strcmp(call->code, "TOO_LARGE") == 0))
        return 3;
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, call->status);
    lua_setfield(L, -2, "status");
    push_headers(L, call);
    lua_setfield(L, -2, "headers");
    lua_pushlstring(L, call->pieces.length ? call->pieces.data : "", call->pieces.length);
    lua_setfield(L, -2, "body");
    return call->error ? 4 : 1;
}

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
        handler_wake(call->operation.handler);
}

static void cancel_call(struct operation *operation)
{
    end_exchange((struct http_call *)operation);
}

static void release_call(struct operation *operation)
{
    free_call((struct http_call *)operation);
}

/* core.http(options) -> {status, headers, body}; or nil, message, CODE and, where the answer broke
 * off, what came of it. */
static int api_http(lua_State *L)
{
    lua_settop(L, 1);
    vm_check_await(L, "molecule.http");
    struct http_call *call = start(L, false);
    call->operation = (struct operation){
        .results = take_answer, .cancel = cancel_call, .release = release_call};
    return vm_await(L, &call->operation);
}

/* --- streams: each belongs to the handler that opened it and ends with it at the latest --- */

static void end_stream(struct http_call *call)
{
    end_exchange(call);
    leave_owner(call);
    buffer_free(&call->pieces);
    settle(call);
}

static void end_resource(struct resource *resource)
{
    struct http_call *call = (struct http_call *)((char *)resource -
                                                  offsetof(struct http_call, resource));
    call->outlived = true;
    end_stream(call);
}

static void check_may_open(lua_State *L)
{
    struct vm *vm = vm_of(L);
    unsigned maximum = vm_share(STREAMS_MAXIMUM);
    if (!vm->running)
        luaL_error(L, "http: a stream cannot be opened here");
    if (vm->streams >= maximum) /* some may be garbage */
        lua_gc(L, LUA_GCCOLLECT);
    if (vm->streams >= maximum)
        api_raise(
            L,
            "http: %d streams of this script are open: read them to their end or leave their loop",
            (int)vm->streams);
}

static void give_to_handler(struct http_call *call, struct handler *handler)
{
    call->resource.end = end_resource;
    handler_attach(handler, &call->resource);
    call->vm->streams++;
}

/* By so much the pieces grow with so many bytes: buffers double, and are copied meanwhile. */
static size_t growth(const struct http_call *call, size_t length)
{
    const struct buffer *pieces = &call->pieces;
    return pieces->length + length < pieces->capacity ? 0 : 2 * (pieces->capacity + length);
}

static void starve(struct http_call *call)
{
    http_cancel(call->exchange);
    call->exchange = NULL;
    call->error = memory_copy_text("the answer takes more memory than is left (--memory-limit)");
    call->code = "TOO_LARGE";
    settle(call);
    if (call->waiting || !call->streaming)
        handler_wake(call->operation.handler);
}

static void run_starved(struct turn *turn)
{
    struct http_call *call = (struct http_call *)((char *)turn - offsetof(struct http_call, turn));
    bool held = call->held;
    call->collecting = true;
    bool fits = vm_make_room(call->vm, call->wanted);
    call->collecting = false;
    if (call->streaming && held && !call->held) {
        end_stream(call);
        free_call(call);
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
        handler_wake(call->operation.handler);
    return fits && !call->paused;
}

static void after_read(struct operation *operation)
{
    struct http_call *call = (struct http_call *)operation;
    call->waiting = call->impatient = false;
    if (call->patience)
        uv_timer_stop(call->patience);
    if (!call->held)
        free_call(call);
}

static void cancel_read(struct operation *operation)
{
    struct http_call *call = (struct http_call *)operation;
    end_exchange(call);
}

static int push_piece(lua_State *L, struct operation *operation)
{
    struct http_call *call = (struct http_call *)operation;
    if (call->pieces.length > 0) {
        lua_pushlstring(L, call->pieces.data, call->pieces.length);
        buffer_clear(&call->pieces);
        if (call->paused && call->exchange)
            http_resume(call->exchange);
        return 1;
    }
    if (call->impatient && call->exchange) {
        luaL_pushfail(L);
        lua_pushliteral(L, "nothing came for a while");
        lua_pushliteral(L, "IDLE");
        return 3;
    }
    leave_owner(call);
    if (call->error)
        return push_failure(L, call, call->error, call->code);
    lua_pushnil(L); /* the end */
    return 1;
}

static void on_patience_end(uv_timer_t *timer)
{
    struct http_call *call = timer->data;
    call->impatient = true;
    if (call->waiting)
        handler_wake(call->operation.handler);
}

static void start_patience(struct http_call *call, lua_Number seconds)
{
    uv_loop_t *loop = call->vm->loop;
    if (!call->patience) {
        call->patience = memory_allocate(sizeof *call->patience);
        uv_timer_init(loop, call->patience);
        call->patience->data = call;
    }
    uv_update_time(loop);
    uv_timer_start(call->patience, on_patience_end, (uint64_t)(seconds * 1000), 0);
}

static struct http_call *check_stream(lua_State *L)
{
    struct http_call *call = *(struct http_call **)luaL_checkudata(L, 1, STREAM_METATABLE);
    luaL_argcheck(L, call, 1, "the stream was never opened");
    return call;
}

/* stream:read([seconds]) -> the next piece; nil at the end; nil, message, CODE. IDLE: nothing came
 * for so long; it goes on. */
static int stream_read(lua_State *L)
{
    struct http_call *call = check_stream(L);
    lua_Number seconds = luaL_optnumber(L, 2, 0);
    luaL_argcheck(L, seconds >= 0 && seconds <= 86400, 2, "seconds must be from 0 to 86400");
    if (call->waiting)
        return luaL_error(L, "http: another coroutine reads this stream");
    if (call->outlived)
        return luaL_error(
            L, "http: the handler that opened this stream has ended, and the stream with it (%s)",
            call->url);
    if (call->resource.owner && call->resource.owner != vm_of(L)->running)
        return luaL_error(
            L, "http: this stream belongs to another handler (%s): each opens its own", call->url);
    if (call->pieces.length > 0 || !call->exchange)
        return push_piece(L, &call->operation);
    vm_check_await(L, "a stream's read");
    call->operation = (struct operation){
        .results = push_piece, .cancel = cancel_read, .release = after_read};
    call->waiting = true;
    if (seconds > 0)
        start_patience(call, seconds);
    return vm_await(L, &call->operation);
}

static int stream_status(lua_State *L)
{
    lua_pushinteger(L, check_stream(L)->status);
    return 1;
}

/* stream:headers() -> {[lower-case name] = value}; empty before the end. */
static int stream_headers(lua_State *L)
{
    push_headers(L, check_stream(L));
    return 1;
}

static int stream_close(lua_State *L)
{
    struct http_call *call = check_stream(L);
    if (!call->waiting)
        end_stream(call);
    return 0;
}

static int stream_collect(lua_State *L)
{
    struct http_call *call = *(struct http_call **)luaL_checkudata(L, 1, STREAM_METATABLE);
    if (!call)
        return 0;
    call->held = false;
    /* else the operation, which is released first or later, does it */
    if (!call->waiting && !call->collecting) {
        end_stream(call);
        free_call(call);
    }
    return 0;
}

static int api_http_stream(lua_State *L)
{
    lua_settop(L, 1);
    check_may_open(L);
    struct http_call **slot = lua_newuserdatauv(L, sizeof *slot, 0);
    *slot = NULL;
    luaL_setmetatable(L, STREAM_METATABLE);
    struct http_call *call = start(L, true);
    call->held = true;
    give_to_handler(call, vm_of(L)->running);
    *slot = call;
    lua_settop(L, 2);
    return 1;
}

void api_http_install(lua_State *L)
{
    static const luaL_Reg methods[] = {{"read", stream_read},
                                       {"status", stream_status},
                                       {"headers", stream_headers},
                                       {"close", stream_close},
                                       {NULL, NULL}};
    luaL_newmetatable(L, STREAM_METATABLE);
    lua_pushcfunction(L, stream_collect);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, stream_close);
    lua_setfield(L, -2, "__close");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_pushcfunction(L, api_http);
    lua_setfield(L, -2, "http");
    lua_pushcfunction(L, api_http_stream);
    lua_setfield(L, -2, "http_stream");
}
