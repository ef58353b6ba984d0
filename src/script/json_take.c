/* Converts Lua's values to jansson's. Tables are walked without running any Lua code; a problem is
 * reported with the path to it. */
#include "script/json.h"

#include "base/buffer.h"
#include "script/json_state.h"
#include "script/vm_limits.h"
#include "script/vm_memory.h"
#include "wire/jsonmemory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define NODE_LEAST 32   /* bytes that any value takes */
#define LOOK_EVERY 1024 /* values between two looks at the limits */

struct step {
    const struct step *up;
    const void *table; /* the one that is being walked */
    const char *key;   /* of the member in it that is being taken; NULL: `position` */
    lua_Integer position;
    int depth;
};

struct taking {
    lua_State *L;
    struct vm *vm; /* NULL: none */
    char *problem;
    size_t size;
    size_t nodes, room;
    bool over; /* it was refused for its size */
};

static json_t *take(struct taking *taking, int index, const struct step *up);

static void write_path(struct buffer *path, const struct step *step)
{
    if (step->up)
        write_path(path, step->up);
    if (!step->key)
        buffer_printf(path, "[%lld]", (long long)step->position);
    else
        buffer_printf(path, "%s%.40s", path->length > 0 ? "." : "", step->key);
}

static json_t *refuse(const struct taking *taking, const struct step *step, const char *why)
{
    struct buffer path;
    buffer_init(&path, 400);
    if (step)
        write_path(&path, step);
    snprintf(taking->problem, taking->size, "%s%s%s", path.length > 0 ? path.data : "",
             path.length > 0 ? ": " : "", why);
    buffer_free(&path);
    return NULL;
}

/* The length of the UTF-8 sequence at `text`; 0 if it is not one. */
static size_t sequence(const unsigned char *text, size_t left)
{
    unsigned char first = text[0];
    if (first < 0x80)
        return 1;
    size_t length = first >= 0xC2 && first <= 0xDF   ? 2
                    : first >= 0xE0 && first <= 0xEF ? 3
                    : first >= 0xF0 && first <= 0xF4 ? 4
                                                     : 0;
    if (length == 0 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    bool overlong = (first == 0xE0 && text[1] < 0xA0) || (first == 0xF0 && text[1] < 0x90);
    bool outside = (first == 0xED && text[1] > 0x9F) || (first == 0xF4 && text[1] > 0x8F);
    return overlong || outside ? 0 : length;
}

static size_t valid_prefix(const char *text, size_t length)
{
    size_t at = 0;
    while (at < length) {
        size_t step = sequence((const unsigned char *)text + at, length - at);
        if (step == 0)
            break;
        at += step;
    }
    return at;
}

/* `fixed` is used, and has to be freed, when something had to be replaced. */
static void repair(const char **text, size_t *length, struct buffer *fixed)
{
    buffer_init(fixed, SIZE_MAX / 4);
    size_t good = valid_prefix(*text, *length);
    if (good == *length)
        return;
    const char *from = *text;
    size_t left = *length;
    while (left > 0) {
        buffer_append(fixed, from, good);
        from += good;
        left -= good;
        if (left == 0)
            break;
        buffer_append(fixed, "\xEF\xBF\xBD", 3);
        from++;
        left--;
        good = valid_prefix(from, left);
    }
    *text = fixed->data;
    *length = fixed->length;
}

#define REPLACED_SIZE 3 /* of U+FFFD, which replaces a byte that is not UTF-8 */

static json_t *take_string(struct taking *taking, int index)
{
    size_t length;
    const char *text = lua_tolstring(taking->L, index, &length);
    struct buffer fixed;
    if (length > taking->room / REPLACED_SIZE && valid_prefix(text, length) != length) {
        taking->over = true;
        return NULL;
    }
    repair(&text, &length, &fixed);
    json_t *value = json_stringn_nocheck(text, length);
    buffer_free(&fixed);
    return value;
}

enum json_shape json_shape_of(lua_State *L, int index, lua_Integer *length)
{
    bool marked = json_is_marked(L, index);
    lua_Integer numbers = 0, strings = 0, others = 0, highest = 0;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING) {
            strings++;
        } else if (lua_isinteger(L, -1) && lua_tointeger(L, -1) > 0) {
            numbers++;
            if (lua_tointeger(L, -1) > highest)
                highest = lua_tointeger(L, -1);
        } else {
            others++;
        }
    }
    *length = highest;
    if (others > 0 || (strings > 0 && (numbers > 0 || marked)))
        return JSON_SHAPE_MIXED;
    if (numbers != highest)
        return JSON_SHAPE_HOLES;
    return numbers > 0 || marked ? JSON_SHAPE_ARRAY : JSON_SHAPE_OBJECT;
}

static json_t *take_array(struct taking *taking, int index, lua_Integer length, struct step *step)
{
    json_t *array = json_array();
    for (lua_Integer i = 1; array && i <= length; i++) {
        step->position = i;
        lua_rawgeti(taking->L, index, i);
        json_t *member = take(taking, lua_gettop(taking->L), step);
        lua_pop(taking->L, 1);
        if (!member || json_array_append_new(array, member) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

/* A member whose key is at -2 and whose value is at -1, into the object. Keys that are not UTF-8
 * may become the same. */
static bool take_member(struct taking *taking, json_t *object, struct step *step)
{
    size_t length, before = json_object_size(object);
    const char *key = lua_tolstring(taking->L, -2, &length);
    step->key = key;
    struct buffer fixed;
    repair(&key, &length, &fixed);
    json_t *member = memchr(key, '\0', length)
                         ? refuse(taking, step, "a key with a NUL byte cannot be JSON")
                         : take(taking, lua_gettop(taking->L), step);
    bool kept = member && json_object_setn_new_nocheck(object, key, length, member) == 0;
    if (kept && json_object_size(object) == before) {
        step->key = key;
        refuse(taking, step, "two keys would become this one");
        kept = false;
    }
    buffer_free(&fixed);
    return kept;
}

static json_t *take_object(struct taking *taking, int index, struct step *step)
{
    lua_State *L = taking->L;
    json_t *object = json_object();
    lua_pushnil(L);
    while (object && lua_next(L, index)) {
        bool kept = take_member(taking, object, step);
        lua_pop(L, 1);
        if (!kept) {
            lua_pop(L, 1);
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *take_table(struct taking *taking, int index, const struct step *up)
{
    struct step step = {
        .up = up, .table = lua_topointer(taking->L, index), .depth = up ? up->depth + 1 : 1};
    for (const struct step *above = up; above; above = above->up)
        if (above->table == step.table)
            return refuse(taking, up, "a table that contains itself cannot be JSON");
    if (step.depth > JSON_DEPTH_MAXIMUM)
        return refuse(taking, up, "nested more than 200 tables deep");
    lua_Integer length;
    switch (json_shape_of(taking->L, index, &length)) {
    case JSON_SHAPE_ARRAY: return take_array(taking, index, length, &step);
    case JSON_SHAPE_OBJECT: return take_object(taking, index, &step);
    case JSON_SHAPE_HOLES: return refuse(taking, up, "a list with holes cannot be JSON (use null)");
    case JSON_SHAPE_MIXED: break;
    }
    return refuse(taking, up, "a table with both list and named members cannot be JSON");
}

static json_t *take_number(struct taking *taking, int index, const struct step *up)
{
    if (lua_isinteger(taking->L, index))
        return json_integer(lua_tointeger(taking->L, index));
    double number = lua_tonumber(taking->L, index);
    if (!isfinite(number))
        return refuse(taking, up,
                      isnan(number) ? "not a number (nan) cannot be JSON"
                                    : "an infinite number cannot be JSON");
    return json_real(number);
}

/* There is room and time for one more value. */
static bool may_go_on(struct taking *taking, const struct step *up)
{
    if (++taking->nodes > taking->room / NODE_LEAST) {
        taking->over = true;
        return false;
    }
    if (taking->nodes % LOOK_EVERY == 0 && taking->vm && vm_expired(taking->vm)) {
        refuse(taking, up, "it took too long to convert");
        return false;
    }
    return true;
}

static json_t *take(struct taking *taking, int index, const struct step *up)
{
    lua_State *L = taking->L;
    if (!lua_checkstack(L, JSON_STACK_NEEDED))
        return refuse(taking, up, "not enough memory");
    if (!may_go_on(taking, up))
        return NULL;
    switch (lua_type(L, index)) {
    case LUA_TNIL: return json_null();
    case LUA_TBOOLEAN: return json_boolean(lua_toboolean(L, index));
    case LUA_TNUMBER: return take_number(taking, index, up);
    case LUA_TSTRING: return take_string(taking, index);
    case LUA_TTABLE: return take_table(taking, index, up);
    case LUA_TLIGHTUSERDATA:
        if (!lua_touserdata(L, index))
            return json_null();
        break;
    default: break;
    }
    char why[60];
    snprintf(why, sizeof why, "a %s cannot be JSON", lua_typename(L, lua_type(L, index)));
    return refuse(taking, up, why);
}

static json_t *take_within(struct taking *taking, int index, size_t *bytes)
{
    const struct vm *vm = taking->vm;
    taking->room = json_room(vm);
    taking->nodes = 0;
    taking->over = false;
    snprintf(taking->problem, taking->size,
             "it would take more memory than the %zu MiB that are left%s", taking->room >> 20,
             vm && vm->memory_limit ? " (--memory-limit)" : "");
    jsonmemory_begin(taking->room);
    json_t *value = take(taking, index, NULL);
    bool refused;
    size_t used = jsonmemory_end(&refused);
    taking->over = taking->over || refused;
    if (bytes)
        *bytes = value ? used : 0;
    return value;
}

json_t *json_take(lua_State *L, int index, char *problem, size_t size, size_t *bytes)
{
    if (!lua_checkstack(L, JSON_STACK_NEEDED)) {
        snprintf(problem, size, "not enough memory");
        return NULL;
    }
    struct taking taking = {.L = L, .vm = json_vm(L), .problem = problem, .size = size};
    json_t *value = take_within(&taking, lua_absindex(L, index), bytes);
    if (!value && taking.over && taking.vm && json_collect(taking.vm, taking.room))
        value = take_within(&taking, lua_absindex(L, index), bytes);
    return value;
}
