/* Opens the emulator's Lua state and its server, and closes them. */
#include "script/emulator.h"

#include "base/memory.h"
#include "net/http_server.h"
#include "script/emulator_host.h"
#include "script/json.h"
#include "script/loader.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

struct emulator {
    struct emulator_host host;
};

struct opening {
    struct emulator *emulator;
    const struct emulator_options *options;
};

static void set_text(lua_State *L, const char *name, const char *value)
{
    if (!value)
        return;
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

/* Runs protected: (lightuserdata opening). */
static int start(lua_State *L)
{
    const struct opening *opening = lua_touserdata(L, 1);
    const struct emulator_options *options = opening->options;
    luaL_openlibs(L);
    loader_install(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_molecule_json);
    lua_setfield(L, -2, "molecule.json");
    emulator_host_install(L, &opening->emulator->host);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "molecule.emulator");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "start");
    lua_newtable(L);
    set_text(L, "profile", options->profile ? options->profile : "latest");
    set_text(L, "org_id", options->org_id);
    set_text(L, "admin_token", options->admin_token);
    set_text(L, "workspace", options->workspace);
    lua_pushinteger(L, options->rate_limit);
    lua_setfield(L, -2, "rate_limit");
    lua_pushnumber(L, options->stale_seconds);
    lua_setfield(L, -2, "stale_seconds");
    lua_call(L, 1, 0);
    return 0;
}

static bool start_lua(struct emulator *emulator, const struct emulator_options *options, char *problem, size_t size)
{
    struct opening opening = {emulator, options};
    lua_State *L = luaL_newstate();
    if (!L) {
        snprintf(problem, size, "not enough memory for the emulator");
        return false;
    }
    emulator->host.L = L;
    lua_pushcfunction(L, start);
    lua_pushlightuserdata(L, &opening);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK)
        return true;
    const char *message = lua_tostring(L, -1);
    snprintf(problem, size, "the emulator does not start: %s", message ? message : "unknown error");
    return false;
}

struct emulator *emulator_open(uv_loop_t *loop, const struct emulator_options *options, char *problem,
                               size_t problem_size)
{
    struct emulator *emulator = memory_allocate(sizeof *emulator);
    emulator->host = (struct emulator_host){.loop = loop, .on_quit = options->on_quit, .context = options->context};
    struct http_server_options server = {.address = options->address, .port = options->port,
        .on_request = emulator_host_request, .on_gone = emulator_host_gone, .context = &emulator->host};
    if (!start_lua(emulator, options, problem, problem_size) ||
        !(emulator->host.server = http_server_open(loop, &server, problem, problem_size))) {
        emulator_close(emulator);
        return NULL;
    }
    return emulator;
}

uint16_t emulator_port(const struct emulator *emulator)
{
    return http_server_port(emulator->host.server);
}

void emulator_close(struct emulator *emulator)
{
    if (!emulator)
        return;
    http_server_close(emulator->host.server);
    emulator_host_close(&emulator->host);
    if (emulator->host.L)
        lua_close(emulator->host.L);
    free(emulator);
}
