/* What an error says: its text, made within limits where the error object makes it itself, and
 * where it happened. */
#ifndef MOLECULE_SCRIPT_VM_ERRORS_H
#define MOLECULE_SCRIPT_VM_ERRORS_H

#include "script/vm.h"

/* The error object on top of `co` as text, its `__tostring` run within limits. Yours to free. */
char *vm_error_text(struct vm *vm, lua_State *co);
/* Where the coroutine is, as text; NULL: nothing of the script's is on its stack. Yours to free. */
char *vm_traceback(struct vm *vm, lua_State *co);
/* Lua's message handler for a handler's body: keeps the traceback of the error, which unwinding
 * will lose. */
int vm_keep_traceback(lua_State *L);

#endif
