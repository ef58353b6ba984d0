/* The ctx that the agent's functions are given. */
#include "base/clock.h"
#include "script/agent.h"
#include "script/handler.h"
#include "script/vm.h"

#include <lauxlib.h>
#include <string.h>

void agent_push_options(lua_State *L, const struct molecule_option *options, size_t count)
{
    lua_createtable(L, 0, (int)count);
    for (size_t i = 0; i < count; i++) {
        lua_pushstring(L, options[i].value);
        lua_setfield(L, -2, options[i].name);
    }
}

void agent_push_function(lua_State *L, const char *module, const char *name)
{
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, module) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_getglobal(L, "require");
        lua_pushstring(L, module);
        lua_call(L, 1, 1);
    }
    lua_getfield(L, -1, name);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

static const char context_key = 0; /* registry: the metatable of ctx */

static const struct {
    const char *name, *module;
} later[] = {{"step", "molecule.steps"},
             {"sleep", "molecule.steps"},
             {"sleep_until", "molecule.steps"},
             {"ask", "molecule.questions"},
             {"auth_required", "molecule.questions"},
             {"artifact", "molecule.artifacts"}};
#define LATER_COUNT (sizeof later / sizeof *later)

/* ctx.step and its like are loaded when they are first used: most handlers do not. */
static int index_context(lua_State *L)
{
    const char *name = lua_tostring(L, 2);
    for (size_t i = 0; name && i < LATER_COUNT; i++)
        if (strcmp(name, later[i].name) == 0) {
            agent_push_function(L, later[i].module, name);
            return 1;
        }
    lua_pushnil(L);
    return 1;
}

static int pairs_of_context(lua_State *L)
{
    for (size_t i = 0; i < LATER_COUNT; i++) {
        agent_push_function(L, later[i].module, later[i].name);
        lua_setfield(L, 1, later[i].name);
    }
    lua_getglobal(L, "next");
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

/* To the table on top. */
static void set_context_metatable(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &context_key) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 3);
        lua_pushcfunction(L, index_context);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, pairs_of_context);
        lua_setfield(L, -2, "__pairs");
        lua_pushboolean(L, false);
        lua_setfield(L, -2, "__metatable");
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &context_key);
    }
    lua_setmetatable(L, -2);
}

void agent_push_context(lua_State *L, const struct handler *handler)
{
    const struct molecule_workspace_options *options = handler->vm->settings->options;
    lua_createtable(L, 0, 7);
    lua_pushstring(L, options->id);
    lua_setfield(L, -2, "workspace");
    agent_push_options(L, options->script_options, options->script_option_count);
    lua_setfield(L, -2, "options");
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, "molecule") != LUA_TTABLE) { /* the script has not required it yet */
        lua_pop(L, 1);
        lua_getglobal(L, "require");
        lua_pushliteral(L, "molecule");
        lua_call(L, 1, 1);
    }
    lua_getfield(L, -1, "log");
    lua_setfield(L, -4, "log");
    lua_getfield(L, -2, "molecule.core");
    lua_getfield(L, -1, "progress");
    lua_setfield(L, -5, "progress");
    lua_pop(L, 3);
    if (!handler->job)
        return;
    set_context_metatable(L);
    lua_pushinteger(L, handler->job->attempt);
    lua_setfield(L, -2, "attempt");
    lua_pushboolean(L, handler->job->redelivered);
    lua_setfield(L, -2, "redelivered");
    if (handler->deadline_ms) {
        lua_pushnumber(
            L, (lua_Number)(clock_wall_ms() + handler->deadline_ms - clock_monotonic_ms()) / 1000);
        lua_setfield(L, -2, "deadline");
    }
}
