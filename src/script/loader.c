#include "script/loader.h"

#include "script/beside.h"
#include "script/embedded.h"
#include "script/vm.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LOADER_EMBEDDED "=" /* what the names of embedded chunks begin with; files have "@" */

static int search_embedded(lua_State *L)
{
    const char *module = luaL_checkstring(L, 1);
    const char *path = luaL_gsub(L, module, ".", "/");
    static const char *const endings[] = {".lua", "/init.lua"};
    for (size_t i = 0; i < 2; i++) {
        char name[256];
        snprintf(name, sizeof name, "%s%s", path, endings[i]);
        const struct embedded_file *file = embedded_find(name);
        if (!file)
            continue;
        const char *chunk = lua_pushfstring(L, LOADER_EMBEDDED "%s", name);
        if (luaL_loadbufferx(L, (const char *)file->data, file->length, chunk, "t") != LUA_OK)
            return lua_error(L);
        lua_pushstring(L, name);
        return 2;
    }
    lua_pushfstring(L, "no module '%s' in the binary", module);
    return 1;
}

bool loader_is_embedded(const char *source)
{
    size_t length = strlen(LOADER_EMBEDDED);
    return strncmp(source, LOADER_EMBEDDED, length) == 0 && embedded_find(source + length);
}

void loader_note_file(struct vm *vm, const char *path)
{
    struct stat found;
    if (stat(path, &found) != 0)
        return;
    int64_t changed_ms = (int64_t)found.st_mtim.tv_sec * 1000 + found.st_mtim.tv_nsec / 1000000;
    if (changed_ms > vm->files_changed_ms)
        vm->files_changed_ms = changed_ms;
}

/* Loads the file whose name is on top as the module at 1. */
int loader_load_file(lua_State *L)
{
    const char *name = lua_tostring(L, -1);
    struct vm *vm = vm_of(L);
    loader_note_file(vm, name);
    if (vm->on_file) /* also for one with a mistake in it: it will change */
        vm->on_file(vm->script, name);
    if (luaL_loadfilex(L, name, "t") != LUA_OK)
        return luaL_error(L, "cannot load module '%s': %s", lua_tostring(L, 1),
                          lua_tostring(L, -1));
    lua_pushstring(L, name);
    return 2;
}

bool loader_find_beside(lua_State *L)
{
    const struct vm *vm = vm_of(L);
    if (vm->settings->options->script)
        return beside_find(L, vm->settings->options->script, luaL_checkstring(L, 1));
    lua_pushliteral(L, "");
    return false;
}

/* Lua's own searcher for files would load bytecode. */
static int search_files(lua_State *L)
{
    luaL_checkstring(L, 1);
    lua_settop(L, 1);
    if (loader_find_beside(L))
        return loader_load_file(L);
    lua_getglobal(L, LUA_LOADLIBNAME);
    lua_getfield(L, -1, "searchpath");
    lua_pushvalue(L, 1);
    lua_getfield(L, -3, "path");
    lua_call(L, 2, 2);
    if (lua_isnil(L, -2)) {
        lua_pushfstring(L, "%s%s", lua_tostring(L, -1), lua_tostring(L, 2)); /* where it looked */
        return 1;
    }
    lua_pop(L, 1);
    return loader_load_file(L);
}

void loader_install(lua_State *L)
{
    lua_getglobal(L, LUA_LOADLIBNAME);
    lua_getfield(L, -1, "searchers");
    lua_pushcfunction(L, search_files);
    lua_rawseti(L, -2, 2);
    lua_pop(L, 2);
    loader_install_embedded(L);
}

void loader_install_embedded(lua_State *L)
{
    lua_getglobal(L, LUA_LOADLIBNAME);
    lua_getfield(L, -1, "searchers");
    /* 1 preload, 2 files, 3 C, 4 all-in-one -> 1 preload, 2 embedded, 3 files, … */
    for (lua_Integer i = (lua_Integer)lua_rawlen(L, -1); i >= 2; i--) {
        lua_rawgeti(L, -1, i);
        lua_rawseti(L, -2, i + 1);
    }
    lua_pushcfunction(L, search_embedded);
    lua_rawseti(L, -2, 2);
    lua_pop(L, 2);
}
