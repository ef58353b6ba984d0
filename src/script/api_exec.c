/* molecule.exec{argv | cmd, stdin, env, cwd, timeout, max_output} and os.execute. */
#include "base/clock.h"
#include "base/memory.h"
#include "script/api.h"
#include "script/command.h"
#include "script/process.h"
#include "script/sandbox.h"

#include <lualib.h>
#include <math.h>
#include <stdlib.h>

#define OUTPUT_DEFAULT (1024 * 1024)
#define OUTPUT_MAXIMUM (64 * 1024 * 1024)

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

/* Milliseconds, at least 1; 0 where there is no such field. */
static int64_t duration_field(lua_State *L, int table, const char *field)
{
    int64_t milliseconds = 0;
    int type = lua_getfield(L, table, field);
    if (type == LUA_TNUMBER && lua_tonumber(L, -1) > 0 && lua_tonumber(L, -1) < 1e9)
        milliseconds = (int64_t)ceil(lua_tonumber(L, -1) * 1000);
    else if (type == LUA_TSTRING)
        clock_parse_duration(lua_tostring(L, -1), &milliseconds);
    if (type != LUA_TNIL && milliseconds == 0)
        luaL_error(L, "exec: %s must be a number of seconds above 0 or a duration like \"60s\" or \"5m\"", field);
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

static int api_exec(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    vm_check_await(L, "molecule.exec");
    command_push_arguments(L, "exec");
    int arguments = lua_gettop(L);
    int64_t timeout_ms = duration_field(L, 1, "timeout");
    lua_getfield(L, 1, "max_output");
    lua_Integer maximum = luaL_optinteger(L, -1, OUTPUT_DEFAULT);
    luaL_argcheck(L, maximum >= 0 && maximum <= OUTPUT_MAXIMUM, 1, "max_output must be between 0 and 64 MiB");
    lua_getfield(L, 1, "cwd");
    const char *directory = luaL_optstring(L, -1, NULL);
    lua_getfield(L, 1, "stdin");
    size_t input_length = 0;
    const char *input = luaL_optlstring(L, -1, NULL, &input_length);
    command_push_environment(L, "exec");
    int environment = lua_gettop(L);
    struct exec_context *context = memory_allocate(sizeof *context);
    context->timeout_ms = timeout_ms;
    struct process_request request = {
        .argv = command_copy_arguments(L, arguments),
        .environment = command_make_environment(L, environment),
        .directory = directory,
        .input = input,
        .input_length = input_length,
        .timeout_ms = timeout_ms,
        .output_maximum = (size_t)maximum,
    };
    int error;
    struct operation *operation = process_start(vm_of(L)->loop, &request, push_exec_result, context, &error);
    command_free_list(request.argv);
    command_free_list(request.environment);
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
    if (sandbox_is_on(vm_of(L)))
        sandbox_push_refusal(L, "molecule.exec", NULL);
    else
        lua_pushcfunction(L, api_exec);
    lua_setfield(L, -2, "exec");
}

void api_execute_install(lua_State *L)
{
    lua_getglobal(L, LUA_OSLIBNAME);
    lua_pushcfunction(L, api_execute);
    lua_setfield(L, -2, "execute");
    lua_pop(L, 1);
}
