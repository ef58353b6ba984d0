#include "script/vm_errors.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/nearest.h"
#include "script/error_place.h"
#include "script/handler.h"
#include "script/locks.h"
#include "script/vm.h"
#include "script/vm_await.h"
#include "script/vm_limits.h"
#include "script/vm_memory.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#define TRACEBACK_MAXIMUM 8192
#define DESCRIPTION_MAXIMUM 2048 /* bytes of an error object that is a table */
#define FIELDS_MAXIMUM 12
#define FIELD_MAXIMUM 200
#define ERROR_TEXT_CPU_MS 1000

static int make_traceback(lua_State *L)
{
    luaL_traceback(L, lua_touserdata(L, 1), NULL, 0);
    return 1;
}

/* `first`, then the frames of `then`. Takes both; each may be NULL. */
static char *join_tracebacks(char *first, char *then)
{
    const char *frames = then ? strchr(then, '\n') : NULL; /* below "stack traceback:" */
    if (!first || !frames || strlen(first) + strlen(frames) > TRACEBACK_MAXIMUM) {
        free(first ? then : NULL);
        return first ? first : then;
    }
    char *both = memory_join(first, "", frames);
    free(first);
    free(then);
    return both;
}

/* The error on the stack came from a part of the branch. */
static bool is_raised(lua_State *L, int index, const struct branch *branch)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, branch->raised);
    bool same = branch->raised != LUA_NOREF && lua_rawequal(L, index, -1);
    lua_pop(L, 1);
    return same;
}

int vm_keep_traceback(lua_State *L)
{
    struct branch *branch = vm_of(L)->branch;
    luaL_traceback(L, L, NULL, 1);
    bool raised = is_raised(L, 1, branch);
    free(branch->traceback);
    branch->traceback = error_tidy_traceback(
        memory_copy(lua_tostring(L, -1), strnlen(lua_tostring(L, -1), TRACEBACK_MAXIMUM)));
    if (raised) {
        branch->traceback = join_tracebacks(branch->raised_traceback, branch->traceback);
        branch->raised_traceback = NULL;
    }
    lua_pop(L, 1);
    return 1;
}

/* luaL_traceback on the main thread, protected: there may be no memory for it. */
char *vm_traceback(struct vm *vm, lua_State *co)
{
    lua_State *L = vm->L;
    lua_pushcfunction(L, make_traceback);
    lua_pushlightuserdata(L, co);
    char *text = NULL;
    if (lua_pcall(L, 1, 1, 0) == LUA_OK && lua_type(L, -1) == LUA_TSTRING) {
        size_t length;
        const char *bytes = lua_tolstring(L, -1, &length);
        text = memory_copy(bytes, length < TRACEBACK_MAXIMUM ? length : TRACEBACK_MAXIMUM);
    }
    lua_pop(L, 1);
    return error_tidy_traceback(text);
}

/* Calls the __tostring of an error object in a coroutine, so that it can be interrupted like
 * anything else. */
static char *custom_text(struct vm *vm, lua_State *co)
{
    lua_State *L = vm->L;
    struct handler guard = {.vm = vm,
                            .cpu_limit_ms = ERROR_TEXT_CPU_MS,
                            .deadline_ms = clock_monotonic_ms() + 2 * ERROR_TEXT_CPU_MS,
                            .may_not_wait = "an error's __tostring",
                            .store = {.values = LUA_NOREF},
                            .steps = LUA_NOREF};
    struct handler *outer = vm->running;
    struct branch *outer_branch = vm->branch;
    char *text = NULL;
    int top = lua_gettop(L), results;
    branch_init(&guard.main, &guard);
    if (!lua_checkstack(L, 8) || !lua_checkstack(co, 8))
        return NULL;
    lua_State *thread = lua_newthread(L); /* protected by our caller, vm_error_text */
    luaL_getmetafield(co, -1, "__tostring");
    lua_pushvalue(co, -2);
    lua_xmove(co, thread, 2);
    vm_begin_slice(vm, &guard.main);
    vm_watch(thread);
    int status = vm_resume(vm, thread, NULL, 1, &results);
    vm->running = outer;
    vm->branch = outer_branch;
    vm_end_await(&guard.main);
    vm_hold(thread);
    branch_end_resources(&guard.main);
    if (guard.store.changes)
        vm_uncharge(vm, guard.store.changes->bytes);
    changes_free(guard.store.changes); /* they are discarded */
    if (guard.store.ticket)
        locks_release(vm->locks, guard.store.ticket);
    luaL_unref(L, LUA_REGISTRYINDEX, guard.store.values);
    if (status == LUA_OK && results > 0 && lua_type(thread, -1) == LUA_TSTRING)
        text = memory_copy_text(lua_tostring(thread, -1));
    lua_settop(L, top);
    return text;
}

struct error_text {
    struct vm *vm;
    lua_State *co;
    char *text;
};

static int find_error_text(lua_State *L)
{
    struct error_text *request = lua_touserdata(L, 1);
    lua_State *co = request->co;
    if (luaL_getmetafield(co, -1, "__tostring") != LUA_TNIL) {
        lua_pop(co, 1);
        request->text = custom_text(request->vm, co);
        if (!request->text)
            request->text = memory_format("an error object (%s) whose __tostring failed",
                                          luaL_typename(co, -1));
    }
    return 0;
}

static void describe_value(struct buffer *text, lua_State *co, int index)
{
    size_t length;
    const char *bytes;
    switch (lua_type(co, index)) {
    case LUA_TSTRING:
        bytes = lua_tolstring(co, index, &length);
        buffer_printf(text, "\"%.*s\"%s", length > FIELD_MAXIMUM ? FIELD_MAXIMUM : (int)length,
                      bytes, length > FIELD_MAXIMUM ? "…" : "");
        return;
    case LUA_TNUMBER:
        if (lua_isinteger(co, index))
            buffer_printf(text, "%lld", (long long)lua_tointeger(co, index));
        else
            buffer_printf(text, "%.14g", lua_tonumber(co, index));
        return;
    case LUA_TBOOLEAN:
        buffer_append_text(text, lua_toboolean(co, index) ? "true" : "false");
        return;
    default: buffer_printf(text, "(a %s)", luaL_typename(co, index));
    }
}

static bool has_fields(lua_State *co)
{
    if (!lua_checkstack(co, 3))
        return false;
    lua_pushnil(co);
    if (!lua_next(co, -2))
        return false;
    lua_pop(co, 2);
    return true;
}

/* The fields of the table on top, one level deep: nothing of the script's is called. */
static char *describe_table(lua_State *co)
{
    struct buffer text;
    int count = 0;
    buffer_init(&text, DESCRIPTION_MAXIMUM);
    buffer_append_text(&text, "the error object is a table: {");
    if (!lua_checkstack(co, 4)) {
        buffer_append_text(&text, "}");
        return buffer_take(&text);
    }
    lua_pushnil(co);
    while (lua_next(co, -2)) {
        if (count++ == FIELDS_MAXIMUM) {
            buffer_append_text(&text, ", …");
            lua_pop(co, 2);
            break;
        }
        buffer_append_text(&text, count > 1 ? ", " : "");
        if (lua_type(co, -2) == LUA_TSTRING)
            buffer_printf(&text, "%.100s = ", lua_tostring(co, -2));
        describe_value(&text, co, -1);
        lua_pop(co, 1);
    }
    buffer_append_text(&text, "}");
    return buffer_take(&text);
}

/* Functions of lua/molecule/types.lua that are called by name; what is misspelled is one of them,
 * more often than not. */
static const char *const api_functions[] = {
    "after", "all",      "cancel", "dead",  "delegate", "delete",  "encode", "decode", "every",
    "exec",  "get",      "json",   "keys",  "log",      "map",     "notify", "patch",  "peers",
    "post",  "progress", "put",    "race",  "read",     "request", "retry",  "router", "save",
    "send",  "set",      "skip",   "sleep", "sse",      "stream"};

/* "attempt to call a nil value (field 'sned')": yours; NULL: it is no such error, or nothing is
 * close. */
static char *suggest_function(const char *text)
{
    static const char before[] = "attempt to call a nil value (";
    const char *call = strstr(text, before), *name = call ? strchr(call, '\'') : NULL,
               *end = name ? strchr(name + 1, '\'') : NULL;
    if (!end || (strncmp(call + sizeof before - 1, "field", 5) != 0 &&
                 strncmp(call + sizeof before - 1, "method", 6) != 0))
        return NULL;
    char *word = memory_format("%.*s", (int)(end - name - 1), name + 1);
    struct nearest nearest = {.word = word};
    for (size_t i = 0; i < sizeof api_functions / sizeof *api_functions; i++)
        nearest_offer(&nearest, api_functions[i]);
    char *suggestion = nearest.best ? memory_format("%s; did you mean '%s'?", text, nearest.best)
                                    : NULL;
    free(word);
    return suggestion;
}

char *vm_error_text(struct vm *vm, lua_State *co)
{
    if (lua_type(co, -1) == LUA_TSTRING) {
        char *suggestion = suggest_function(lua_tostring(co, -1));
        return suggestion ? suggestion : memory_copy_text(lua_tostring(co, -1));
    }
    if (lua_type(co, -1) == LUA_TNUMBER)
        return memory_format("%g", lua_tonumber(co, -1));
    if (lua_isnil(co, -1))
        return memory_copy_text("error() was called with nil");
    struct error_text request = {.vm = vm, .co = co};
    char problem[256];
    vm_call(vm, find_error_text, &request, problem, sizeof problem);
    if (request.text)
        return request.text;
    if (lua_istable(co, -1) && has_fields(co))
        return describe_table(co);
    return memory_format("the error object is a %s value", luaL_typename(co, -1));
}
