/* Lines that a script logs, for whoever observes the host. */
#ifndef MOLECULE_SCRIPT_SAID_H
#define MOLECULE_SCRIPT_SAID_H

struct vm;

/* On the worker thread. `level` is static. Nothing happens if nobody listens. */
void script_say(struct vm *vm, const char *level, const char *text);

#endif
