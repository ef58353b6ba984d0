#include "script/test_runner.h"

#include "base/terminal.h"
#include "script/json.h"
#include "script/loader.h"

#include <lauxlib.h>
#include <lualib.h>

struct words {
    int count;
    char **texts;
};

/* `require "molecule.testing.version_text"` */
static int open_version(lua_State *L)
{
    lua_pushliteral(L, MOLECULE_VERSION);
    return 1;
}

static int traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

static void preload(lua_State *L, const char *name, lua_CFunction open)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, open);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

/* Runs protected: (lightuserdata words). */
static int run(lua_State *L)
{
    const struct words *words = lua_touserdata(L, 1);
    luaL_openlibs(L);
    loader_install_embedded(L);
    preload(L, "molecule.json", luaopen_molecule_json);
    preload(L, "molecule.testing.version_text", open_version);
    lua_createtable(L, words->count, 1);
    lua_pushliteral(L, "busted");
    lua_rawseti(L, -2, 0);
    for (int i = 0; i < words->count; i++) {
        lua_pushstring(L, words->texts[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setglobal(L, "arg");
    lua_getglobal(L, "require");
    lua_pushliteral(L, "molecule.testing.run");
    lua_call(L, 1, 0);
    return 0;
}

int test_runner_run(int argc, char **argv)
{
    struct words words = {argc, argv};
    lua_State *L = luaL_newstate();
    if (!L) {
        terminal_print(stderr, "molecule test: not enough memory\n");
        return 1;
    }
    lua_pushcfunction(L, traceback);
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, &words);
    int code = 0;
    if (lua_pcall(L, 1, 0, 1) != LUA_OK) {
        terminal_print(stderr, "molecule test: %s\n", lua_tostring(L, -1));
        code = 1;
    }
    lua_close(L);
    return code;
}
