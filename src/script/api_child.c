/* core.child{argv | cmd, env, cwd, name}: a program that outlives the handler that started it and
 * serves all handlers of its state. It ends when the state does, or when nothing refers to it any
 * more. `name` (argv[1]) is what log lines call it. lua/molecule/backends/stdio.lua uses it. */
#include "base/memory.h"
#include "script/api.h"
#include "script/child.h"
#include "script/command.h"
#include "script/json.h"
#include "script/sandbox.h"
#include "script/subprocess.h"
#include "script/vm.h"
#include "script/vm_await.h"

/* of a userdata that holds a struct child *; NULL: it never ran */
#define CHILD_METATABLE "molecule.child"
#define SECONDS_MAXIMUM 1e6
#define GRACE_MAXIMUM 60.0

static struct child *check_child(lua_State *L)
{
    struct child *child = *(struct child **)luaL_checkudata(L, 1, CHILD_METATABLE);
    luaL_argcheck(L, child, 1, "the program was never started");
    return child;
}

/* child:write(bytes) -> true, or nil, message, CODE (ENDED, FULL); what the program does not read
 * at once is queued */
static int child_write_method(lua_State *L)
{
    struct child *child = check_child(L);
    size_t length;
    const char *bytes = luaL_checklstring(L, 2, &length);
    if (child_write(child, bytes, length)) {
        lua_pushboolean(L, true);
        return 1;
    }
    luaL_pushfail(L);
    if (child_is_running(child))
        lua_pushfstring(L, "it is not reading its input: more than %d MiB queued",
                        (int)(CHILD_QUEUE_MAXIMUM >> 20));
    else
        lua_pushfstring(L, "it has ended: %s", child_describe(child));
    lua_pushstring(L, child_is_running(child) ? "FULL" : "ENDED");
    return 3;
}

static int push_end(lua_State *L, const struct child *child)
{
    luaL_pushfail(L);
    lua_pushfstring(L, "it ended before it answered: %s", child_describe(child));
    lua_pushliteral(L, "ENDED");
    return 3;
}

static int push_answer(lua_State *L, struct operation *operation)
{
    const struct child_waiter *waiter = (const struct child_waiter *)operation;
    if (waiter->state == CHILD_ANSWERED) {
        json_push(L, waiter->answer);
        return 1;
    }
    if (waiter->state == CHILD_ENDED)
        return push_end(L, waiter->child);
    luaL_pushfail(L);
    lua_pushliteral(L, "it did not answer in time");
    lua_pushliteral(L, "TIMEOUT");
    return 3;
}

/* child:await(id, seconds) -> the line whose "id" it is, as a value, or nil, message, CODE (ENDED,
 * TIMEOUT) */
static int child_await(lua_State *L)
{
    struct child *child = check_child(L);
    lua_Integer id = luaL_checkinteger(L, 2);
    lua_Number seconds = luaL_checknumber(L, 3);
    luaL_argcheck(L, seconds > 0 && seconds <= SECONDS_MAXIMUM, 3,
                  "seconds must be above 0 and at most 1e6");
    vm_check_await(L, "a program's await");
    if (!child_is_running(child))
        return push_end(L, child);
    struct child_waiter *waiter = child_wait_for(child, id, (int64_t)(seconds * 1000) + 1);
    waiter->operation.results = push_answer;
    return vm_await(L, &waiter->operation);
}

static int push_nothing(lua_State *L, struct operation *operation)
{
    (void)L;
    (void)operation;
    return 0;
}

/* child:close(seconds): closes its standard input, waits that long for its exit, then kills its
 * process group */
static int child_close(lua_State *L)
{
    struct child *child = check_child(L);
    lua_Number seconds = luaL_checknumber(L, 2);
    luaL_argcheck(L, seconds >= 0 && seconds <= GRACE_MAXIMUM, 2,
                  "seconds must be between 0 and 60");
    vm_check_await(L, "a program's close");
    if (child_is_over(child))
        return 0;
    struct child_waiter *waiter = child_stop(child, (int64_t)(seconds * 1000));
    waiter->operation.results = push_nothing;
    return vm_await(L, &waiter->operation);
}

/* child:is_running() */
static int child_running(lua_State *L)
{
    lua_pushboolean(L, child_is_running(check_child(L)));
    return 1;
}

static int child_collect(lua_State *L)
{
    struct child **slot = luaL_checkudata(L, 1, CHILD_METATABLE);
    if (*slot)
        child_free(*slot);
    *slot = NULL;
    return 0;
}

static int api_child(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    command_push_arguments(L, "child");
    int arguments = lua_gettop(L);
    command_push_environment(L, "child");
    int environment = lua_gettop(L);
    lua_getfield(L, 1, "cwd");
    const char *directory = luaL_optstring(L, -1, NULL);
    lua_rawgeti(L, arguments, 1);
    lua_getfield(L, 1, "name");
    const char *name = luaL_optstring(L, -1, lua_tostring(L, -2));
    struct vm *vm = vm_of(L);
    if (!vm->running)
        return luaL_error(L, "a program cannot be started here");
    lua_rawgeti(L, arguments, 1);
    if (!subprocess_allowed(L, lua_tostring(L, -1)))
        return 3;
    lua_pop(L, 1);
    struct child **slot = lua_newuserdatauv(L, sizeof *slot, 0);
    *slot = NULL;
    luaL_setmetatable(L, CHILD_METATABLE);
    char **argv = command_copy_arguments(L, arguments),
         **variables = command_make_environment(L, environment);
    int error;
    *slot = child_start(vm, name, argv, variables, directory, &error);
    command_free_list(argv);
    command_free_list(variables);
    if (*slot)
        return 1;
    luaL_pushfail(L);
    lua_rawgeti(L, arguments, 1);
    lua_pushfstring(L, "cannot run %s: %s", lua_tostring(L, -1), uv_strerror(error));
    lua_remove(L, -2);
    lua_pushstring(L, uv_err_name(error));
    return 3;
}

void api_child_install(lua_State *L)
{
    static const luaL_Reg methods[] = {{"write", child_write_method},
                                       {"await", child_await},
                                       {"close", child_close},
                                       {"is_running", child_running},
                                       {NULL, NULL}};
    luaL_newmetatable(L, CHILD_METATABLE);
    lua_pushcfunction(L, child_collect);
    lua_setfield(L, -2, "__gc");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    if (sandbox_is_on(vm_of(L)))
        sandbox_push_refusal(L, "molecule.core.child", NULL);
    else
        lua_pushcfunction(L, api_child);
    lua_setfield(L, -2, "child");
}
