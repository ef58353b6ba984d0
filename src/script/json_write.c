/* Writes Lua's values as JSON without jansson's values in between: only what needs neither repair
 * nor an error. Whatever else there is, json_take.c and reply_parts.c find again. */
#include "base/buffer.h"
#include "base/decimal.h"
#include "script/json.h"
#include "script/json_state.h"
#include "wire/jsontext.h"

#include <string.h>

#define TEXT_MAXIMUM ((size_t)64 << 10)
#define NODES_MAXIMUM 512 /* values; no clock is looked at before so many */
#define DEPTH_MAXIMUM 16
#define ROOM_LEAST ((size_t)8 << 20) /* in which so much certainly fits as jansson's values */

struct writing {
    lua_State *L;
    struct buffer buffer;
    int nodes;
};

static bool write_value(struct writing *writing, int index, int depth);

static bool write_string(struct writing *writing, int index)
{
    size_t length;
    const char *text = lua_tolstring(writing->L, index, &length);
    return jsontext_append_sound(&writing->buffer, text, length);
}

static bool write_number(struct writing *writing, int index)
{
    if (lua_isinteger(writing->L, index))
        return buffer_printf(&writing->buffer, "%lld", (long long)lua_tointeger(writing->L, index));
    char text[DECIMAL_SIZE];
    size_t length = decimal_write(lua_tonumber(writing->L, index), text);
    return length > 0 && buffer_append(&writing->buffer, text, length);
}

static bool write_array(struct writing *writing, int index, lua_Integer length, int depth)
{
    if (!buffer_append_char(&writing->buffer, '['))
        return false;
    for (lua_Integer i = 1; i <= length; i++) {
        if (i > 1 && !buffer_append_char(&writing->buffer, ','))
            return false;
        lua_rawgeti(writing->L, index, i);
        if (!write_value(writing, lua_gettop(writing->L), depth))
            return false;
        lua_pop(writing->L, 1);
    }
    return buffer_append_char(&writing->buffer, ']');
}

static bool write_object(struct writing *writing, int index, int depth)
{
    lua_State *L = writing->L;
    bool first = true;
    if (!buffer_append_char(&writing->buffer, '{'))
        return false;
    for (lua_pushnil(L); lua_next(L, index); first = false) {
        int value = lua_gettop(L);
        if ((!first && !buffer_append_char(&writing->buffer, ',')) ||
            !write_string(writing, value - 1) || !buffer_append_char(&writing->buffer, ':') ||
            !write_value(writing, value, depth))
            return false;
        lua_pop(L, 1);
    }
    return buffer_append_char(&writing->buffer, '}');
}

static bool write_table(struct writing *writing, int index, int depth)
{
    lua_Integer length;
    if (depth > DEPTH_MAXIMUM) /* or it contains itself */
        return false;
    switch (json_shape_of(writing->L, index, &length)) {
    case JSON_SHAPE_ARRAY: return write_array(writing, index, length, depth);
    case JSON_SHAPE_OBJECT: return write_object(writing, index, depth);
    case JSON_SHAPE_MIXED:
    case JSON_SHAPE_HOLES: break;
    }
    return false;
}

/* false: it cannot be written here; the stack is higher then. */
static bool write_value(struct writing *writing, int index, int depth)
{
    lua_State *L = writing->L;
    if (++writing->nodes > NODES_MAXIMUM || !lua_checkstack(L, JSON_STACK_NEEDED))
        return false;
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
        return buffer_append_text(&writing->buffer, lua_toboolean(L, index) ? "true" : "false");
    case LUA_TNUMBER: return write_number(writing, index);
    case LUA_TSTRING: return write_string(writing, index);
    case LUA_TTABLE: return write_table(writing, index, depth + 1);
    case LUA_TLIGHTUSERDATA:
        return !lua_touserdata(L, index) && buffer_append_text(&writing->buffer, "null");
    default: return false;
    }
}

struct part {
    const char *kind;
    bool has_text, has_type;
    size_t text_length;
};

/* Its members that decide; a table that is not an object shows in writing. */
static void look_at_part(lua_State *L, int index, struct part *part)
{
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        bool is_string = lua_type(L, -1) == LUA_TSTRING;
        if (strcmp(key, "type") == 0)
            part->has_type = true;
        else if (is_string && strcmp(key, "kind") == 0)
            part->kind = lua_tostring(L, -1);
        else if (is_string && strcmp(key, "text") == 0)
            part->has_text = lua_tolstring(L, -1, &part->text_length);
    }
}

static bool are_plain(lua_State *L, int index, lua_Integer count, bool *has_text)
{
    bool empty = true;
    *has_text = false;
    if (count > NODES_MAXIMUM)
        return false;
    for (lua_Integer i = 1; i <= count; i++) {
        struct part part = {0};
        if (lua_rawgeti(L, index, i) == LUA_TTABLE)
            look_at_part(L, lua_gettop(L), &part);
        lua_pop(L, 1);
        bool text = part.kind && strcmp(part.kind, "text") == 0;
        if (!part.kind || part.has_type || (text && !part.has_text) ||
            (!text && strcmp(part.kind, "data") != 0))
            return false;
        *has_text = *has_text || text;
        empty = empty && text && part.text_length == 0;
    }
    return !empty;
}

char *json_write_parts(lua_State *L, int index, bool *text)
{
    struct writing writing = {.L = L};
    lua_Integer count;
    index = lua_absindex(L, index);
    if (!lua_checkstack(L, JSON_STACK_NEEDED) || json_room(json_vm(L)) < ROOM_LEAST ||
        json_shape_of(L, index, &count) != JSON_SHAPE_ARRAY || !are_plain(L, index, count, text))
        return NULL;
    int top = lua_gettop(L);
    buffer_init(&writing.buffer, TEXT_MAXIMUM);
    bool written = write_value(&writing, index, 0);
    lua_settop(L, top);
    char *taken = written ? buffer_take(&writing.buffer) : NULL;
    buffer_free(&writing.buffer);
    return taken;
}
