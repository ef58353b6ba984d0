/* Converts jansson's values to Lua's. */
#include "script/json.h"
#include "script/json_state.h"

#include <lauxlib.h>

static void push_object(lua_State *L, const json_t *value)
{
    /* jansson's iteration is not const-correct; nothing is changed */
    json_t *object = (json_t *)(uintptr_t)value;
    size_t size = json_object_size(object);
    lua_createtable(L, 0, size > INT32_MAX ? 0 : (int)size);
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
        lua_pushlstring(L, json_object_iter_key(at), json_object_iter_key_len(at));
        json_push(L, json_object_iter_value(at));
        lua_rawset(L, -3);
    }
}

static void push_array(lua_State *L, const json_t *value)
{
    size_t size = json_array_size(value);
    lua_createtable(L, size > INT32_MAX ? 0 : (int)size, 0);
    json_push_array_metatable(L);
    lua_setmetatable(L, -2);
    for (size_t i = 0; i < size; i++) {
        json_push(L, json_array_get(value, i));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

void json_push(lua_State *L, const json_t *value)
{
    luaL_checkstack(L, JSON_STACK_NEEDED, "JSON nested too deeply");
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT: push_object(L, value); break;
    case JSON_ARRAY: push_array(L, value); break;
    case JSON_STRING:
        lua_pushlstring(L, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER: lua_pushinteger(L, json_integer_value(value)); break;
    case JSON_REAL: lua_pushnumber(L, json_real_value(value)); break;
    case JSON_TRUE: lua_pushboolean(L, 1); break;
    case JSON_FALSE: lua_pushboolean(L, 0); break;
    case JSON_NULL: lua_pushlightuserdata(L, NULL); break;
    }
}
