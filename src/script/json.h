/* JSON values in Lua, as scripts see them: integers stay integers (64 bits), reals stay floats, null is
 * lua_pushlightuserdata(L, NULL) (which is cjson.null), arrays carry a metatable so that [] stays []. */
#ifndef MOLECULE_SCRIPT_JSON_H
#define MOLECULE_SCRIPT_JSON_H

#include <jansson.h>
#include <lua.h>
#include <stddef.h>

#define JSON_ARRAY_METATABLE "molecule.array" /* in the registry */
#define JSON_DEPTH_MAXIMUM 200

/* Pushes the value. May raise for want of memory; holds nothing of its own. */
void json_push(lua_State *L, const json_t *value);

/* A new reference made of the Lua value, or NULL: `problem` says which part of it cannot be JSON, for example
 * "parts[2].data: a function cannot be JSON". Never raises and calls no metamethod. Strings that are not UTF-8 are
 * repaired. */
json_t *json_take(lua_State *L, int index, char *problem, size_t problem_size);

/* molecule.json: decode(text) -> value, or nil, message, "JSON"; encode(value [, {indent=n, sort=true}]) -> text, or
 * nil, message, "JSON"; null; array(table) marks a table as an array. */
int luaopen_molecule_json(lua_State *L);

#endif
