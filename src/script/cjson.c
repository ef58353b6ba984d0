/* The module: its functions and settings. Upvalue 1 of each function: the instance's struct
 * cjson_settings. */
#include "script/cjson.h"

#include "script/vm.h"

#include <lauxlib.h>
#include <string.h>

const char cjson_empty_array, cjson_array_metatable;

static struct cjson_settings *settings_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

static int encode(lua_State *L)
{
    luaL_argcheck(L, lua_gettop(L) == 1, 1, "expected 1 argument");
    cjson_encode(L, settings_of(L));
    return 1;
}

static int decode(lua_State *L)
{
    luaL_argcheck(L, lua_gettop(L) == 1, 1, "expected 1 argument");
    luaL_checkstring(L, 1);
    cjson_decode(L, settings_of(L));
    return 1;
}

/* --- settings: each returns what holds, after setting what is given --- */

static void integer_setting(lua_State *L, int index, int *value, int least, int most)
{
    if (lua_isnoneornil(L, index))
        return;
    lua_Integer given = luaL_checkinteger(L, index);
    if (given < least || given > most)
        luaL_argerror(L, index,
                      lua_pushfstring(L, "expected integer between %d and %d", least, most));
    *value = (int)given;
}

static void boolean_setting(lua_State *L, int index, bool *value)
{
    if (lua_isnoneornil(L, index))
        return;
    if (lua_type(L, index) == LUA_TSTRING) /* "on", "off" */
        *value = luaL_checkoption(L, index, NULL, (const char *const[]){"off", "on", NULL}) == 1;
    else
        *value = lua_toboolean(L, index);
}

static int depth(lua_State *L, int *value)
{
    if (!lua_isnoneornil(L, 1) && luaL_checkinteger(L, 1) > CJSON_DEPTH_MAXIMUM)
        return luaL_error(L, "cjson: a depth of at most %d", CJSON_DEPTH_MAXIMUM);
    integer_setting(L, 1, value, 1, CJSON_DEPTH_MAXIMUM);
    lua_pushinteger(L, *value);
    return 1;
}

static int encode_max_depth(lua_State *L)
{
    return depth(L, &settings_of(L)->encode_depth);
}

static int decode_max_depth(lua_State *L)
{
    return depth(L, &settings_of(L)->decode_depth);
}

static int encode_number_precision(lua_State *L)
{
    struct cjson_settings *settings = settings_of(L);
    integer_setting(L, 1, &settings->precision, 1, 16);
    lua_pushinteger(L, settings->precision);
    return 1;
}

static int encode_sparse_array(lua_State *L)
{
    struct cjson_settings *settings = settings_of(L);
    boolean_setting(L, 1, &settings->sparse_convert);
    integer_setting(L, 2, &settings->sparse_ratio, 0, INT32_MAX);
    integer_setting(L, 3, &settings->sparse_safe, 0, INT32_MAX);
    lua_pushboolean(L, settings->sparse_convert);
    lua_pushinteger(L, settings->sparse_ratio);
    lua_pushinteger(L, settings->sparse_safe);
    return 3;
}

static int encode_invalid_numbers(lua_State *L)
{
    static const char *const words[] = {"off", "on", "null", NULL};
    struct cjson_settings *settings = settings_of(L);
    if (lua_type(L, 1) == LUA_TSTRING)
        settings->encode_invalid = (enum cjson_invalid)luaL_checkoption(L, 1, NULL, words);
    else if (!lua_isnoneornil(L, 1))
        settings->encode_invalid = lua_toboolean(L, 1) ? CJSON_ALLOW : CJSON_REFUSE;
    if (settings->encode_invalid == CJSON_NULL)
        lua_pushliteral(L, "null");
    else
        lua_pushboolean(L, settings->encode_invalid == CJSON_ALLOW);
    return 1;
}

static int boolean(lua_State *L, bool *value)
{
    boolean_setting(L, 1, value);
    lua_pushboolean(L, *value);
    return 1;
}

static int decode_invalid_numbers(lua_State *L)
{
    return boolean(L, &settings_of(L)->decode_invalid);
}

static int encode_keep_buffer(lua_State *L)
{
    return boolean(L, &settings_of(L)->keep_buffer); /* nothing is kept between two calls */
}

static int encode_empty_table_as_object(lua_State *L)
{
    bool as_object = !settings_of(L)->empty_as_array;
    boolean_setting(L, 1, &as_object);
    settings_of(L)->empty_as_array = !as_object;
    lua_pushboolean(L, as_object);
    return 1;
}

static int encode_escape_forward_slash(lua_State *L)
{
    return boolean(L, &settings_of(L)->escape_slash);
}

/* --- instances --- */

static int protected_results(lua_State *L, int status)
{
    if (status == LUA_OK)
        return lua_gettop(L);
    if (status == LUA_ERRMEM)
        return lua_error(L);
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* Of cjson.safe: nil and what is wrong, instead of an error. Upvalue 1: the function. */
static int safely(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    return protected_results(L, lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0));
}

static void make_safe(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, safely, 1);
    lua_setfield(L, -2, name);
}

static void push_instance(lua_State *L, bool safe);

static int new_instance(lua_State *L)
{
    push_instance(L, lua_toboolean(L, lua_upvalueindex(1)));
    return 1;
}

static void push_array_metatable(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &cjson_array_metatable) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &cjson_array_metatable);
    }
}

static void push_instance(lua_State *L, bool safe)
{
    static const luaL_Reg functions[] = {
        {"encode", encode},
        {"decode", decode},
        {"encode_max_depth", encode_max_depth},
        {"decode_max_depth", decode_max_depth},
        {"encode_number_precision", encode_number_precision},
        {"encode_sparse_array", encode_sparse_array},
        {"encode_invalid_numbers", encode_invalid_numbers},
        {"decode_invalid_numbers", decode_invalid_numbers},
        {"encode_keep_buffer", encode_keep_buffer},
        {"encode_empty_table_as_object", encode_empty_table_as_object},
        {"encode_escape_forward_slash", encode_escape_forward_slash},
        {NULL, NULL}};
    luaL_newlibtable(L, functions);
    struct cjson_settings *settings = lua_newuserdatauv(L, sizeof *settings, 0);
    *settings = (struct cjson_settings){.encode_depth = CJSON_DEPTH_MAXIMUM,
                                        .decode_depth = CJSON_DEPTH_MAXIMUM,
                                        .precision = 14,
                                        .sparse_ratio = 2,
                                        .sparse_safe = 10,
                                        .decode_invalid = true,
                                        .keep_buffer = true,
                                        .escape_slash = true};
    luaL_setfuncs(L, functions, 1);
    if (safe) {
        make_safe(L, "encode");
        make_safe(L, "decode");
    }
    lua_pushboolean(L, safe);
    lua_pushcclosure(L, new_instance, 1);
    lua_setfield(L, -2, "new");
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    lua_pushlightuserdata(L, (void *)&cjson_empty_array);
    lua_setfield(L, -2, "empty_array");
    push_array_metatable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "empty_array_mt");
    lua_setfield(L, -2, "array_mt");
    lua_pushliteral(L, "cjson");
    lua_setfield(L, -2, "_NAME");
    lua_pushliteral(L, "2.1.0");
    lua_setfield(L, -2, "_VERSION");
}

int luaopen_molecule_cjson(lua_State *L)
{
    push_instance(L, false);
    return 1;
}

int luaopen_molecule_cjson_safe(lua_State *L)
{
    push_instance(L, true);
    return 1;
}
