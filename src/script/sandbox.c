/* The libraries are cut down to lists of what stays, so that what a later Lua adds does not slip
 * in. A removed function is replaced by one that says so. C modules cannot load, and Lua modules
 * only from where package.path pointed when the script was loaded: the script can change the field,
 * but not what `require` uses. */
#include "script/sandbox.h"

#include "net/allowed_hosts.h"
#include "script/embedded.h"
#include "script/loader.h"
#include "script/vm.h"

#include <lualib.h>
#include <string.h>

#define MODULE_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."

bool sandbox_is_on(const struct vm *vm)
{
    return vm->settings && vm->settings->options->sandbox;
}

bool sandbox_is_offline(const struct vm *vm)
{
    return vm->settings && vm->settings->options->offline;
}

static int refuse(lua_State *L)
{
    const char *why = lua_tostring(L, lua_upvalueindex(2));
    return luaL_error(L, "%s is not in the sandbox (--sandbox)%s%s",
                      lua_tostring(L, lua_upvalueindex(1)), why ? ": " : "", why ? why : "");
}

void sandbox_push_refusal(lua_State *L, const char *name, const char *why)
{
    lua_pushstring(L, name);
    lua_pushstring(L, why);
    lua_pushcclosure(L, refuse, 2);
}

static bool is_listed(const char *const *names, const char *name)
{
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

/* Only the listed fields of the library stay. */
static void keep_only(lua_State *L, const char *library, const char *const *names)
{
    lua_getglobal(L, library);
    int table = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, table)) { /* fields that exist may be changed and removed meanwhile */
        bool function = lua_isfunction(L, -1);
        lua_pop(L, 1);
        const char *name = lua_tostring(L, -1);
        if (is_listed(names, name))
            continue;
        lua_pushvalue(L, -1);
        if (function)
            sandbox_push_refusal(L, lua_pushfstring(L, "%s.%s", library, name), NULL);
        else
            lua_pushnil(L);
        if (function)
            lua_remove(L, -2);
        lua_rawset(L, table);
    }
    lua_settop(L, table - 1);
}

static void refuse_global(lua_State *L, const char *name, const char *why)
{
    sandbox_push_refusal(L, name, why);
    lua_setglobal(L, name);
}

/* --- modules --- */

/* A name that cannot leave the directories of the path: ";" would add a place to it. */
static bool is_module_name(lua_State *L, int index)
{
    size_t length;
    const char *name = luaL_checklstring(L, index, &length);
    return length > 0 && strspn(name, MODULE_LETTERS) == length;
}

/* package.searchpath(name, path): upvalues: Lua's own, the path. */
static int search_path(lua_State *L)
{
    luaL_checkstring(L, 2);
    if (!lua_rawequal(L, 2, lua_upvalueindex(2)) || !is_module_name(L, 1))
        return luaL_error(L, "package.searchpath takes only a module's name and the original "
                             "package.path in the sandbox (--sandbox)");
    lua_settop(L, 2);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 2, LUA_MULTRET);
    return lua_gettop(L);
}

/* A searcher of `require`; the same upvalues. */
static int search_files(lua_State *L)
{
    if (!is_module_name(L, 1)) {
        lua_pushliteral(L, "the names of modules are made of letters, digits, \"_\", \"-\" and "
                           "\".\" in the sandbox");
        return 1;
    }
    lua_settop(L, 1);
    if (loader_find_beside(L))
        return loader_load_file(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, 1);
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_call(L, 2, 2);
    if (lua_isnil(L, -2)) {
        lua_pushfstring(L, "%s%s", lua_tostring(L, -1), lua_tostring(L, 2)); /* where it looked */
        return 1;
    }
    lua_pop(L, 1);
    return loader_load_file(L);
}

/* The binary's own modules but the emulator's, which are written for another state. Upvalue: the
 * searcher for all. */
static int search_embedded(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    if (!is_module_name(L, 1) ||
        strncmp(name, "molecule.emulator", strlen("molecule.emulator")) == 0) {
        lua_pushfstring(L, "module '%s' is not in the sandbox", name);
        return 1;
    }
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, LUA_MULTRET);
    return lua_gettop(L);
}

static void with_search_and_path(lua_State *L, int package, lua_CFunction function)
{
    lua_getfield(L, package, "searchpath");
    lua_getfield(L, package, "path");
    lua_pushcclosure(L, function, 2);
}

static void limit_modules(lua_State *L)
{
    static const char *const kept[] = {"config",    "loaded",     "path", "preload",
                                       "searchers", "searchpath", NULL};
    lua_getglobal(L, LUA_LOADLIBNAME);
    int package = lua_gettop(L);
    lua_createtable(L, 3, 0); /* preload, embedded, files; none for C */
    lua_getfield(L, package, "searchers");
    lua_rawgeti(L, -1, 1);
    lua_rawseti(L, -3, 1);
    lua_rawgeti(L, -1, 2);
    lua_pushcclosure(L, search_embedded, 1);
    lua_rawseti(L, -3, 2);
    lua_pop(L, 1);
    with_search_and_path(L, package, search_files);
    lua_rawseti(L, -2, 3);
    lua_setfield(L, package, "searchers");
    with_search_and_path(L, package, search_path);
    lua_setfield(L, package, "searchpath");
    lua_settop(L, package - 1);
    keep_only(L, LUA_LOADLIBNAME, kept);
}

static void open_hosts(lua_State *L)
{
    struct vm *vm = vm_of(L);
    char problem[512];
    vm->allowed_hosts = allowed_hosts_open(vm->settings->options->allowed_hosts,
                                           vm->settings->options->allowed_host_count, problem,
                                           sizeof problem);
    if (!vm->allowed_hosts)
        luaL_error(L, "--allow-host: %s", problem);
}

void sandbox_install(lua_State *L)
{
    static const char *const nothing[] = {NULL};
    static const char *const os[] = {"clock", "date", "difftime", "time", NULL};
    static const char *const debug[] = {"traceback", NULL};
    open_hosts(L);
    keep_only(L, LUA_IOLIBNAME, nothing);
    keep_only(L, LUA_OSLIBNAME, os);
    keep_only(L, LUA_DBLIBNAME, debug);
    limit_modules(L);
    refuse_global(L, "dofile", "require finds the modules beside the script");
    refuse_global(L, "loadfile", "require finds the modules beside the script");
}
