/* Questions to the host, on their way there and back. */
#ifndef MOLECULE_SCRIPT_SCRIPT_ASK_H
#define MOLECULE_SCRIPT_SCRIPT_ASK_H

#include "script/script_types.h"
#include "script/vm_await.h"

/* The handler that waits for an answer. */
struct ask_operation {
    struct operation operation; /* first */
    struct script_ask *ask;
    int (*push)(lua_State *L, const struct script_ask *ask);
    bool answered;
};

/* Sends the question to the host. false: there is no host to ask, and the question stays the
 * caller's. */
bool script_ask(struct script *script, struct script_ask *ask);
void ask_free(struct script_ask *ask);

#endif
