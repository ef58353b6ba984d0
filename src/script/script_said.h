/* What a script logs and what it did to the world, for whoever observes the host. */
#ifndef MOLECULE_SCRIPT_SAID_H
#define MOLECULE_SCRIPT_SAID_H

#include <lua.h>

struct vm;

/* On the worker thread. `level` is static. Nothing happens if nobody listens. */
void script_say(struct vm *vm, const char *level, const char *text);
/* It has used the function `what` (static), such as molecule.http; the text tells how, and what
 * came of it. */
void script_did(struct vm *vm, const char *what, const char *text);
/* The running handler is about to be given the table at `index` as its msg. Raises nothing. */
void script_show_msg(lua_State *L, struct vm *vm, int index);

#endif
