/* Any bytes as JSON in place: what is sound is what jansson reads as it stands, and becomes the
 * same Lua values in both ways. The same of a row and the message that a script sees. */
#include "fuzz.h"

#include "script/json.h"
#include "script/outcome.h"
#include "wire/repair.h"

#include <lauxlib.h>
#include <string.h>

static lua_State *state(void)
{
    static lua_State *L;
    if (!L) {
        L = luaL_newstate();
        luaL_requiref(L, "json", luaopen_molecule_json, 0);
    }
    lua_settop(L, 0);
    return L;
}

static void check_same(lua_State *L, int one, int other);

static size_t check_members(lua_State *L, int one, int other)
{
    size_t count = 0;
    lua_pushnil(L);
    for (; lua_next(L, one); count++) {
        lua_pushvalue(L, -2);
        lua_rawget(L, other);
        check_same(L, lua_gettop(L) - 1, lua_gettop(L));
        lua_pop(L, 2);
    }
    return count;
}

static size_t count_members(lua_State *L, int table)
{
    size_t count = 0;
    lua_pushnil(L);
    for (; lua_next(L, table); count++)
        lua_pop(L, 1);
    return count;
}

static void check_same(lua_State *L, int one, int other)
{
    luaL_checkstack(L, 10, NULL);
    HOLDS(lua_type(L, one) == lua_type(L, other));
    HOLDS(lua_isinteger(L, one) == lua_isinteger(L, other));
    if (!lua_istable(L, one)) {
        HOLDS(lua_rawequal(L, one, other));
        return;
    }
    int top = lua_gettop(L);
    if (lua_getmetatable(L, one)) {
        HOLDS(lua_getmetatable(L, other) && lua_rawequal(L, -1, -2));
    } else {
        HOLDS(!lua_getmetatable(L, other));
    }
    lua_settop(L, top);
    HOLDS(check_members(L, one, other) == count_members(L, other));
}

static void check_text(struct page_row slice, const json_t *value)
{
    size_t length;
    char *text = slice_text(slice, &length);
    HOLDS(length == json_string_length(value));
    HOLDS(memcmp(text, json_string_value(value), length + 1) == 0);
    free(text);
}

static void check_scalar(struct page_row slice, const json_t *value)
{
    long long integer = 0;
    double real = 0;
    if (slice_is_string(slice)) {
        check_text(slice, value);
    } else if (slice_is_number(slice)) {
        bool is_integer = slice_number(slice, &integer, &real);
        HOLDS(is_integer == json_is_integer(value));
        HOLDS(is_integer ? integer == json_integer_value(value) : real == json_real_value(value));
    }
}

/* The bytes as a row: a script sees the same message, whichever way it was read. */
static void check_message(struct page_row row)
{
    struct message *message = envelope_read(row, "self"), *other = envelope_read_tree(row, "self");
    lua_State *L = state();
    if (message->plain.parts.bytes || message->plain.outer.bytes || message->plain.inner.bytes) {
        message_push(L, message);
        message_push(L, other);
        HOLDS(lua_gettop(L) == 2);
        check_same(L, 1, 2);
    }
    message_free(message);
    message_free(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* as everywhere, a byte follows */
    char *text = malloc(size + 1);
    HOLDS(text);
    memcpy(text, data, size);
    text[size] = '\0';
    struct page_row slice = {text, size};
    check_message(slice);
    if (slice_sound(slice)) {
        json_t *value = json_loadb(text, size, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
        HOLDS(value);
        HOLDS(slice_is_object(slice) == json_is_object(value));
        HOLDS(slice_is_array(slice) == json_is_array(value));
        check_scalar(slice, value);
        if (json_is_object(value) || json_is_array(value)) {
            lua_State *L = state();
            json_push(L, value);
            json_push_slice(L, slice);
            HOLDS(lua_gettop(L) == 2);
            check_same(L, 1, 2);
        }
        json_decref(value);
    }
    free(text);
    return 0;
}
