#include "script/vm_await.h"

#include "script/api_errors.h"
#include "script/handler.h"
#include "script/vm.h"

/* Lua knows of one coroutine only whether it can yield; the wait has to get through all of them. */
bool vm_can_wait(lua_State *L)
{
    const struct vm *vm = vm_of(L);
    if (!vm->running || vm->running->may_not_wait || L != vm->current)
        return false;
    for (const struct vm_frame *frame = vm->frame; frame; frame = frame->outer) {
        if (!lua_isyieldable(frame->co))
            return false;
        if (!frame->from)
            return frame->co == vm->branch->co;
        if (!frame->outer || frame->outer->co != frame->from)
            return false;
    }
    return false;
}

void vm_check_await(lua_State *L, const char *what)
{
    struct vm *vm = vm_of(L);
    if (!vm->running)
        api_raise(L, "%s cannot wait here", what);
    else if (vm->running->may_not_wait)
        api_raise(L, "%s cannot wait in %s", what, vm->running->may_not_wait);
    if (!vm_can_wait(L))
        api_raise(L,
                  "%s cannot wait here: it is inside a function that C calls (a table.sort "
                  "comparator, a gsub "
                  "callback, a metamethod, or a file that require loads)",
                  what);
}

static int after_await(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct operation *operation = (struct operation *)context;
    /* the object whose method waited, if it was one, lives on until its results are there */
    lua_settop(L, 1);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    int count = operation->results(L, operation);
    vm_end_await(operation->branch);
    return count;
}

void vm_end_await(struct branch *branch)
{
    struct operation *operation = branch->operation;
    if (!operation)
        return;
    branch->operation = NULL;
    if (!operation->complete)
        operation->cancel(operation);
    operation->release(operation);
}

int vm_await_then(lua_State *L, struct operation *operation, lua_KFunction next,
                  lua_KContext context)
{
    struct branch *branch = vm_of(L)->branch;
    vm_end_await(branch); /* one whose results could not be pushed: no memory */
    operation->branch = branch;
    operation->complete = false;
    branch->operation = operation;
    if (!vm_can_wait(L)) {
        vm_end_await(branch);
        return luaL_error(L, "cannot wait here");
    }
    vm_hold(L);
    return lua_yieldk(L, 0, context, next);
}

int vm_await(lua_State *L, struct operation *operation)
{
    return vm_await_then(L, operation, after_await, (lua_KContext)operation);
}

int vm_pass_await(lua_State *L, lua_KFunction next, bool context)
{
    vm_hold(L);
    return lua_yieldk(L, 0, context, next);
}
