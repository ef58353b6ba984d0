/* A branch of a handler waits for the host: its coroutine yields until something is complete, while
 * the worker runs other branches and handlers. */
#ifndef MOLECULE_SCRIPT_VM_AWAIT_H
#define MOLECULE_SCRIPT_VM_AWAIT_H

#include "script/handler.h"

#include <lua.h>
#include <stdbool.h>

/* What a branch waits for. Allocated by the API that starts it. */
struct operation {
    /* on the coroutine, protected: pushes the results, returns how many; may raise */
    int (*results)(lua_State *L, struct operation *operation);
    /* ends what is under way: no completion may follow. Not called once it is complete */
    void (*cancel)(struct operation *operation);
    /* after it was completed or cancelled; the last call */
    void (*release)(struct operation *operation);
    struct branch *branch; /* whom it wakes; set by vm_await */
    bool complete;         /* set by operation_wake */
};

/* Every coroutine from here to the branch's own can be suspended. */
bool vm_can_wait(lua_State *L);
/* Raises an error at the script's line that names `what` where a function cannot wait. Call it
 * before anything is started. */
void vm_check_await(lua_State *L, const char *what);

/* From a Lua C function, after vm_check_await: suspends the branch until operation_wake; the
 * operation's results are what the function's caller gets. `return vm_await(L, …)`. */
int vm_await(lua_State *L, struct operation *operation);
/* The same for a C function that continues afterwards: `next` finds the stack as it was left, and
 * first calls vm_end_await. The operation has no results. */
int vm_await_then(lua_State *L, struct operation *operation, lua_KFunction next,
                  lua_KContext context);
/* The one place where an operation ends: cancelled unless it is complete, then released. */
void vm_end_await(struct branch *branch);
/* For coroutine.resume: yields the same wait again from an outer coroutine; `next` runs when the
 * host wakes it. */
int vm_pass_await(lua_State *L, lua_KFunction next, bool context);

#endif
