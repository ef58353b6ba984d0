#include "script/api.h"

#include "base/memory.h"
#include "script/cjson.h"
#include "script/embedded.h"
#include "script/json.h"
#include "script/loader.h"
#include "script/sandbox.h"

#include <stdarg.h>
#include <stdlib.h>

/* core.embedded(module): whether the binary has it. */
static int core_embedded(lua_State *L)
{
    const char *path = luaL_gsub(L, luaL_checkstring(L, 1), ".", "/");
    lua_pushboolean(L, embedded_find(lua_pushfstring(L, "%s.lua", path)) != NULL);
    return 1;
}

int api_refuse_quota(lua_State *L, const char *problem)
{
    luaL_pushfail(L);
    lua_pushstring(L, problem);
    lua_pushliteral(L, "QUOTA");
    return 3;
}

static int raise_at_script(lua_State *L, const char *text)
{
    lua_Debug frame;
    for (int level = 0; lua_getstack(L, level, &frame); level++) {
        lua_getinfo(L, "Sl", &frame);
        if (frame.currentline > 0 && !loader_is_embedded(frame.source)) {
            lua_pushfstring(L, "%s:%d: %s", frame.short_src, frame.currentline, text);
            break;
        }
    }
    return lua_error(L);
}

int api_misuse(lua_State *L, const char *format, ...)
{
    struct handler *handler = vm_of(L)->running;
    va_list arguments;
    va_start(arguments, format);
    const char *text = lua_pushvfstring(L, format, arguments);
    va_end(arguments);
    if (handler) {
        free(handler->misuse);
        handler->misuse = memory_copy_text(text);
    }
    return raise_at_script(L, text);
}

int api_raise(lua_State *L, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const char *text = lua_pushvfstring(L, format, arguments);
    va_end(arguments);
    return raise_at_script(L, text);
}

/* core.misuse(text): as api_misuse. */
static int core_misuse(lua_State *L)
{
    return api_misuse(L, "%s", luaL_checkstring(L, 1));
}

static int open_core(lua_State *L)
{
    lua_newtable(L);
    lua_pushliteral(L, MOLECULE_VERSION);
    lua_setfield(L, -2, "version");
    lua_pushstring(L, script_backend_names());
    lua_setfield(L, -2, "backends");
    lua_pushcfunction(L, core_embedded);
    lua_setfield(L, -2, "embedded");
    lua_pushcfunction(L, core_misuse);
    lua_setfield(L, -2, "misuse");
    lua_pushboolean(L, sandbox_is_on(vm_of(L)));
    lua_setfield(L, -2, "sandbox");
#define X(install) install(L);
    API_PARTS(X)
#undef X
    lua_newtable(L); /* the metatable of skip, retry and dead */
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &vm_verdict_metatable);
    lua_setfield(L, -2, "verdict");
    return 1;
}

void api_install(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, open_core);
    lua_setfield(L, -2, "molecule.core");
    lua_pushcfunction(L, luaopen_molecule_cjson);
    lua_setfield(L, -2, "cjson");
    lua_pushcfunction(L, luaopen_molecule_cjson_safe);
    lua_setfield(L, -2, "cjson.safe");
    lua_pop(L, 1);
    api_execute_install(L);
    api_popen_install(L);
    json_limit(L, vm_of(L));
    /* opened at once: messages use its metatable */
    luaL_requiref(L, "molecule.json", luaopen_molecule_json, false);
    lua_pop(L, 1);
}
