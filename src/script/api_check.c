/* Lengths of time, the fields of a table of options, and whose line a mistake is on. */
#include "script/api_check.h"

#include "base/clock.h"
#include "base/nearest.h"
#include "script/api.h"
#include "script/api_errors.h"

#include <lauxlib.h>
#include <string.h>

bool api_to_seconds(lua_State *L, int index, lua_Number *seconds)
{
    int64_t milliseconds;
    switch (lua_type(L, index)) {
    case LUA_TNUMBER: *seconds = lua_tonumber(L, index); return *seconds == *seconds;
    case LUA_TSTRING:
        if (!clock_parse_duration(lua_tostring(L, index), &milliseconds))
            return false;
        *seconds = (lua_Number)milliseconds / 1000;
        return true;
    default: return false;
    }
}

lua_Number api_check_seconds(lua_State *L, int index, const char *what, lua_Number least,
                             lua_Number most)
{
    lua_Number seconds = 0;
    if (!api_to_seconds(L, index, &seconds))
        api_misuse(
            L, "%s: a number of seconds or a duration like \"10s\" or \"5m\" expected, not %s%s",
            what, lua_type(L, index) == LUA_TSTRING ? "" : "a ",
            lua_type(L, index) == LUA_TSTRING ? lua_pushfstring(L, "\"%s\"", lua_tostring(L, index))
                                              : luaL_typename(L, index));
    if (!(seconds >= least && seconds <= most))
        api_misuse(L, "%s: the time must be between %f and %f seconds", what, least, most);
    return seconds;
}

/* core.seconds(value) -> a number, or nil if it is not a duration */
static int core_seconds(lua_State *L)
{
    lua_Number seconds;
    if (api_to_seconds(L, 1, &seconds))
        lua_pushnumber(L, seconds);
    else
        lua_pushnil(L);
    return 1;
}

/* Raises for the key at `key`, which is not a known word. */
static int refuse_field(lua_State *L, int key, const char *what, const char *const *known,
                        size_t count)
{
    if (lua_type(L, key) != LUA_TSTRING)
        return api_misuse(L, "%s: unknown field [%s]; the fields have names: %s = …", what,
                          luaL_tolstring(L, key, NULL), known[0]);
    const char *name = lua_tostring(L, key);
    struct nearest nearest = {.word = name};
    for (size_t i = 0; i < count; i++)
        nearest_offer(&nearest, known[i]);
    if (nearest.best)
        return api_misuse(L, "%s: unknown field '%s'; did you mean '%s'?", what, name,
                          nearest.best);
    luaL_Buffer list;
    luaL_buffinit(L, &list);
    for (size_t i = 0; i < count; i++) {
        luaL_addstring(&list, i > 0 ? ", " : "");
        luaL_addstring(&list, known[i]);
    }
    luaL_pushresult(&list);
    return api_misuse(L, "%s: unknown field '%s'; known fields: %s", what, name,
                      lua_tostring(L, -1));
}

void api_check_fields(lua_State *L, int index, const char *what, const char *const *known,
                      size_t count)
{
    index = lua_absindex(L, index);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        bool found = false;
        for (size_t i = 0; i < count && lua_type(L, -1) == LUA_TSTRING && !found; i++)
            found = strcmp(lua_tostring(L, -1), known[i]) == 0;
        if (!found)
            refuse_field(L, lua_gettop(L), what, known, count);
    }
}

#define KNOWN_MAXIMUM 32

/* core.refuse_field(what, key, words): raises at the script's line. */
static int core_refuse_field(lua_State *L)
{
    const char *known[KNOWN_MAXIMUM], *what = luaL_checkstring(L, 1);
    size_t count = 0;
    luaL_checktype(L, 3, LUA_TTABLE);
    luaL_checkstack(L, KNOWN_MAXIMUM + 8, NULL);
    for (; count < KNOWN_MAXIMUM && lua_rawgeti(L, 3, (lua_Integer)count + 1) == LUA_TSTRING;
         count++)
        known[count] = lua_tostring(L, -1); /* the stack keeps it */
    return refuse_field(L, 2, what, known, count);
}

/* Wraps a function of ours in a C function. In `return molecule.retry {…}` a Lua function would
 * take the place of the script's own on the stack, and with it the line that a mistake is on. */
static int after_public(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    return lua_gettop(L);
}

static int call_public(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, after_public);
    return after_public(L, LUA_OK, 0);
}

/* core.public(fn) -> a function that does the same */
static int core_public(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_pushcclosure(L, call_public, 1);
    return 1;
}

void api_check_install(lua_State *L)
{
    static const luaL_Reg functions[] = {{"seconds", core_seconds},
                                         {"refuse_field", core_refuse_field},
                                         {"public", core_public},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
