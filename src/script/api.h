/* The C half of `require "molecule"`. One file per concept, each with one installing function;
 * api.c lists them. Each adds its functions to the table on top of the stack (molecule.core), which
 * lua/molecule/init.lua shapes into what scripts see. */
#ifndef MOLECULE_SCRIPT_API_H
#define MOLECULE_SCRIPT_API_H

#include <lauxlib.h>
#include <lua.h>

/* X(installing function) */
#define API_PARTS(X)           \
    X(api_check_install)       \
    X(api_log_install)         \
    X(api_time_install)        \
    X(api_at_once_install)     \
    X(api_exec_install)        \
    X(api_child_install)       \
    X(api_http_install)        \
    X(api_http_stream_install) \
    X(api_sse_install)         \
    X(api_store_install)       \
    X(api_step_install)        \
    X(api_question_install)    \
    X(api_peers_install)       \
    X(api_files_install)       \
    X(api_model_install)       \
    X(api_base64_install)      \
    X(api_timer_install)       \
    X(api_cron_install)

#define X(install) void install(lua_State *L);
API_PARTS(X)
#undef X

/* os.execute, and io.popen with what io.type and io.close say of its objects: no parts of
 * molecule.core; in place before a script can take hold of Lua's own. */
void api_execute_install(lua_State *L);
void api_popen_install(lua_State *L);

/* Puts all of it where `require` finds it. May raise. */
void api_install(lua_State *L);

#endif
