/* How functions of the API report errors. */
#ifndef MOLECULE_SCRIPT_API_ERRORS_H
#define MOLECULE_SCRIPT_API_ERRORS_H

#include <lauxlib.h>
#include <lua.h>

/* Raises an error at the line of the script that called into our modules, however deep inside them
 * it is detected. `return api_misuse(L, ...)`; the format is as of lua_pushfstring. */
int api_misuse(lua_State *L, const char *format, ...);
/* The same for errors that may not happen again on the next attempt. */
int api_raise(lua_State *L, const char *format, ...);

/* `return api_refuse_quota(L, problem)`: nil, the problem, "QUOTA" (script/quota.c). */
int api_refuse_quota(lua_State *L, const char *problem);

#endif
