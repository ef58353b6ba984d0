/* Handlers run, wait and end. All code of a script runs through here, within its limits. */
#ifndef MOLECULE_SCRIPT_HANDLER_RUN_H
#define MOLECULE_SCRIPT_HANDLER_RUN_H

#include "script/handler.h"
#include "script/vm.h"

/* Starts a coroutine whose body is `body(L)`; lua_touserdata(L, 1) is the handler. It runs when the
 * lane's turn comes; `finished` may come from inside. */
void handler_start(struct vm *vm, struct handler *handler, lua_CFunction body, int64_t cpu_limit_ms,
                   int64_t timeout_ms);
/* The same from inside a turn of its lane: it runs now, until its end or its first wait. */
void handler_start_now(struct vm *vm, struct handler *handler, lua_CFunction body,
                       int64_t cpu_limit_ms, int64_t timeout_ms);
/* It is complete: the branch that waits for it continues when the handler's turn comes. Once per
 * operation; further calls do nothing. */
void operation_wake(struct operation *operation);
/* Its time is up, or the host ends it: it is never resumed again, and `finished` is called. */
void handler_abandon(struct handler *handler, enum script_limit limit, const char *reason);

/* Adds a part to the branch, which waits for it; it begins when its turn comes. Its prepare, ran,
 * group and index are set. */
void branch_start(struct branch *part, struct branch *parent);
/* The part has ended, or is to end: what it waits for is cancelled, what it opened ends, and so do
 * its own parts; it is never resumed again. Frees it. */
void branch_drop(struct branch *part);

#endif
