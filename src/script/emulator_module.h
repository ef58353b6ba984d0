/* What the emulator's Lua half is given by C: the module "molecule.emulator.host". */
#ifndef MOLECULE_SCRIPT_EMULATOR_MODULE_H
#define MOLECULE_SCRIPT_EMULATOR_MODULE_H

#include "script/emulator_host.h"

/* Preloads the module. May raise a Lua error (memory). */
void emulator_module_install(lua_State *L, struct emulator_host *host);

/* Stops the timers. The Lua state may go afterwards. */
void emulator_module_close(struct emulator_host *host);

#endif
