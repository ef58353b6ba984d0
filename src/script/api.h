/* The C half of `require "molecule"`. One file per concept, each with one installing function;
 * api.c lists them. Each adds its functions to the table on top of the stack (molecule.core), which
 * lua/molecule/init.lua shapes into what scripts see. */
#ifndef MOLECULE_SCRIPT_API_H
#define MOLECULE_SCRIPT_API_H

#include "script/vm.h"

/* X(installing function) */
#define API_PARTS(X)      \
    X(api_check_install)  \
    X(api_log_install)    \
    X(api_time_install)   \
    X(api_exec_install)   \
    X(api_child_install)  \
    X(api_http_install)   \
    X(api_sse_install)    \
    X(api_store_install)  \
    X(api_peers_install)  \
    X(api_files_install)  \
    X(api_base64_install) \
    X(api_timer_install)

#define X(install) void install(lua_State *L);
API_PARTS(X)
#undef X

/* Raises an error at the line of the script that called into our modules, however deep inside them
 * the mistake shows. `return api_misuse(L, ...)`; the format is as of lua_pushfstring. */
int api_misuse(lua_State *L, const char *format, ...);
/* The same for what may be no mistake, and be better the next time. */
int api_raise(lua_State *L, const char *format, ...);

/* A length of time as scripts give it: a number of seconds, or a text like "10s", "1m30s", "250ms".
 * false: it is none. */
bool api_to_seconds(lua_State *L, int index, lua_Number *seconds);
/* The same; raises at the script's line where it is none, or not within the bounds. `what`: the
 * function's name. */
lua_Number api_check_seconds(lua_State *L, int index, const char *what, lua_Number least,
                             lua_Number most);
/* Raises at the script's line for a field of the table that is none of these, with the one that may
 * have been meant. */
void api_check_fields(lua_State *L, int index, const char *what, const char *const *known,
                      size_t count);

/* `return api_refuse_quota(L, problem)`: nil, the problem, "QUOTA" (script/quota.c). */
int api_refuse_quota(lua_State *L, const char *problem);

/* os.execute, and io.popen with what io.type and io.close say of its objects: no parts of
 * molecule.core; in place before a script can take hold of Lua's own. */
void api_execute_install(lua_State *L);
void api_popen_install(lua_State *L);

#endif
