/* Questions of the emulator's Lua code to the host that is connected to it. */
#ifndef MOLECULE_SCRIPT_EMULATOR_ASK_H
#define MOLECULE_SCRIPT_EMULATOR_ASK_H

#include "script/emulator_host.h"

/* ask(request, callback): callback(answer), or callback(nil, problem). Both are JSON. */
int emulator_ask(lua_State *L);
/* What is under way calls nothing back. */
void emulator_ask_close(struct emulator_host *host);

#endif
