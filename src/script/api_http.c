/* core.http(options): waits for the whole answer. lua/molecule/http.lua shapes it, and the streams
 * of api_http_stream.c, into molecule.http. */
#include "script/api.h"
#include "script/http_call.h"
#include "script/http_note.h"
#include "script/vm.h"

#include <string.h>

static int take_answer(lua_State *L, struct operation *operation)
{
    struct http_call *call = (struct http_call *)operation;
    http_note_end(call, call->vm->running, false);
    if (call->error)
        http_call_push_failure(L, call, call->error, call->code);
    if (call->error && (call->pieces.length == 0 || strcmp(call->code, "TOO_LARGE") == 0))
        return 3;
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, call->status);
    lua_setfield(L, -2, "status");
    http_call_push_headers(L, call);
    lua_setfield(L, -2, "headers");
    lua_pushlstring(L, call->pieces.length ? call->pieces.data : "", call->pieces.length);
    lua_setfield(L, -2, "body");
    return call->error ? 4 : 1;
}

static void cancel_call(struct operation *operation)
{
    http_call_cancel((struct http_call *)operation);
}

static void release_call(struct operation *operation)
{
    http_call_free((struct http_call *)operation);
}

/* core.http(options) -> {status, headers, body}; or nil, message, CODE and, if the response broke
 * off, what arrived of it. */
static int api_http(lua_State *L)
{
    lua_settop(L, 1);
    vm_check_await(L, "molecule.http");
    if (!http_call_allowed(L))
        return 3;
    struct http_call *call = http_call_start(L, false);
    call->operation = (struct operation){
        .results = take_answer, .cancel = cancel_call, .release = release_call};
    return vm_await(L, &call->operation);
}

void api_http_install(lua_State *L)
{
    lua_pushcfunction(L, api_http);
    lua_setfield(L, -2, "http");
}
