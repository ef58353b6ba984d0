/* The Lua module: texts to values and back, by way of jansson's values (json_push.c, json_take.c),
 * which the state is charged with while they live. */
#include "script/json.h"

#include "base/decimal.h"
#include "script/json_state.h"
#include "script/vm_limits.h"
#include "script/vm_memory.h"
#include "wire/jsonmemory.h"
#include "wire/jsontext.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOX_METATABLE "molecule.json.box"

/* Owns what is not Lua's across a push that may raise. */
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

/* It fits: the conversion was limited to the room there is. */
static void charge(struct box *box, size_t bytes)
{
    if (box->vm && vm_try_charge(box->vm, bytes))
        box->charged += bytes;
}

static struct box *push_box(lua_State *L)
{
    struct box *box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = (struct box){.vm = json_vm(L)};
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

/* jansson's reader: one piece at a time, so that reaching a limit ends it. */
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
    size_t room = box->vm && !box->vm->memory_limit ? SIZE_MAX / 4 : json_room(box->vm);
    refused = load(box, source, room, mend, &error);
    if (refused && box->vm && json_collect(box->vm, room)) {
        room = json_room(box->vm);
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
    jsonmemory_begin(json_room(box->vm));
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
    if (!box->text && box->vm && json_collect(box->vm, vm_room(box->vm)))
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
    json_push_array_metatable(L);
    lua_setmetatable(L, 1);
    return 1;
}

static int is_array(lua_State *L)
{
    lua_pushboolean(L, lua_istable(L, 1) && json_is_marked(L, 1));
    return 1;
}

static const luaL_Reg functions[] = {
    {"decode", decode}, {"encode", encode}, {"array", array}, {"is_array", is_array}, {NULL, NULL}};

int luaopen_molecule_json(lua_State *L)
{
    json_push_array_metatable(L);
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
