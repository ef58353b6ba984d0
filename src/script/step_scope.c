#include "script/step_scope.h"

#include "base/clock.h"
#include "base/memory.h"
#include "script/locks.h"
#include "script/vm.h"
#include "script/vm_memory.h"
#include "script/trace_scope.h"

#include <lauxlib.h>
#include <stdlib.h>

/* A step that failed in a way that is not recorded runs again: it has a span for each run. */
static void trace_step(const struct branch *branch, const struct store_scope *step)
{
    const struct script_job *job = branch->handler->job;
    char *name = memory_join("step ", step->key, "");
    trace_record(&(struct trace_span){
        .context = &step->trace.context,
        .parent = step->trace.parent,
        .kind = TRACE_INTERNAL,
        .name = name,
        .took_ms = clock_monotonic_ms() - step->began_ms,
        .problem = step->recorded ? NULL : "it has no result",
        .values = {{TRACE_STEP, .text = step->key},
                   {TRACE_ROW, .text = job ? job->message->row_id : ""}},
        .value_count = 2,
    });
    free(name);
}

void step_scope_begin(struct branch *branch, const char *key)
{
    struct trace_place place;
    trace_scope_below(branch->handler->vm, &place);
    branch->step = memory_allocate(sizeof *branch->step);
    branch->step->trace = place;
    branch->step->began_ms = clock_monotonic_ms();
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
    trace_step(branch, step);
    if (step->changes)
        vm_uncharge(vm, step->changes->bytes);
    changes_free(step->changes);
    if (vm->locks)
        locks_release(vm->locks, step->ticket);
    luaL_unref(vm->L, LUA_REGISTRYINDEX, step->values);
    free(step->key);
    free(step);
}
