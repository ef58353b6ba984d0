/* --sandbox: what a script's state loses before the first line of the script runs. */
#ifndef MOLECULE_SCRIPT_SANDBOX_H
#define MOLECULE_SCRIPT_SANDBOX_H

#include <lua.h>
#include <stdbool.h>

struct vm;

/* Whether the state is for a sandboxed script. */
bool sandbox_is_on(const struct vm *vm);
/* Whether scripts reach neither the network nor programs (molecule try --offline). */
bool sandbox_is_offline(const struct vm *vm);

/* Removes what a sandboxed script must not have; from then on `require` looks where package.path
 * points now. To be called before any code of the script runs. Raises if --allow-host cannot be
 * read. */
void sandbox_install(lua_State *L);

/* Pushes a function that raises "<name> is not in the sandbox (--sandbox): <why>"; `why` NULL:
 * without a reason. */
void sandbox_push_refusal(lua_State *L, const char *name, const char *why);

#endif
