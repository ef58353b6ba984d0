/* What is wrong with a script, or a backend's name, as far as can be told without running it. */
#include "script/embedded.h"
#include "script/script.h"

#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>

static bool is_embedded(const char *backend)
{
    char name[256];
    snprintf(name, sizeof name, "molecule/backends/%s.lua", backend);
    return embedded_find(name) != NULL;
}

/* package.searchpath(backend, package.path) */
static int find_backend(lua_State *L)
{
    const char *backend = lua_touserdata(L, 1);
    luaL_requiref(L, LUA_LOADLIBNAME, luaopen_package, 0);
    lua_getfield(L, -1, "searchpath");
    lua_pushstring(L, backend);
    lua_getfield(L, -3, "path");
    lua_call(L, 2, 1);
    if (lua_isnil(L, -1))
        return luaL_error(L, "no backend \"%s\": the binary has %s, and no %s.lua is on LUA_PATH",
                          backend, embedded_backends(), backend);
    return 0;
}

static bool run_check(lua_State *L, const struct script_settings *settings, char *problem,
                      size_t problem_size)
{
    int status = LUA_OK;
    if (settings->options->script) {
        status = luaL_loadfilex(L, settings->options->script, "t");
    } else if (!is_embedded(settings->options->backend)) {
        lua_pushcfunction(L, find_backend);
        lua_pushlightuserdata(L, (void *)settings->options->backend);
        status = lua_pcall(L, 1, 0, 0);
    }
    if (status != LUA_OK)
        snprintf(problem, problem_size, "%s",
                 lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "no memory");
    return status == LUA_OK;
}

bool script_check(const struct script_settings *settings, char *problem, size_t problem_size)
{
    lua_State *L = luaL_newstate();
    if (!L) {
        snprintf(problem, problem_size, "not enough memory for a Lua state");
        return false;
    }
    bool fine = run_check(L, settings, problem, problem_size);
    lua_close(L);
    return fine;
}

const char *script_lua_version(void)
{
    return LUA_VERSION_MAJOR "." LUA_VERSION_MINOR "." LUA_VERSION_RELEASE;
}

const char *script_backend_names(void)
{
    return embedded_backends();
}
