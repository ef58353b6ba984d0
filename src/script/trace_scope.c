#include "script/trace_scope.h"

#include "script/script_private.h"

#include <string.h>

const struct trace_context *trace_scope(const struct vm *vm)
{
    static const struct trace_context none;
    const struct branch *branch = vm->branch ? branch_in_step(vm->branch) : NULL;
    if (branch && *branch->step->trace.context.trace_id)
        return &branch->step->trace.context;
    return vm->running && vm->running->job ? &vm->running->job->trace : &none;
}

void trace_scope_below(const struct vm *vm, struct trace_place *place)
{
    const struct trace_context *above = trace_scope(vm);
    memcpy(place->parent, above->span_id, sizeof place->parent);
    trace_below(above, NULL, &place->context);
}
