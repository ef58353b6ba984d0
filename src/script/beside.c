#include "script/beside.h"

#include <limits.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void push_directory(lua_State *L, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        lua_pushliteral(L, ".");
    else if (slash == path)
        lua_pushliteral(L, "/");
    else
        lua_pushlstring(L, path, (size_t)(slash - path));
}

static bool is_same(const char *one, const char *other)
{
    struct stat first, second;
    return stat(one, &first) == 0 && stat(other, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

/* Pushes the script's directory and, if it differs, that of the file the link points to. Returns
 * how many. */
static int push_directories(lua_State *L, const char *script_path)
{
    char real[PATH_MAX];
    push_directory(L, script_path);
    if (!realpath(script_path, real))
        return 1;
    push_directory(L, real);
    if (!is_same(lua_tostring(L, -2), lua_tostring(L, -1)))
        return 2;
    lua_pop(L, 1);
    return 1;
}

/* In package.path ";" separates and "?" is the module. */
static bool can_be_named(const char *directory)
{
    return !strpbrk(directory, ";?");
}

void beside_prepend_path(lua_State *L, const char *script_path)
{
    int top = lua_gettop(L), count = push_directories(L, script_path);
    lua_getglobal(L, LUA_LOADLIBNAME);
    lua_getfield(L, -1, "path");
    for (int i = count; i > 0; i--) {
        const char *directory = lua_tostring(L, top + i);
        if (!can_be_named(directory))
            continue;
        lua_pushfstring(L, "%s/?.lua;%s/?/init.lua;%s", directory, directory, lua_tostring(L, -1));
        lua_replace(L, -2);
    }
    lua_setfield(L, -2, "path");
    lua_settop(L, top);
}

static bool is_readable(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file)
        fclose(file);
    return file != NULL;
}

bool beside_find(lua_State *L, const char *script_path, const char *module)
{
    static const char *const endings[] = {".lua", "/init.lua"};
    int top = lua_gettop(L), count = push_directories(L, script_path);
    const char *name = luaL_gsub(L, module, ".", LUA_DIRSEP);
    lua_pushliteral(L, "");
    for (int i = 0; i < 2 * count; i++) {
        const char *directory = lua_tostring(L, top + 1 + i / 2);
        if (can_be_named(directory))
            continue;
        const char *path = lua_pushfstring(L, "%s/%s%s", directory, name, endings[i % 2]);
        if (is_readable(path)) {
            lua_replace(L, top + 1);
            lua_settop(L, top + 1);
            return true;
        }
        lua_pushfstring(L, "%s\n\tno file '%s'", lua_tostring(L, -2), path);
        lua_replace(L, -3);
        lua_pop(L, 1);
    }
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
    return false;
}
