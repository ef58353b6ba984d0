/* core.http_stream(options): a stream whose read() waits for the next piece of the answer. Each
 * belongs to the handler that opened it, and ends with it at the latest. */
#include "base/memory.h"
#include "net/http_client.h"
#include "script/api.h"
#include "script/api_errors.h"
#include "script/handler_run.h"
#include "script/http_call.h"
#include "script/http_note.h"
#include "script/vm.h"

#include <stddef.h>

#define STREAM_METATABLE "molecule.http.stream"
#define STREAMS_MAXIMUM 64 /* of one state; fewer where descriptors are short */

static void end_resource(struct resource *resource)
{
    struct http_call *call = (struct http_call *)((char *)resource -
                                                  offsetof(struct http_call, resource));
    call->outlived = true;
    http_call_end(call);
}

static void give_to_branch(struct http_call *call, struct branch *branch)
{
    call->resource.end = end_resource;
    handler_attach(branch, &call->resource);
    call->vm->streams++;
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
            L, "http: this script has %d streams open: read them to the end or leave their loops",
            (int)vm->streams);
}

static void after_read(struct operation *operation)
{
    struct http_call *call = (struct http_call *)operation;
    call->waiting = call->impatient = false;
    if (call->patience)
        uv_timer_stop(call->patience);
    if (!call->held)
        http_call_free(call);
}

static void cancel_read(struct operation *operation)
{
    struct http_call *call = (struct http_call *)operation;
    http_call_cancel(call);
}

static int push_piece(lua_State *L, struct operation *operation)
{
    struct http_call *call = (struct http_call *)operation;
    if (call->pieces.length > 0) {
        lua_pushlstring(L, call->pieces.data, call->pieces.length);
        http_note_piece(call, call->pieces.data, call->pieces.length);
        buffer_clear(&call->pieces);
        if (call->paused && call->exchange)
            http_resume(call->exchange);
        return 1;
    }
    if (call->impatient && call->exchange) {
        luaL_pushfail(L);
        lua_pushliteral(L, "no data for a while");
        lua_pushliteral(L, "IDLE");
        return 3;
    }
    http_note_end(call, call->resource.owner, false);
    http_call_leave_owner(call);
    if (call->error)
        return http_call_push_failure(L, call, call->error, call->code);
    lua_pushnil(L); /* the end */
    return 1;
}

static void on_patience_end(uv_timer_t *timer)
{
    struct http_call *call = timer->data;
    call->impatient = true;
    if (call->waiting)
        operation_wake(&call->operation);
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

/* stream:read([seconds]) -> the next piece; nil at the end; nil, message, CODE. IDLE: no data
 * for that long; the stream stays open. */
static int stream_read(lua_State *L)
{
    struct http_call *call = check_stream(L);
    lua_Number seconds = luaL_optnumber(L, 2, 0);
    luaL_argcheck(L, seconds >= 0 && seconds <= 86400, 2, "seconds must be from 0 to 86400");
    if (call->waiting)
        return luaL_error(L, "http: another coroutine is reading this stream");
    if (call->outlived)
        return luaL_error(
            L, "http: the handler that opened this stream has ended, and the stream with it (%s)",
            call->url);
    if (call->resource.owner && call->resource.owner != vm_of(L)->running)
        return luaL_error(
            L, "http: this stream belongs to another handler (%s): each handler must open its own",
            call->url);
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
    http_call_push_headers(L, check_stream(L));
    return 1;
}

static int stream_close(lua_State *L)
{
    struct http_call *call = check_stream(L);
    if (!call->waiting)
        http_call_end(call);
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
        http_call_end(call);
        http_call_free(call);
    }
    return 0;
}

static int api_http_stream(lua_State *L)
{
    lua_settop(L, 1);
    if (!http_call_allowed(L))
        return 3;
    check_may_open(L);
    struct http_call **slot = lua_newuserdatauv(L, sizeof *slot, 0);
    *slot = NULL;
    luaL_setmetatable(L, STREAM_METATABLE);
    struct http_call *call = http_call_start(L, true);
    call->held = true;
    give_to_branch(call, vm_of(L)->branch);
    *slot = call;
    lua_settop(L, 2);
    return 1;
}

void api_http_stream_install(lua_State *L)
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
    lua_pushcfunction(L, api_http_stream);
    lua_setfield(L, -2, "http_stream");
}
