/* molecule.exec{argv | cmd, stdin, env, cwd, timeout, max_output} and os.execute. */
#include "base/clock.h"
#include "base/memory.h"
#include "script/api.h"
#include "script/process.h"

#include <lualib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OUTPUT_DEFAULT (1024 * 1024)
#define OUTPUT_MAXIMUM (64 * 1024 * 1024)

static void free_list(char **list)
{
    for (char **item = list; list && *item; item++)
        free(*item);
    free(list);
}

/* Everything is checked, and may raise, before anything is allocated. */
static void check_strings(lua_State *L, int table, const char *field)
{
    lua_Integer count = luaL_len(L, table);
    if (count < 1 || count > 10000)
        luaL_error(L, "exec: %s must be a list of 1 to 10000 strings", field);
    for (lua_Integer i = 1; i <= count; i++) {
        size_t length;
        if (lua_geti(L, table, i) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER)
            luaL_error(L, "exec: %s[%d] is a %s, not a string", field, (int)i, luaL_typename(L, -1));
        if (strlen(lua_tolstring(L, -1, &length)) != length)
            luaL_error(L, "exec: %s[%d] holds a zero byte", field, (int)i);
        lua_seti(L, table, i); /* a number is a string from now on */
    }
}

static char **copy_strings(lua_State *L, int table)
{
    size_t count = lua_rawlen(L, table);
    char **list = memory_allocate((count + 1) * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, table, (lua_Integer)i + 1);
        list[i] = memory_copy_text(lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    return list;
}

/* Ours with the changes of the table at `index`; a value of false removes a variable. */
static char **make_environment(lua_State *L, int index)
{
    size_t count = 0, kept = 0;
    while (environ[count])
        count++;
    lua_pushnil(L);
    size_t changes = 0;
    while (lua_next(L, index)) {
        changes++;
        lua_pop(L, 1);
    }
    char **list = memory_allocate((count + changes + 1) * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        const char *equals = strchr(environ[i], '=');
        bool replaced = false;
        lua_pushnil(L);
        while (equals && lua_next(L, index)) {
            const char *name = lua_tostring(L, -2);
            replaced = replaced || (strlen(name) == (size_t)(equals - environ[i]) &&
                                    strncmp(name, environ[i], strlen(name)) == 0);
            lua_pop(L, 1);
        }
        if (!equals)
            lua_pop(L, 1);
        if (!replaced)
            list[kept++] = memory_copy_text(environ[i]);
    }
    lua_pushnil(L);
    while (lua_next(L, index)) {
        if (lua_type(L, -1) == LUA_TSTRING)
            list[kept++] = memory_format("%s=%s", lua_tostring(L, -2), lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    return list;
}

static void check_environment(lua_State *L, int index)
{
    lua_pushnil(L);
    while (lua_next(L, index)) {
        if (lua_type(L, -2) != LUA_TSTRING || strchr(lua_tostring(L, -2), '='))
            luaL_error(L, "exec: env must be a table of NAME = value");
        if (lua_type(L, -1) != LUA_TSTRING && !(lua_isboolean(L, -1) && !lua_toboolean(L, -1)))
            luaL_error(L, "exec: env.%s must be a string, or false to remove it", lua_tostring(L, -2));
        lua_pop(L, 1);
    }
}

struct exec_context {
    int64_t timeout_ms;
};

static int push_exec_result(lua_State *L, const struct process_result *result, void *context)
{
    const struct exec_context *exec = context;
    if (result->timed_out) {
        lua_pushnil(L);
        lua_pushfstring(L, "timed out after %f s; the whole process group was ended", (double)exec->timeout_ms / 1000);
        lua_pushliteral(L, "TIMEOUT");
    }
    lua_createtable(L, 0, 5);
    lua_pushinteger(L, result->code);
    lua_setfield(L, -2, "code");
    if (result->signal) {
        lua_pushinteger(L, result->signal);
        lua_setfield(L, -2, "signal");
    }
    lua_pushlstring(L, result->output, result->output_length);
    lua_setfield(L, -2, "stdout");
    lua_pushlstring(L, result->errors, result->errors_length);
    lua_setfield(L, -2, "stderr");
    lua_pushboolean(L, result->output_cut);
    lua_setfield(L, -2, "truncated");
    return result->timed_out ? 4 : 1;
}

static int64_t duration_field(lua_State *L, int table, const char *field, int64_t fallback)
{
    int64_t milliseconds = fallback;
    int type = lua_getfield(L, table, field);
    if (type == LUA_TNUMBER && lua_tonumber(L, -1) > 0 && lua_tonumber(L, -1) < 1e9)
        milliseconds = (int64_t)(lua_tonumber(L, -1) * 1000);
    else if (type != LUA_TNIL && !(type == LUA_TSTRING && clock_parse_duration(lua_tostring(L, -1), &milliseconds)))
        luaL_error(L, "exec: %s must be a number of seconds or a duration like \"60s\" or \"5m\"", field);
    lua_pop(L, 1);
    return milliseconds;
}

static int fail_to_start(lua_State *L, const char *program, int error)
{
    lua_pushnil(L);
    lua_pushfstring(L, "cannot run %s: %s", program, uv_strerror(error));
    lua_pushstring(L, uv_err_name(error));
    return 3;
}

/* Leaves the argument list at the stack's top. */
static void push_arguments(lua_State *L)
{
    bool has_cmd = lua_getfield(L, 1, "cmd") != LUA_TNIL;
    bool has_argv = lua_getfield(L, 1, "argv") != LUA_TNIL;
    if (has_cmd == has_argv)
        luaL_error(L, "exec: give either argv = {program, …} or cmd = \"shell command\"");
    if (has_argv) {
        luaL_checktype(L, -1, LUA_TTABLE);
        return;
    }
    lua_createtable(L, 3, 0);
    lua_pushliteral(L, "/bin/sh");
    lua_rawseti(L, -2, 1);
    lua_pushliteral(L, "-c");
    lua_rawseti(L, -2, 2);
    lua_pushvalue(L, -3);
    lua_rawseti(L, -2, 3);
}

static int api_exec(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    vm_check_await(L, "molecule.exec");
    push_arguments(L);
    int arguments = lua_gettop(L);
    check_strings(L, arguments, "argv");
    int64_t timeout_ms = duration_field(L, 1, "timeout", 0);
    lua_getfield(L, 1, "max_output");
    lua_Integer maximum = luaL_optinteger(L, -1, OUTPUT_DEFAULT);
    luaL_argcheck(L, maximum >= 0 && maximum <= OUTPUT_MAXIMUM, 1, "max_output must be between 0 and 64 MiB");
    lua_getfield(L, 1, "cwd");
    const char *directory = luaL_optstring(L, -1, NULL);
    lua_getfield(L, 1, "stdin");
    size_t input_length = 0;
    const char *input = luaL_optlstring(L, -1, NULL, &input_length);
    bool environment = lua_getfield(L, 1, "env") != LUA_TNIL;
    if (environment) {
        luaL_checktype(L, -1, LUA_TTABLE);
        check_environment(L, lua_gettop(L));
    }
    struct exec_context *context = memory_allocate(sizeof *context);
    context->timeout_ms = timeout_ms;
    struct process_request request = {
        .argv = copy_strings(L, arguments),
        .environment = environment ? make_environment(L, lua_gettop(L)) : NULL,
        .directory = directory,
        .input = input,
        .input_length = input_length,
        .timeout_ms = timeout_ms,
        .output_maximum = (size_t)maximum,
    };
    int error;
    struct operation *operation = process_start(vm_of(L)->loop, &request, push_exec_result, context, &error);
    free_list(request.argv);
    free_list(request.environment);
    if (!operation) {
        lua_rawgeti(L, arguments, 1);
        return fail_to_start(L, lua_tostring(L, -1), error);
    }
    return vm_await(L, operation);
}

static int push_execute_result(lua_State *L, const struct process_result *result, void *context)
{
    (void)context;
    if (result->code == 0)
        lua_pushboolean(L, true);
    else
        luaL_pushfail(L);
    lua_pushstring(L, result->signal ? "signal" : "exit");
    lua_pushinteger(L, result->signal ? result->signal : result->code);
    return 3;
}

/* os.execute([command]): as Lua's, but other conversations go on meanwhile. */
static int api_execute(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_pushboolean(L, true);
        return 1;
    }
    luaL_checkstring(L, 1);
    vm_check_await(L, "os.execute");
    char *argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)lua_tostring(L, 1), NULL};
    struct process_request request = {.argv = argv, .inherit = true};
    int error;
    struct operation *operation = process_start(vm_of(L)->loop, &request, push_execute_result, NULL, &error);
    if (!operation)
        return fail_to_start(L, "/bin/sh", error);
    return vm_await(L, operation);
}

void api_exec_install(lua_State *L)
{
    lua_pushcfunction(L, api_exec);
    lua_setfield(L, -2, "exec");
    lua_getglobal(L, LUA_OSLIBNAME);
    lua_pushcfunction(L, api_execute);
    lua_setfield(L, -2, "execute");
    lua_pop(L, 1);
}
