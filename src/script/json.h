/* JSON <-> Lua. Integers stay integers (64 bits), reals stay floats, null is lua_pushlightuserdata(L, NULL) (what
 * cjson.null is), and a table with the array metatable is an array even when it is empty. */
#ifndef MOLECULE_SCRIPT_JSON_H
#define MOLECULE_SCRIPT_JSON_H

#include <jansson.h>
#include <lua.h>

#define JSON_ARRAY_METATABLE "molecule.array"
#define JSON_DEPTH_MAXIMUM 200 /* of what json_take accepts */

/* Pushes the value. May raise a Lua error (memory); holds nothing of its own. */
void json_push(lua_State *L, const json_t *value);

/* A new reference to the value at `index`, or NULL and what is wrong with it, with the way to it
 * ("parts[2].data: a function cannot be JSON"). Never raises and runs no Lua code. Bytes that are not UTF-8 become
 * U+FFFD. */
json_t *json_take(lua_State *L, int index, char *problem, size_t size);

/* The module: decode, encode, null, array, is_array. May raise a Lua error (memory). */
int luaopen_molecule_json(lua_State *L);

#endif
