/* `require` for the Lua files that are linked into the binary. */
#ifndef MOLECULE_SCRIPT_LOADER_H
#define MOLECULE_SCRIPT_LOADER_H

#include <lua.h>

/* Adds a searcher behind package.preload: "molecule.emulator.store" is the embedded molecule/emulator/store.lua, or
 * .../store/init.lua. Text chunks only. The package library must be open. May raise a Lua error (memory). */
void loader_install(lua_State *L);

#endif
