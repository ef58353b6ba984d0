/* A value as JSON text. The text grows in a userdata at a fixed place of the stack, so that Lua
 * counts it and nothing is left over where an error is raised. */
#include "script/cjson.h"
#include "script/json_state.h"
#include "script/vm.h"
#include "script/vm_limits.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define TEXT 2 /* stack index of the userdata */
#define FIRST_CAPACITY 1024
#define TEXT_MAXIMUM ((size_t)1 << 30)
#define LOOK_EVERY 1024 /* values between two looks at the limits */
#define NUMBER_SIZE 40

struct encoding {
    lua_State *L;
    const struct cjson_settings *settings;
    char *text;
    size_t length, capacity, values;
};

static void put(struct encoding *out, const char *bytes, size_t length)
{
    if (length > out->capacity - out->length) {
        size_t capacity = out->capacity;
        while (length > capacity - out->length)
            capacity *= 2;
        if (capacity > TEXT_MAXIMUM)
            luaL_error(out->L, "Cannot serialise: the text would be larger than 1 GiB");
        char *text = lua_newuserdatauv(out->L, capacity, 0);
        memcpy(text, out->text, out->length);
        lua_replace(out->L, TEXT);
        out->text = text;
        out->capacity = capacity;
    }
    memcpy(out->text + out->length, bytes, length);
    out->length += length;
}

static void put_text(struct encoding *out, const char *text)
{
    put(out, text, strlen(text));
}

static void put_escape(struct encoding *out, unsigned char byte)
{
    static const char short_ones[] = "\"\"\\\\/"
                                     "/\bb\ff\nn\rr\tt";
    char escape[8];
    for (const char *at = short_ones; *at; at += 2)
        if ((unsigned char)*at == byte) {
            put(out, (char[]){'\\', at[1]}, 2);
            return;
        }
    snprintf(escape, sizeof escape, "\\u%04x", byte);
    put(out, escape, 6);
}

static bool is_plain(const struct encoding *out, unsigned char byte)
{
    return byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7F &&
           (byte != '/' || !out->settings->escape_slash);
}

static void put_string(struct encoding *out, const char *text, size_t length)
{
    put(out, "\"", 1);
    for (size_t from = 0; from < length;) {
        size_t to = from;
        while (to < length && is_plain(out, (unsigned char)text[to]))
            to++;
        put(out, text + from, to - from);
        if (to < length)
            put_escape(out, (unsigned char)text[to++]);
        from = to;
    }
    put(out, "\"", 1);
}

static void put_number(struct encoding *out, int index)
{
    char text[NUMBER_SIZE];
    lua_State *L = out->L;
    if (lua_isinteger(L, index)) {
        snprintf(text, sizeof text, "%lld", (long long)lua_tointeger(L, index));
        put_text(out, text);
        return;
    }
    double number = lua_tonumber(L, index);
    if (isfinite(number)) {
        snprintf(text, sizeof text, "%.*g", out->settings->precision, number);
        put_text(out, text);
    } else if (out->settings->encode_invalid == CJSON_NULL) {
        put_text(out, "null");
    } else if (out->settings->encode_invalid == CJSON_ALLOW) {
        put_text(out, isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity");
    } else {
        luaL_error(L, "Cannot serialise number: must not be NaN or Inf");
    }
}

static void put_value(struct encoding *out, int depth);

static bool has_array_metatable(lua_State *L, int index)
{
    bool is = false;
    if (!lua_getmetatable(L, index))
        return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &cjson_array_metatable);
    is = lua_rawequal(L, -1, -2);
    luaL_getmetatable(L, JSON_ARRAY_METATABLE);
    is = is || lua_rawequal(L, -1, -3);
    lua_pop(L, 3);
    return is;
}

/* The length of the list on top; -1: it is not a list. */
static lua_Integer list_length(struct encoding *out)
{
    lua_State *L = out->L;
    lua_Integer highest = 0, count = 0;
    if (has_array_metatable(L, -1))
        return (lua_Integer)lua_rawlen(L, -1);
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        lua_pop(L, 1);
        lua_Integer key = 0;
        int is_integer = false;
        if (lua_type(L, -1) == LUA_TNUMBER)
            key = lua_tointegerx(L, -1, &is_integer);
        if (!is_integer || key < 1) {
            lua_pop(L, 1);
            return -1;
        }
        highest = key > highest ? key : highest;
        count++;
    }
    const struct cjson_settings *settings = out->settings;
    bool excessive = settings->sparse_ratio > 0 && highest > settings->sparse_safe &&
                     highest / settings->sparse_ratio > count;
    if (excessive && !settings->sparse_convert)
        luaL_error(L, "Cannot serialise table: excessively sparse array");
    if (excessive)
        return -1;
    return highest > 0 || settings->empty_as_array ? highest : -1;
}

static void put_list(struct encoding *out, lua_Integer length, int depth)
{
    put(out, "[", 1);
    for (lua_Integer i = 1; i <= length; i++) {
        if (i > 1)
            put(out, ",", 1);
        lua_rawgeti(out->L, -1, i);
        put_value(out, depth);
        lua_pop(out->L, 1);
    }
    put(out, "]", 1);
}

static void put_key(struct encoding *out)
{
    lua_State *L = out->L;
    size_t length;
    if (lua_type(L, -2) == LUA_TNUMBER) {
        put(out, "\"", 1);
        put_number(out, lua_gettop(L) - 1);
        put(out, "\":", 2);
    } else if (lua_type(L, -2) == LUA_TSTRING) {
        const char *key = lua_tolstring(L, -2, &length);
        put_string(out, key, length);
        put(out, ":", 1);
    } else {
        luaL_error(L, "Cannot serialise %s: table key must be a number or string",
                   luaL_typename(L, -2));
    }
}

static void put_object(struct encoding *out, int depth)
{
    lua_State *L = out->L;
    bool first = true;
    put(out, "{", 1);
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        if (!first)
            put(out, ",", 1);
        first = false;
        put_key(out);
        put_value(out, depth);
        lua_pop(L, 1);
    }
    put(out, "}", 1);
}

static void put_table(struct encoding *out, int depth)
{
    if (depth > out->settings->encode_depth)
        luaL_error(out->L, "Cannot serialise, excessive depth (%d)", depth);
    luaL_checkstack(out->L, LUA_MINSTACK, "Cannot serialise, excessive depth");
    lua_Integer length = list_length(out);
    if (length >= 0)
        put_list(out, length, depth);
    else
        put_object(out, depth);
}

static void put_light(struct encoding *out)
{
    const void *address = lua_touserdata(out->L, -1);
    if (!address)
        put_text(out, "null");
    else if (address == &cjson_empty_array)
        put_text(out, "[]");
    else
        luaL_error(out->L, "Cannot serialise userdata: type not supported");
}

/* The value on top of the stack, which stays there. */
static void put_value(struct encoding *out, int depth)
{
    lua_State *L = out->L;
    size_t length;
    if (++out->values % LOOK_EVERY == 0 && vm_expired(vm_of(L)))
        luaL_error(L, "Cannot serialise: it took too long");
    switch (lua_type(L, -1)) {
    case LUA_TSTRING: {
        const char *text = lua_tolstring(L, -1, &length);
        put_string(out, text, length);
        return;
    }
    case LUA_TNUMBER: put_number(out, lua_gettop(L)); return;
    case LUA_TBOOLEAN: put_text(out, lua_toboolean(L, -1) ? "true" : "false"); return;
    case LUA_TNIL: put_text(out, "null"); return;
    case LUA_TTABLE: put_table(out, depth + 1); return;
    case LUA_TLIGHTUSERDATA: put_light(out); return;
    default: luaL_error(L, "Cannot serialise %s: type not supported", luaL_typename(L, -1));
    }
}

void cjson_encode(lua_State *L, const struct cjson_settings *settings)
{
    struct encoding out = {.L = L, .settings = settings, .capacity = FIRST_CAPACITY};
    lua_settop(L, 1);
    out.text = lua_newuserdatauv(L, FIRST_CAPACITY, 0);
    lua_pushvalue(L, 1);
    put_value(&out, 0);
    lua_pushlstring(L, out.text, out.length);
}
