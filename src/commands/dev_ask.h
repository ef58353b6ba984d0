/* What the playground asks of the host of `molecule dev`, and of its files. */
#ifndef MOLECULE_COMMANDS_DEV_ASK_H
#define MOLECULE_COMMANDS_DEV_ASK_H

#include <stddef.h>

/* A request as host/control.h has them, or one of these, which need no host:
 *
 *   {"do": "message", "row_id": "…"}  -> {"message": {state, attempts, …} or null, "cursor": "…",
 *                                          "steps": [{key, kind, value, at}, …]}
 *   {"do": "store", "prefix": "…"}    -> {"values": [{key, value}, …], "more": false}
 *
 * Waits for the host. NULL: `problem` says why. The answer, JSON, is yours to free. */
char *dev_ask(const char *state_directory, const char *workspace_id, const char *request,
              char *problem, size_t problem_size);

#endif
