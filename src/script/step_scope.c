#include "script/step_scope.h"

#include "base/memory.h"
#include "script/locks.h"
#include "script/vm.h"
#include "script/vm_memory.h"

#include <lauxlib.h>
#include <stdlib.h>

void step_scope_begin(struct branch *branch, const char *key)
{
    branch->step = memory_allocate(sizeof *branch->step);
    branch->step->values = LUA_NOREF;
    branch->step->key = memory_copy_text(key);
}

struct changes *step_scope_take(struct branch *branch)
{
    struct store_scope *step = branch->step;
    if (!step || (!step->changes && !step->ticket))
        return NULL;
    struct changes *changes = step->changes ? step->changes : changes_make();
    if (step->changes)
        vm_uncharge(branch->handler->vm, step->changes->bytes);
    changes->locks = step->ticket;
    step->changes = NULL;
    step->ticket = 0;
    return changes;
}

void step_scope_end(struct branch *branch)
{
    struct store_scope *step = branch->step;
    struct vm *vm = branch->handler->vm;
    if (!step)
        return;
    branch->step = NULL;
    if (step->changes)
        vm_uncharge(vm, step->changes->bytes);
    changes_free(step->changes);
    if (vm->locks)
        locks_release(vm->locks, step->ticket);
    luaL_unref(vm->L, LUA_REGISTRYINDEX, step->values);
    free(step->key);
    free(step);
}
