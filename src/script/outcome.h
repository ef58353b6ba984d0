/* Between the host's structures and Lua values: a message becomes `msg`, what the handler returned
 * becomes an outcome. */
#ifndef MOLECULE_SCRIPT_OUTCOME_H
#define MOLECULE_SCRIPT_OUTCOME_H

#include "script/script_types.h"

#include <lua.h>

/* Its address is the registry key of the metatable of molecule.skip, retry and dead. */
extern const char outcome_verdict_key;

/* May raise a Lua error (memory). */
void message_push(lua_State *L, const struct message *message);
/* Reads what the handler returned, from stack index `first` to the top, into `outcome`. Never
 * raises. */
void outcome_read(lua_State *L, int first, struct script_outcome *outcome);
/* What molecule.skip, retry or dead gave. */
bool outcome_is_verdict(lua_State *L, int index);
/* Takes the two texts. */
void outcome_fail(struct script_outcome *outcome, enum script_limit limit, char *reason,
                  char *traceback);
/* What failed, in one line, then the traceback. Yours to free. */
char *outcome_describe(const struct script_outcome *outcome);

#endif
