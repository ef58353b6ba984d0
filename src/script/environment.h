/* The standard libraries as scripts get them. */
#ifndef MOLECULE_SCRIPT_ENVIRONMENT_H
#define MOLECULE_SCRIPT_ENVIRONMENT_H

#include <lua.h>

/* Opens them; may raise. */
void environment_install(lua_State *L);

#endif
