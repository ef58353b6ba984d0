/* What a script logs and what it did to the world, for whoever observes the host. */
#ifndef MOLECULE_SCRIPT_SAID_H
#define MOLECULE_SCRIPT_SAID_H

struct vm;

/* On the worker thread. `level` is static. Nothing happens if nobody listens. */
void script_say(struct vm *vm, const char *level, const char *text);
/* It has used the function `what` (static), such as molecule.http; the text tells how, and what
 * came of it. */
void script_did(struct vm *vm, const char *what, const char *text);

#endif
