/* What a script logs and what it did to the world, for whoever observes the host. */
#ifndef MOLECULE_SCRIPT_SAID_H
#define MOLECULE_SCRIPT_SAID_H

#include <lua.h>
#include <stdint.h>

struct handler;
struct vm;

/* On the worker thread. `level` is static. Nothing happens if nobody listens. */
void script_say(struct vm *vm, const char *level, const char *text);
/* The handler has used the function `what` (static), such as molecule.http; the text tells how, and
 * what came of it, after `took_ms`. `call`: the same as --record has it, JSON, or NULL; takes it.
 */
void script_did(struct handler *handler, const char *what, const char *text, int64_t took_ms,
                char *call);
/* The running handler is about to be given the table at `index` as its msg. Raises nothing. */
void script_show_msg(lua_State *L, struct vm *vm, int index);

#endif
