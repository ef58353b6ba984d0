/* Finds embedded files by the name given to require. */
#include "script/loader.h"

#include "script/embedded.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAXIMUM 200

static const struct embedded_file *find(const char *module, const char *suffix, char *name, size_t size)
{
    int length = snprintf(name, size, "%s", module);
    if (length < 0 || (size_t)length + strlen(suffix) >= size)
        return NULL;
    for (char *dot = name; (dot = strchr(dot, '.')); dot++)
        *dot = '/';
    snprintf(name + length, size - (size_t)length, "%s", suffix);
    return embedded_find(name);
}

static int search(lua_State *L)
{
    const char *module = luaL_checkstring(L, 1);
    char name[NAME_MAXIMUM], chunk[NAME_MAXIMUM + 1];
    const struct embedded_file *file = find(module, ".lua", name, sizeof name);
    if (!file)
        file = find(module, "/init.lua", name, sizeof name);
    if (!file) {
        lua_pushfstring(L, "no embedded file for '%s'", module);
        return 1;
    }
    snprintf(chunk, sizeof chunk, "@%s", name);
    if (luaL_loadbufferx(L, (const char *)file->data, file->length, chunk, "t") != LUA_OK)
        return luaL_error(L, "embedded file %s does not load: %s", name, lua_tostring(L, -1));
    lua_pushstring(L, name);
    return 2;
}

void loader_install(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, "package");
    lua_getfield(L, -1, "searchers");
    for (lua_Integer i = luaL_len(L, -1); i >= 2; i--) {
        lua_rawgeti(L, -1, i);
        lua_rawseti(L, -2, i + 1);
    }
    lua_pushcfunction(L, search);
    lua_rawseti(L, -2, 2);
    lua_pop(L, 3);
}
