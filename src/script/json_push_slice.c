/* Converts JSON in place (wire/slice.h) to Lua's values. Of small objects and arrays the items are
 * pushed before the table is made, so that it is made in its size. */
#include "script/json.h"
#include "script/json_state.h"

#include <lauxlib.h>

#define ITEMS_FIRST 8

static const char *push_value(lua_State *L, const char *at);

static void push_string(lua_State *L, struct page_row string)
{
    if (slice_is_plain(string)) {
        lua_pushlstring(L, string.bytes + 1, string.length - 2);
        return;
    }
    luaL_Buffer text;
    char *room = luaL_buffinitsize(L, &text, string.length);
    luaL_pushresultsize(&text, slice_decode(string, room));
}

static const char *push_scalar(lua_State *L, const char *at)
{
    struct page_row scalar = slice_scalar(at);
    long long integer;
    double real;
    switch (*at) {
    case '"': push_string(L, scalar); break;
    case 't':
    case 'f': lua_pushboolean(L, *at == 't'); break;
    case 'n': lua_pushlightuserdata(L, NULL); break;
    default:
        if (slice_number(scalar, &integer, &real))
            lua_pushinteger(L, integer);
        else
            lua_pushnumber(L, real);
    }
    return at + scalar.length;
}

/* A key and its value. Returns the position of the next one. */
static const char *push_member(lua_State *L, const char *at)
{
    return slice_gap(push_value(L, slice_gap(push_scalar(L, at))));
}

static const char *push_object(lua_State *L, const char *at)
{
    lua_pushnil(L); /* its table's place */
    int table = lua_gettop(L), count = 0;
    for (at = slice_gap(at + 1); *at != '}' && count < ITEMS_FIRST; count++)
        at = push_member(L, at);
    lua_createtable(L, 0, count);
    lua_replace(L, table);
    for (int i = 1; i <= count; i++) { /* in their order: of the same keys the last one wins */
        lua_pushvalue(L, table + 2 * i - 1);
        lua_pushvalue(L, table + 2 * i);
        lua_rawset(L, table);
    }
    lua_settop(L, table);
    while (*at != '}') {
        at = push_member(L, at);
        lua_rawset(L, table);
    }
    return at + 1;
}

static const char *push_array(lua_State *L, const char *at)
{
    lua_pushnil(L);
    int table = lua_gettop(L), count = 0;
    for (at = slice_gap(at + 1); *at != ']' && count < ITEMS_FIRST; count++)
        at = slice_gap(push_value(L, at));
    lua_createtable(L, count, 0);
    json_push_array_metatable(L);
    lua_setmetatable(L, -2);
    lua_replace(L, table);
    for (int i = count; i > 0; i--)
        lua_rawseti(L, table, i);
    for (lua_Integer i = count + 1; *at != ']'; i++) {
        at = slice_gap(push_value(L, at));
        lua_rawseti(L, table, i);
    }
    return at + 1;
}

static const char *push_value(lua_State *L, const char *at)
{
    luaL_checkstack(L, JSON_STACK_NEEDED + 2 * ITEMS_FIRST, "JSON nested too deeply");
    switch (*at) {
    case '{': return push_object(L, at);
    case '[': return push_array(L, at);
    default: return push_scalar(L, at);
    }
}

void json_push_slice(lua_State *L, struct page_row value)
{
    push_value(L, value.bytes);
}

void json_add_members(lua_State *L, struct page_row object, const char *except)
{
    for (const char *at = slice_gap(object.bytes + 1); *at != '}';) {
        struct page_row key = slice_scalar(at);
        if (except && slice_says(key, except)) {
            at = slice_gap(slice_after(slice_gap(at + key.length)));
            continue;
        }
        at = push_member(L, at);
        lua_rawset(L, -3);
    }
}
