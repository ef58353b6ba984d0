/* The limits of a handler: CPU time, wall clock, cancellation by the host. (vm_memory.h has the
 * limit of the whole state.) */
#ifndef MOLECULE_SCRIPT_VM_LIMITS_H
#define MOLECULE_SCRIPT_VM_LIMITS_H

#include "script/handler.h"
#include "script/vm.h"

/* The limits hold in this coroutine, and in those that it makes. */
void vm_watch(lua_State *co);
/* The branch is about to be resumed: its handler's CPU time starts to count. */
void vm_begin_slice(struct vm *vm, struct branch *branch);
void vm_end_slice(struct vm *vm);
/* For C code that takes long: a limit of the running handler was reached, so it should return, and
 * the hook does the rest. */
bool vm_expired(struct vm *vm);

/* Notes where the handler is: in this branch of it, or in its coroutine `co`, unless that is NULL.
 * Allocates nothing. */
void vm_note_position(struct handler *handler, const struct branch *branch, lua_State *co);
/* Notes where the script wanted more memory than there may be; `for_good`: collecting did not help.
 */
void vm_note_refusal(struct vm *vm, bool for_good);
/* Which limit the handler reached, and where. Yours to free. */
char *vm_limit_text(const struct handler *handler);

#endif
