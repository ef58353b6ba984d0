/* Our own coroutine.resume, wrap and close, and xpcall.
 *
 * resume and wrap pass a wait for the host outward, so that molecule.http and its like work inside
 * a script's own coroutines, and end at once when the handler's limit was reached. xpcall runs its
 * message handler after unwinding: Lua's own runs it where no hook can yield. The traceback of the
 * error is kept for it: debug.traceback called there shows where the error was raised. */
#include "script/coroutines.h"

#include "base/memory.h"
#include "script/handler.h"
#include "script/vm.h"
#include "script/vm_await.h"

#include <lualib.h>
#include <stdlib.h>
#include <string.h>

/* nested closes: each starts its own count of C calls (up to 200) */
#define CLOSING_MAXIMUM 10
/* coroutine -> traceback its xpcall handler may show */
#define TRACEBACKS_KEY "molecule.tracebacks"

static int settle(lua_State *L, lua_State *co, int status, int results, bool wrapped);

/* It runs, or has resumed another one. */
static bool is_active(lua_State *co)
{
    lua_Debug frame;
    return lua_status(co) == LUA_OK && lua_getstack(co, 0, &frame);
}

/* Lua's status, with the error object, if it is one, on top of `co`. Raises no error once `co` is
 * being closed. */
static int close_thread(lua_State *L, lua_State *co)
{
    struct vm *vm = vm_of(L);
    if (vm->closing >= CLOSING_MAXIMUM)
        return luaL_error(L, "more than %d coroutines would be closed one inside the other",
                          CLOSING_MAXIMUM);
    vm->closing++;
    int status = lua_resetthread(co);
    vm->closing--;
    return status;
}

/* The host woke us: what the innermost coroutine waited for is complete. */
static int resume_awaiting(lua_State *L, bool wrapped)
{
    lua_State *co = lua_tothread(L, 1);
    int results;
    int status = vm_resume(vm_of(L), co, L, 0, &results);
    return settle(L, co, status, results, wrapped);
}

static int continue_resume(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    return resume_awaiting(L, context != 0);
}

/* Expired inside `co`: nothing above it may run on either. Raises or yields; does not return. */
static int pass_expiry(lua_State *L)
{
    struct vm *vm = vm_of(L);
    lua_Hook hook = lua_gethook(L);
    if (hook)
        lua_sethook(L, hook, LUA_MASKCOUNT | LUA_MASKLINE, 1);
    if (L == vm->current && lua_isyieldable(L)) {
        vm_hold(L);
        return lua_yieldk(L, 0, 0, NULL);
    }
    return luaL_error(L, "a limit was reached");
}

/* `co`, at stack index 1, stopped with `status`: its results for the caller, or a wait or an expiry
 * passed outward. */
static int settle(lua_State *L, lua_State *co, int status, int results, bool wrapped)
{
    struct vm *vm = vm_of(L);
    if (vm->running && vm->running->expired)
        return pass_expiry(L);
    /* vm_check_await has seen that the wait gets through */
    if (status == LUA_YIELD && vm_is_held(co)) {
        lua_settop(L, 1);
        return vm_pass_await(L, continue_resume, wrapped);
    }
    if (status == LUA_OK || status == LUA_YIELD) {
        if (!lua_checkstack(L, results + 1)) {
            lua_pop(co, results);
            return luaL_error(L, "too many results to resume");
        }
        lua_settop(L, 1);
        if (!wrapped)
            lua_pushboolean(L, true);
        lua_xmove(co, L, results);
        return lua_gettop(L) - 1;
    }
    lua_settop(L, 1);
    if (!wrapped) {
        lua_pushboolean(L, false);
        lua_xmove(co, L, 1);
        return 2;
    }
    if (lua_status(co) != LUA_OK && lua_status(co) != LUA_YIELD) {
        close_thread(L, co); /* runs its pending __close; leaves the error object on top */
        if (vm->running && vm->running->expired)
            return pass_expiry(L);
    }
    lua_xmove(co, L, 1);
    /* prefixed with the caller's position, as in Lua's own */
    if (lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

/* Stack: coroutine, arguments. */
static int start_resume(lua_State *L, bool wrapped)
{
    lua_State *co = lua_tothread(L, 1);
    int arguments = lua_gettop(L) - 1, results;
    const char *problem = NULL;
    if (vm_is_held(co))
        problem = "cannot resume a coroutine that waits for the host";
    else if (is_active(co))
        problem = "cannot resume non-suspended coroutine";
    else if (lua_status(co) == LUA_OK && lua_gettop(co) == 0)
        problem = "cannot resume dead coroutine";
    else if (!lua_checkstack(co, arguments + 1))
        problem = "too many arguments to resume";
    if (problem && wrapped)
        return luaL_error(L, "%s", problem);
    if (problem) {
        lua_pushboolean(L, false);
        lua_pushstring(L, problem);
        return 2;
    }
    lua_xmove(L, co, arguments);
    int status = vm_resume(vm_of(L), co, L, arguments, &results);
    return settle(L, co, status, results, wrapped);
}

static int coroutine_resume(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTHREAD);
    return start_resume(L, false);
}

static int wrapped_call(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    return start_resume(L, true);
}

static int coroutine_wrap(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    lua_pushcclosure(L, wrapped_call, 1);
    return 1;
}

/* coroutine.close(co), as Lua's own, but for those that the host holds. */
static int coroutine_close(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTHREAD);
    lua_State *co = lua_tothread(L, 1);
    struct vm *vm = vm_of(L);
    if (vm_is_held(co))
        return luaL_error(L, "cannot close a coroutine that waits for the host");
    if (is_active(co))
        return luaL_error(L, "cannot close a %s coroutine", co == L ? "running" : "normal");
    int status = close_thread(L, co);
    if (vm->running && vm->running->expired)
        return pass_expiry(L);
    lua_pushboolean(L, status == LUA_OK);
    if (status == LUA_OK)
        return 1;
    lua_xmove(co, L, 1);
    return 2;
}

/* Lua's message handler of our xpcall: packs the error and its traceback for after the unwinding.
 */
static int pack_error(lua_State *L)
{
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    luaL_traceback(L, L, NULL, 1);
    lua_rawseti(L, -2, 2);
    return 1;
}

static void keep_traceback(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    lua_getfield(L, LUA_REGISTRYINDEX, TRACEBACKS_KEY);
    lua_pushthread(L);
    lua_pushvalue(L, index);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

static int after_message_handler(lua_State *L, int status, lua_KContext base)
{
    (void)base;
    lua_pushnil(L);
    keep_traceback(L, -1);
    lua_pop(L, 1);
    /* the message handler failed itself: its error is the result */
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_pushboolean(L, false);
        lua_insert(L, -2);
        return 2;
    }
    lua_pushboolean(L, false);
    lua_replace(L, 3);
    return lua_gettop(L) - 2;
}

/* Stack: 1 message handler, 2 pack_error, then results or the packed error. */
static int after_protected_call(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    if (status == LUA_OK || status == LUA_YIELD) {
        lua_pushboolean(L, true);
        lua_replace(L, 2);
        return lua_gettop(L) - 1;
    }
    if (lua_istable(L, -1) && lua_rawlen(L, -1) == 2 && lua_rawgeti(L, -1, 2) == LUA_TSTRING) {
        keep_traceback(L, -1);
        lua_pop(L, 1);
        lua_rawgeti(L, -1, 1);
        lua_remove(L, -2);
    } /* else memory or nesting errors, which Lua raises without calling a message handler */
    lua_replace(L, 2); /* handler, error */
    lua_settop(L, 2);
    lua_pushnil(L); /* 3: the place of the `false` that comes first */
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    status = lua_pcallk(L, 1, LUA_MULTRET, 0, 0, after_message_handler);
    return after_message_handler(L, status, 0);
}

static int safe_xpcall(lua_State *L)
{
    int arguments = lua_gettop(L) - 2;
    luaL_checktype(L, 2, LUA_TFUNCTION);
    /* function, handler, … -> handler, pack_error, function, … */
    lua_pushcfunction(L, pack_error);
    lua_pushvalue(L, 1);
    lua_rotate(L, 1, 2); /* pack_error, function, function', handler, … */
    lua_remove(L, 3);
    lua_pushvalue(L, 3);
    lua_insert(L, 1);
    lua_remove(L, 4); /* handler, pack_error, function, arguments */
    int status = lua_pcallk(L, arguments, LUA_MULTRET, 2, 0, after_protected_call);
    return after_protected_call(L, status, 0);
}

/* debug.traceback([thread,] [message [, level]]): in an xpcall handler, the traceback of the error.
 */
static int debug_traceback(lua_State *L)
{
    bool other = lua_isthread(L, 1);
    if (!other && (lua_isnoneornil(L, 1) || lua_isstring(L, 1))) {
        lua_getfield(L, LUA_REGISTRYINDEX, TRACEBACKS_KEY);
        lua_pushthread(L);
        if (lua_rawget(L, -2) == LUA_TSTRING) {
            if (lua_isnoneornil(L, 1))
                return 1;
            lua_pushvalue(L, 1);
            lua_pushliteral(L, "\n");
            lua_pushvalue(L, -3);
            lua_concat(L, 3);
            return 1;
        }
        lua_pop(L, 2);
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    if (!other && lua_isnoneornil(L, 3) && lua_gettop(L) <= 2) {
        /* our frame is not the script's: level 1 of the original is this function's caller */
        lua_settop(L, 2);
        lua_pushinteger(L, 2);
    }
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

static void weak_table(lua_State *L, const char *key)
{
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_setfield(L, LUA_REGISTRYINDEX, key);
}

void coroutines_install(lua_State *L)
{
    weak_table(L, TRACEBACKS_KEY);
    lua_pushcfunction(L, safe_xpcall);
    lua_setglobal(L, "xpcall");
    lua_getglobal(L, LUA_COLIBNAME);
    lua_pushcfunction(L, coroutine_resume);
    lua_setfield(L, -2, "resume");
    lua_pushcfunction(L, coroutine_wrap);
    lua_setfield(L, -2, "wrap");
    lua_pushcfunction(L, coroutine_close);
    lua_setfield(L, -2, "close");
    lua_pop(L, 1);
    lua_getglobal(L, LUA_DBLIBNAME);
    lua_getfield(L, -1, "traceback");
    lua_pushcclosure(L, debug_traceback, 1);
    lua_setfield(L, -2, "traceback");
    lua_pop(L, 1);
}
