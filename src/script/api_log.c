/* molecule.log: core.log(level, text). */
#include "base/log.h"
#include "script/api.h"
#include "script/script_said.h"
#include "script/vm.h"

static int api_log(lua_State *L)
{
    static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
    int level = luaL_checkoption(L, 1, NULL, levels);
    const char *text = luaL_checkstring(L, 2);
    log_write((enum log_level)level, vm_of(L)->workspace_id, "script: %s", text);
    script_say(vm_of(L), levels[level], text);
    return 0;
}

void api_log_install(lua_State *L)
{
    lua_pushcfunction(L, api_log);
    lua_setfield(L, -2, "log");
}
