/* core.count_tokens(input, output): what a model says that it read and wrote; numbers that are none
 * count as 0. */
#include "script/api.h"
#include "script/script.h"
#include "script/script_private.h"
#include "script/vm.h"

static void count(lua_State *L, int index, _Atomic uint64_t *number)
{
    int is_whole;
    lua_Integer value = lua_tointegerx(L, index, &is_whole);
    if (is_whole && value > 0)
        atomic_fetch_add(number, (uint64_t)value);
}

static int count_tokens(lua_State *L)
{
    struct script *script = vm_of(L)->script;
    for (int i = 0; script && i < 2; i++)
        count(L, i + 1, &script->tokens[i]);
    return 0;
}

void script_tokens(const struct script *script, double tokens[2])
{
    for (int i = 0; i < 2; i++)
        tokens[i] = (double)script->tokens[i];
}

void api_tokens_install(lua_State *L)
{
    lua_pushcfunction(L, count_tokens);
    lua_setfield(L, -2, "count_tokens");
}
