#include "script/json.h"

#include "base/memory.h"
#include "wire/repair.h"

#include <lauxlib.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_MAXIMUM 256

void json_push(lua_State *L, const json_t *value)
{
    luaL_checkstack(L, 4, "JSON nested too deeply");
    switch (json_typeof(value)) {
    case JSON_OBJECT: {
        const char *key;
        json_t *member;
        lua_createtable(L, 0, (int)json_object_size(value));
        json_object_foreach((json_t *)value, key, member) {
            lua_pushstring(L, key);
            json_push(L, member);
            lua_rawset(L, -3);
        }
        break;
    }
    case JSON_ARRAY:
        lua_createtable(L, (int)json_array_size(value), 0);
        luaL_setmetatable(L, JSON_ARRAY_METATABLE);
        for (size_t i = 0; i < json_array_size(value); i++) {
            json_push(L, json_array_get(value, i));
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        break;
    case JSON_STRING:
        lua_pushlstring(L, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        lua_pushinteger(L, json_integer_value(value));
        break;
    case JSON_REAL:
        lua_pushnumber(L, json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        lua_pushboolean(L, json_is_true(value));
        break;
    case JSON_NULL:
        lua_pushlightuserdata(L, NULL);
        break;
    }
}

/* Where in the value we are, for messages. */
struct taker {
    lua_State *L;
    char path[PATH_MAXIMUM];
    size_t path_length;
    int depth;
    const void *above[JSON_DEPTH_MAXIMUM + 1]; /* the tables we are in: a cycle comes back to one */
    char *problem;
    size_t problem_size;
};

static json_t *refuse(struct taker *taker, const char *what)
{
    snprintf(taker->problem, taker->problem_size, "%s%s%s", taker->path, taker->path_length ? ": " : "", what);
    return NULL;
}

static size_t enter(struct taker *taker, const char *key, lua_Integer number)
{
    size_t before = taker->path_length, room = sizeof taker->path - before;
    int wrote = key ? snprintf(taker->path + before, room, "%s%.60s", before ? "." : "", key)
                    : snprintf(taker->path + before, room, "[%lld]", (long long)number);
    if (wrote > 0)
        taker->path_length = (size_t)wrote < room ? before + (size_t)wrote : sizeof taker->path - 1;
    return before;
}

static void leave(struct taker *taker, size_t before)
{
    taker->path_length = before;
    taker->path[before] = '\0';
}

static json_t *take_value(struct taker *taker);

static json_t *take_string(lua_State *L)
{
    size_t length, repaired_length;
    const char *text = lua_tolstring(L, -1, &length);
    json_t *string = json_stringn(text, length);
    if (string)
        return string;
    char *repaired = repair_text(text, length, &repaired_length);
    string = json_stringn(repaired, repaired_length);
    free(repaired);
    return string;
}

static json_t *take_array(struct taker *taker, size_t count)
{
    lua_State *L = taker->L;
    json_t *array = json_array();
    for (size_t i = 1; array && i <= count; i++) {
        size_t before = enter(taker, NULL, (lua_Integer)i);
        lua_rawgeti(L, -1, (lua_Integer)i);
        json_t *item = take_value(taker);
        lua_pop(L, 1);
        if (!item || json_array_append_new(array, item) != 0) {
            json_decref(array);
            array = NULL;
        }
        leave(taker, before);
    }
    return array;
}

static json_t *take_object(struct taker *taker)
{
    lua_State *L = taker->L;
    json_t *object = json_object();
    lua_pushnil(L);
    while (object && lua_next(L, -2)) {
        json_t *member = NULL;
        if (lua_type(L, -2) != LUA_TSTRING) {
            refuse(taker, "a table with both string and other keys cannot be JSON");
        } else {
            size_t before = enter(taker, lua_tostring(L, -2), 0);
            member = take_value(taker);
            leave(taker, before);
        }
        if (!member || json_object_set_new(object, lua_tostring(L, -2), member) != 0) {
            if (member)
                refuse(taker, "a key is not UTF-8, or there is no memory");
            json_decref(object);
            object = NULL;
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    return object;
}

/* How many items a table has if its keys are 1…n, else -1. */
static lua_Integer sequence_length(lua_State *L)
{
    lua_Integer count = 0;
    size_t length = lua_rawlen(L, -1);
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        lua_pop(L, 1);
        if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 1 || (size_t)lua_tointeger(L, -1) > length) {
            lua_pop(L, 1);
            return -1;
        }
        count++;
    }
    return (size_t)count == length ? count : -1;
}

static bool is_marked(lua_State *L)
{
    if (!lua_getmetatable(L, -1))
        return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &luaopen_molecule_json);
    bool marked = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return marked;
}

static json_t *take_table(struct taker *taker)
{
    lua_State *L = taker->L;
    const void *self = lua_topointer(L, -1);
    if (taker->depth >= JSON_DEPTH_MAXIMUM)
        return refuse(taker, "nested deeper than 200 levels");
    for (int i = 0; i < taker->depth; i++)
        if (taker->above[i] == self)
            return refuse(taker, "a table that contains itself cannot be JSON");
    taker->above[taker->depth++] = self;
    lua_Integer count = sequence_length(L);
    json_t *value;
    if (count > 0 || (count == 0 && is_marked(L)))
        value = take_array(taker, (size_t)count);
    else if (count < 0 && is_marked(L))
        value = refuse(taker, "an array has keys other than 1 to n");
    else
        value = take_object(taker);
    taker->depth--;
    return value;
}

/* The value on top of the stack, which stays there. */
static json_t *take_value(struct taker *taker)
{
    lua_State *L = taker->L;
    if (!lua_checkstack(L, 6))
        return refuse(taker, "no memory");
    json_t *value = NULL;
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        value = take_string(L);
        break;
    case LUA_TNUMBER:
        if (lua_isinteger(L, -1))
            value = json_integer(lua_tointeger(L, -1));
        else if (isfinite(lua_tonumber(L, -1)))
            value = json_real(lua_tonumber(L, -1));
        else
            return refuse(taker, "NaN and infinity cannot be JSON");
        break;
    case LUA_TBOOLEAN:
        value = json_boolean(lua_toboolean(L, -1));
        break;
    case LUA_TNIL:
        value = json_null();
        break;
    case LUA_TTABLE:
        return take_table(taker);
    case LUA_TLIGHTUSERDATA:
        if (!lua_touserdata(L, -1)) {
            value = json_null();
            break;
        }
        /* fall through */
    default: {
        char what[64];
        snprintf(what, sizeof what, "a %s cannot be JSON", luaL_typename(L, -1));
        return refuse(taker, what);
    }
    }
    return value ? value : refuse(taker, "no memory");
}

json_t *json_take(lua_State *L, int index, char *problem, size_t problem_size)
{
    struct taker *taker = memory_allocate(sizeof *taker);
    taker->L = L;
    taker->problem = problem;
    taker->problem_size = problem_size;
    snprintf(problem, problem_size, "no memory");
    json_t *value = NULL;
    int top = lua_gettop(L);
    if (lua_checkstack(L, 4)) {
        lua_pushvalue(L, index);
        value = take_value(taker);
        lua_settop(L, top);
    }
    free(taker);
    return value;
}

/* Called protected, so that what json_decode holds is freed whether or not this raises. */
static int push_decoded(lua_State *L)
{
    json_push(L, lua_touserdata(L, 1));
    return 1;
}

static int json_decode(lua_State *L)
{
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    json_error_t place;
    json_t *value = json_loadb(text, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &place);
    if (!value) {
        lua_pushnil(L);
        lua_pushfstring(L, "not JSON: %s, at byte %d", place.text, place.position);
        lua_pushliteral(L, "JSON");
        return 3;
    }
    lua_pushcfunction(L, push_decoded);
    lua_pushlightuserdata(L, value);
    int status = lua_pcall(L, 1, 1, 0);
    json_decref(value);
    return status == LUA_OK ? 1 : lua_error(L);
}

static int push_encoded(lua_State *L)
{
    lua_pushstring(L, lua_touserdata(L, 1)); /* jansson escapes U+0000, so there is none inside */
    return 1;
}

static int json_encode(lua_State *L)
{
    char problem[512];
    size_t flags = JSON_ENCODE_ANY | JSON_COMPACT;
    luaL_checkany(L, 1);
    if (lua_istable(L, 2)) {
        if (lua_getfield(L, 2, "indent") != LUA_TNIL) {
            lua_Integer indent = luaL_checkinteger(L, -1);
            luaL_argcheck(L, indent >= 0 && indent <= 16, 2, "indent must be between 0 and 16");
            flags = JSON_ENCODE_ANY | JSON_INDENT((size_t)indent);
        }
        lua_getfield(L, 2, "sort");
        if (lua_toboolean(L, -1))
            flags |= JSON_SORT_KEYS;
    }
    json_t *value = json_take(L, 1, problem, sizeof problem);
    char *text = value ? json_dumps(value, flags) : NULL;
    if (value && !text)
        snprintf(problem, sizeof problem, "no memory");
    json_decref(value);
    if (!text) {
        lua_pushnil(L);
        lua_pushstring(L, problem);
        lua_pushliteral(L, "JSON");
        return 3;
    }
    lua_pushcfunction(L, push_encoded);
    lua_pushlightuserdata(L, text);
    int status = lua_pcall(L, 1, 1, 0);
    free(text);
    return status == LUA_OK ? 1 : lua_error(L);
}

static int json_mark_array(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    luaL_setmetatable(L, JSON_ARRAY_METATABLE);
    return 1;
}

int luaopen_molecule_json(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"decode", json_decode}, {"encode", json_encode}, {"array", json_mark_array}, {NULL, NULL}};
    luaL_newmetatable(L, JSON_ARRAY_METATABLE);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable"); /* a script that changed it would change every array */
    lua_rawsetp(L, LUA_REGISTRYINDEX, &luaopen_molecule_json);
    luaL_newlib(L, functions);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    return 1;
}
