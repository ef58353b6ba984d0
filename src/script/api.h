/* The C half of `require "molecule"`. One file per concept, each with one installing function; api.c lists them.
 * Each adds its functions to the table on top of the stack (molecule.core), which lua/molecule/init.lua shapes into
 * what scripts see. */
#ifndef MOLECULE_SCRIPT_API_H
#define MOLECULE_SCRIPT_API_H

#include "script/vm.h"

/* X(installing function) */
#define API_PARTS(X)     \
    X(api_log_install)   \
    X(api_time_install)  \
    X(api_exec_install)  \
    X(api_http_install)  \
    X(api_sse_install)

#define X(install) void install(lua_State *L);
API_PARTS(X)
#undef X

#endif
