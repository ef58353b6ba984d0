#include "script/step_scope.h"

#include "base/memory.h"
#include "script/locks.h"
#include "script/vm.h"
#include "script/vm_memory.h"

#include <lauxlib.h>
#include <stdlib.h>

void step_scope_begin(struct handler *handler)
{
    handler->step = memory_allocate(sizeof *handler->step);
    handler->step->values = LUA_NOREF;
}

struct changes *step_scope_take(struct handler *handler)
{
    struct store_scope *step = handler->step;
    if (!step || (!step->changes && !step->ticket))
        return NULL;
    struct changes *changes = step->changes ? step->changes : changes_make();
    if (step->changes)
        vm_uncharge(handler->vm, step->changes->bytes);
    changes->locks = step->ticket;
    step->changes = NULL;
    step->ticket = 0;
    return changes;
}

void step_scope_end(struct handler *handler)
{
    struct store_scope *step = handler->step;
    struct vm *vm = handler->vm;
    if (!step)
        return;
    handler->step = NULL;
    if (step->changes)
        vm_uncharge(vm, step->changes->bytes);
    changes_free(step->changes);
    if (vm->locks)
        locks_release(vm->locks, step->ticket);
    luaL_unref(vm->L, LUA_REGISTRYINDEX, step->values);
    free(step);
}
