#include "script/api.h"

#include "script/api_errors.h"
#include "script/cjson.h"
#include "script/embedded.h"
#include "script/json.h"
#include "script/json_state.h"
#include "script/outcome.h"
#include "script/sandbox.h"
#include "script/vm.h"

/* core.embedded(module): whether the binary has it. */
static int core_embedded(lua_State *L)
{
    const char *path = luaL_gsub(L, luaL_checkstring(L, 1), ".", "/");
    lua_pushboolean(L, embedded_find(lua_pushfstring(L, "%s.lua", path)) != NULL);
    return 1;
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
    lua_pushstring(L, embedded_backends());
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
    lua_rawsetp(L, LUA_REGISTRYINDEX, &outcome_verdict_key);
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
