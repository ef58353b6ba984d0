/* The memory of a Lua state: what Lua allocates, and what we keep outside of it for its scripts
 * (buffers, JSON, questions under way). Both count against --memory-limit. */
#ifndef MOLECULE_SCRIPT_VM_MEMORY_H
#define MOLECULE_SCRIPT_VM_MEMORY_H

#include "script/vm.h"

/* What the state holds, and how much more it may. */
size_t vm_memory(const struct vm *vm);
size_t vm_room(const struct vm *vm);

/* So many bytes are about to be held outside Lua: collects garbage where it has to, raises an error
 * where that is not enough. The state itself stays sound, and is not replaced. */
void vm_charge(lua_State *L, size_t bytes);
/* The same from outside Lua; false: they do not fit. */
bool vm_try_charge(struct vm *vm, size_t bytes);
/* Collects garbage if so many bytes do not fit; false: they still do not. Not from inside libcurl,
 * whose exchanges may be garbage. */
bool vm_make_room(struct vm *vm, size_t bytes);
void vm_uncharge(struct vm *vm, size_t bytes);
/* What exists already is charged: `*charged` so far, `bytes` from now on. */
void vm_recharge(struct vm *vm, size_t *charged, size_t bytes);

/* Lua's allocator. */
void *vm_allocate(void *vm, void *block, size_t old_size, size_t new_size);

#endif
