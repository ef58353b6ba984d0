/* What the API's functions share when they look at their arguments. */
#ifndef MOLECULE_SCRIPT_API_CHECK_H
#define MOLECULE_SCRIPT_API_CHECK_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* A length of time as scripts give it: a number of seconds, or a text like "10s", "1m30s", "250ms".
 * false: it is not. */
bool api_to_seconds(lua_State *L, int index, lua_Number *seconds);
/* The same; raises at the script's line if it is not one, or out of bounds. `what`: the
 * function's name. */
lua_Number api_check_seconds(lua_State *L, int index, const char *what, lua_Number least,
                             lua_Number most);
/* Raises at the script's line for a field of the table that is not among these, and suggests the
 * one that may have been meant. */
void api_check_fields(lua_State *L, int index, const char *what, const char *const *known,
                      size_t count);

#endif
