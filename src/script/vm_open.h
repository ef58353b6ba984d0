/* A Lua state for a script: the standard libraries, our modules, the limits. */
#ifndef MOLECULE_SCRIPT_VM_OPEN_H
#define MOLECULE_SCRIPT_VM_OPEN_H

#include "script/vm.h"

/* NULL: no memory; the log says so. */
struct vm *vm_open(uv_loop_t *loop, const char *workspace_id, size_t memory_limit);
/* No Lua code runs (no __close, no __gc of a script's). Handlers must be gone. */
void vm_close(struct vm *vm);

#endif
