/* JSON <-> Lua. Integers stay integers (64 bits), reals stay floats, null is
 * lua_pushlightuserdata(L, NULL) (what cjson.null is), and a table with the array metatable is an
 * array even when it is empty. */
#ifndef MOLECULE_SCRIPT_JSON_H
#define MOLECULE_SCRIPT_JSON_H

#include "wire/slice.h"

#include <jansson.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#define JSON_DEPTH_MAXIMUM 200 /* of what json_take accepts */

/* Pushes the value. May raise a Lua error (memory); holds nothing of its own. */
void json_push(lua_State *L, const json_t *value);

/* The same of a sound slice (wire/slice.h) that is, or stands in, an object or array. */
void json_push_slice(lua_State *L, struct page_row value);
/* The members of such an object, but that of one key, into the table on top. */
void json_add_members(lua_State *L, struct page_row object, const char *except);

/* A new reference to the value at `index`, or NULL and what is wrong with it, with the path to it
 * ("parts[2].data: a function cannot be JSON"). Never raises and runs no Lua code. Bytes that are
 * not UTF-8 become U+FFFD. It takes no more memory than the state has left: tables that are
 * referred to many times are small in Lua and may be enormous written out. `bytes`, unless NULL:
 * the bytes it takes, for a caller that charges the state with them. */
json_t *json_take(lua_State *L, int index, char *problem, size_t size, size_t *bytes);
/* The list at `index` as text, if it is a short one of nothing but sound parts of the kinds text
 * and data, not all of them empty: what json_take, reply_make_parts and jsontext_write make of it.
 * `*text`: a text part is among them. NULL: it is anything else. Never raises. Yours to free. */
char *json_write_parts(lua_State *L, int index, bool *text);
/* Pushes the value of a JSON text within the same bounds; false, and nothing pushed: `problem`.
 * `mend`: also accepts a text that is only nearly JSON. May raise a Lua error (memory). */
bool json_read(lua_State *L, const char *text, size_t length, bool mend, char *problem,
               size_t size);

/* The module: decode, encode, null, array, is_array. May raise a Lua error (memory). */
int luaopen_molecule_json(lua_State *L);

#endif
