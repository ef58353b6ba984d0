/* Replaces xpcall, coroutine.resume, wrap and close, and debug.traceback. */
#ifndef MOLECULE_SCRIPT_COROUTINES_H
#define MOLECULE_SCRIPT_COROUTINES_H

#include <lua.h>

void coroutines_install(lua_State *L);

#endif
