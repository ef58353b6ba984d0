/* Where the running code is in its message's trace: in a step, or in the attempt itself. */
#ifndef MOLECULE_SCRIPT_TRACE_SCOPE_H
#define MOLECULE_SCRIPT_TRACE_SCOPE_H

#include "base/trace.h"

struct vm;

/* Zeroed where there is none. */
const struct trace_context *trace_scope(const struct vm *vm);
/* Something that the running code begins. */
void trace_scope_below(const struct vm *vm, struct trace_place *place);

#endif
