/* What a Lua state keeps for the conversion of JSON: its bounds, and the metatable of arrays. */
#ifndef MOLECULE_SCRIPT_JSON_STATE_H
#define MOLECULE_SCRIPT_JSON_STATE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#define JSON_STACK_NEEDED 8 /* slots, for each level of nesting */

#define JSON_ARRAY_METATABLE "molecule.array"

struct vm;

/* The state is a script's, whose limits hold here. Without it there is a fixed bound. May raise a
 * Lua error (memory). */
void json_limit(lua_State *L, struct vm *vm);
/* NULL: the state is no script's. */
struct vm *json_vm(lua_State *L);
/* Bytes that one conversion may take. */
size_t json_room(const struct vm *vm);
/* Collects garbage; true: there is more room than `room` now. */
bool json_collect(struct vm *vm, size_t room);

enum json_shape {
    JSON_SHAPE_OBJECT,
    JSON_SHAPE_ARRAY,
    JSON_SHAPE_MIXED, /* list and named members */
    JSON_SHAPE_HOLES
};
/* What the table at `index` is in JSON, and the length of an array. Never raises. */
enum json_shape json_shape_of(lua_State *L, int index, lua_Integer *length);

/* Creates it if need be; may raise. */
void json_push_array_metatable(lua_State *L);
/* The value at `index` has it. Never raises. */
bool json_is_marked(lua_State *L, int index);

#endif
