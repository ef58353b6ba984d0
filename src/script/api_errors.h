/* How functions of the API say no. */
#ifndef MOLECULE_SCRIPT_API_ERRORS_H
#define MOLECULE_SCRIPT_API_ERRORS_H

#include <lauxlib.h>
#include <lua.h>

/* Raises an error at the line of the script that called into our modules, however deep inside them
 * the mistake shows. `return api_misuse(L, ...)`; the format is as of lua_pushfstring. */
int api_misuse(lua_State *L, const char *format, ...);
/* The same for what may be no mistake, and be better the next time. */
int api_raise(lua_State *L, const char *format, ...);

/* `return api_refuse_quota(L, problem)`: nil, the problem, "QUOTA" (script/quota.c). */
int api_refuse_quota(lua_State *L, const char *problem);

#endif
