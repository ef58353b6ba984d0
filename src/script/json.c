/* The conversion between jansson's values and Lua's, and the Lua module made of it. */
#include "script/json.h"

#include "base/buffer.h"
#include "base/decimal.h"
#include "script/vm.h"
#include "script/vm_limits.h"
#include "script/vm_memory.h"
#include "wire/jsonmemory.h"
#include "wire/jsontext.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOX_METATABLE "molecule.json.box"
#define STACK_NEEDED 8

/* The registry key under which json_take finds the array metatable without making a string. */
static const char array_key = 0;
/* … and the vm of a script's state. */
static const char vm_key = 0;

/* bytes of one conversion where the state has no limit */
#define UNLIMITED_MAXIMUM ((size_t)1 << 30)
#define OTHER_MAXIMUM ((size_t)64 << 20) /* … where it is no script's */
#define NODE_LEAST 32                    /* bytes of a value, whatever it is */
#define LOOK_EVERY 1024                  /* values between two looks at the limits */

void json_limit(lua_State *L, struct vm *vm)
{
    lua_pushlightuserdata(L, vm);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &vm_key);
}

/* NULL: the state is no script's. */
static struct vm *vm_behind(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &vm_key);
    struct vm *vm = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return vm;
}

static size_t room_for(const struct vm *vm)
{
    if (!vm)
        return OTHER_MAXIMUM;
    return vm->memory_limit ? vm_room(vm) : UNLIMITED_MAXIMUM;
}

/* ---- to Lua ---- */

static void push_array_metatable(lua_State *L)
{
    if (luaL_newmetatable(L, JSON_ARRAY_METATABLE)) {
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &array_key);
    }
}

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
    push_array_metatable(L);
    lua_setmetatable(L, -2);
    for (size_t i = 0; i < size; i++) {
        json_push(L, json_array_get(value, i));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

void json_push(lua_State *L, const json_t *value)
{
    luaL_checkstack(L, STACK_NEEDED, "JSON nested too deeply");
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

/* ---- from Lua ---- */

/* There is more room than there was, once the garbage is collected. */
static bool collect_for(struct vm *vm, size_t room)
{
    lua_gc(vm->L, LUA_GCCOLLECT);
    return vm->memory_limit > 0 && vm_room(vm) > room;
}

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

/* The length of the UTF-8 sequence at `text`, 0 if there is none. */
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

#define REPLACED_SIZE 3 /* of what stands for a byte that is not UTF-8 */

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

enum shape { SHAPE_OBJECT, SHAPE_ARRAY, SHAPE_MIXED, SHAPE_HOLES };

static enum shape shape_of(lua_State *L, int index, lua_Integer *length)
{
    bool marked = false;
    if (lua_getmetatable(L, index)) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
        marked = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
    }
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
        return SHAPE_MIXED;
    if (numbers != highest)
        return SHAPE_HOLES;
    return numbers > 0 || marked ? SHAPE_ARRAY : SHAPE_OBJECT;
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
    switch (shape_of(taking->L, index, &length)) {
    case SHAPE_ARRAY: return take_array(taking, index, length, &step);
    case SHAPE_OBJECT: return take_object(taking, index, &step);
    case SHAPE_HOLES: return refuse(taking, up, "a list with holes cannot be JSON (use null)");
    case SHAPE_MIXED: break;
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

/* There is room for one more value, and time. */
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
    if (!lua_checkstack(L, STACK_NEEDED))
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
    taking->room = room_for(vm);
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
    if (!lua_checkstack(L, STACK_NEEDED)) {
        snprintf(problem, size, "not enough memory");
        return NULL;
    }
    struct taking taking = {.L = L, .vm = vm_behind(L), .problem = problem, .size = size};
    json_t *value = take_within(&taking, lua_absindex(L, index), bytes);
    if (!value && taking.over && taking.vm && collect_for(taking.vm, taking.room))
        value = take_within(&taking, lua_absindex(L, index), bytes);
    return value;
}

/* ---- the module ---- */

/* Keeps what is not Lua's until a push that may raise is over. */
struct box {
    struct vm *vm; /* that is charged with it; NULL: none */
    json_t *value;
    char *text;
    size_t charged;
};

static void empty(struct box *box)
{
    json_decref(box->value);
    free(box->text);
    if (box->vm)
        vm_uncharge(box->vm, box->charged);
    box->value = NULL;
    box->text = NULL;
    box->charged = 0;
}

static int box_collect(lua_State *L)
{
    empty(luaL_checkudata(L, 1, BOX_METATABLE));
    return 0;
}

/* It fits: the conversion took no more than there is room for. */
static void charge(struct box *box, size_t bytes)
{
    if (box->vm && vm_try_charge(box->vm, bytes))
        box->charged += bytes;
}

static struct box *push_box(lua_State *L)
{
    struct box *box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = (struct box){.vm = vm_behind(L)};
    luaL_setmetatable(L, BOX_METATABLE);
    return box;
}

static int fail(lua_State *L, const char *problem)
{
    lua_pushnil(L);
    lua_pushstring(L, problem);
    lua_pushliteral(L, "JSON");
    return 3;
}

static bool is_strict(lua_State *L, int index)
{
    if (lua_isnoneornil(L, index))
        return false;
    luaL_checktype(L, index, LUA_TTABLE);
    lua_getfield(L, index, "strict");
    bool strict = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return strict;
}

struct source {
    struct vm *vm;
    const char *text;
    size_t left;
};

/* jansson's reader: a piece at a time, so that a limit that is reached meanwhile ends it. */
static size_t next_piece(void *buffer, size_t size, void *context)
{
    struct source *source = context;
    size_t length = source->left < size ? source->left : size;
    if (source->vm && vm_expired(source->vm))
        return (size_t)-1;
    memcpy(buffer, source->text, length);
    source->text += length;
    source->left -= length;
    return length;
}

/* Into the box; true: it did not fit. */
static bool load(struct box *box, struct source source, size_t room, bool mend, json_error_t *error)
{
    bool refused;
    const char *text = source.text;
    size_t length = source.left;
    jsonmemory_begin(room);
    box->value = json_load_callback(next_piece, &source, JSON_ALLOW_NUL | JSON_DECODE_ANY, error);
    if (!box->value && mend && length < room / 2 && !(box->vm && vm_expired(box->vm)))
        box->value = jsontext_read(text, length, NULL, NULL);
    charge(box, jsonmemory_end(&refused));
    return refused && !box->value;
}

bool json_read(lua_State *L, const char *text, size_t length, bool mend, char *problem, size_t size)
{
    bool refused;
    json_error_t error;
    struct box *box = push_box(L);
    struct source source = {.vm = box->vm, .text = text, .left = length};
    size_t room = box->vm && !box->vm->memory_limit ? SIZE_MAX / 4 : room_for(box->vm);
    refused = load(box, source, room, mend, &error);
    if (refused && box->vm && collect_for(box->vm, room)) {
        room = room_for(box->vm);
        refused = load(box, source, room, mend, &error);
    }
    if (box->value) {
        json_push(L, box->value);
        empty(box);
        lua_remove(L, -2);
        return true;
    }
    if (refused)
        snprintf(
            problem, size,
            "its values would take more memory than the %zu MiB that are left (--memory-limit)",
            room >> 20);
    else
        snprintf(problem, size, "line %d, column %d: %s", error.line, error.column, error.text);
    empty(box);
    lua_pop(L, 1);
    return false;
}

static int decode(lua_State *L)
{
    size_t length;
    char problem[JSON_ERROR_TEXT_LENGTH + 60];
    const char *text = luaL_checklstring(L, 1, &length);
    if (json_read(L, text, length, !is_strict(L, 2), problem, sizeof problem))
        return 1;
    return fail(L, problem);
}

static size_t flags_from(lua_State *L, int index)
{
    size_t flags = JSON_ENCODE_ANY;
    if (lua_isnoneornil(L, index))
        return flags | JSON_COMPACT;
    luaL_checktype(L, index, LUA_TTABLE);
    lua_getfield(L, index, "indent");
    lua_Integer indent = luaL_optinteger(L, -1, 0);
    luaL_argcheck(L, indent >= 0 && indent <= 31, index, "indent must be from 0 to 31");
    lua_getfield(L, index, "sort");
    flags |= lua_toboolean(L, -1) ? JSON_SORT_KEYS : 0;
    lua_pop(L, 2);
    return flags | (indent > 0 ? JSON_INDENT((size_t)indent) : JSON_COMPACT);
}

static void dump(struct box *box, size_t flags)
{
    jsonmemory_begin(room_for(box->vm));
    box->text = json_dumps(box->value, flags);
    charge(box, jsonmemory_end(NULL));
}

static int encode(lua_State *L)
{
    luaL_checkany(L, 1);
    size_t flags = flags_from(L, 2);
    struct box *box = push_box(L);
    char problem[500];
    size_t bytes;
    box->value = json_take(L, 1, problem, sizeof problem, &bytes);
    if (!box->value)
        return fail(L, problem);
    charge(box, bytes);
    dump(box, flags);
    if (!box->text && box->vm && collect_for(box->vm, vm_room(box->vm)))
        dump(box, flags);
    if (!box->text) {
        empty(box);
        return fail(L, "its text would take more memory than is left (--memory-limit)");
    }
    lua_pushlstring(L, box->text, decimal_shorten(box->text, strlen(box->text)));
    empty(box);
    return 1;
}

static int array(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    push_array_metatable(L);
    lua_setmetatable(L, 1);
    return 1;
}

static int is_array(lua_State *L)
{
    bool marked = false;
    if (lua_istable(L, 1) && lua_getmetatable(L, 1)) {
        push_array_metatable(L);
        marked = lua_rawequal(L, -1, -2);
    }
    lua_pushboolean(L, marked);
    return 1;
}

static const luaL_Reg functions[] = {
    {"decode", decode}, {"encode", encode}, {"array", array}, {"is_array", is_array}, {NULL, NULL}};

int luaopen_molecule_json(lua_State *L)
{
    push_array_metatable(L);
    if (luaL_newmetatable(L, BOX_METATABLE)) {
        lua_pushcfunction(L, box_collect);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 2);
    luaL_newlib(L, functions);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    return 1;
}
