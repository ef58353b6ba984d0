#include "script/emulator_host.h"

#include "base/log.h"

#include <lauxlib.h>

static const char host_key = 0; /* registry: the emulator_host */

void emulator_host_bind(lua_State *L, struct emulator_host *host)
{
    lua_pushlightuserdata(L, host);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &host_key);
}

struct emulator_host *emulator_host_of(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &host_key);
    struct emulator_host *host = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return host;
}

static int traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

bool emulator_host_call(struct emulator_host *host, int arguments, const char *what)
{
    lua_State *L = host->L;
    int handler = lua_gettop(L) - arguments;
    lua_pushcfunction(L, traceback);
    lua_insert(L, handler);
    bool done = lua_pcall(L, arguments, 0, handler) == LUA_OK;
    if (!done) {
        log_error(LOG_EMULATOR_FAILED, ((struct log_subject){.part = "emulator"}), "%s: %s", what,
                  lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    lua_remove(L, handler);
    return done;
}
