/* The allocator refuses what would be over the limit, and the state is replaced afterwards if it
 * still refuses once all garbage is collected. */
#include "script/vm_memory.h"

#include "script/api_errors.h"
#include "script/vm.h"
#include "script/vm_limits.h"

#include <stdlib.h>

#define PRESSURE_BYTES 65536 /* charged: the collector hears of it */

size_t vm_memory(const struct vm *vm)
{
    return vm->memory_used + vm->memory_outside + (vm->memory_asked ? *vm->memory_asked : 0);
}

size_t vm_room(const struct vm *vm)
{
    size_t used = vm_memory(vm);
    return vm->memory_limit == 0     ? SIZE_MAX / 4
           : used < vm->memory_limit ? vm->memory_limit - used
                                     : 0;
}

void *vm_allocate(void *context, void *block, size_t old_size, size_t new_size)
{
    struct vm *vm = context;
    if (!block)
        old_size = 0; /* Lua passes a type tag there */
    if (new_size == 0) {
        free(block);
        vm->memory_used -= old_size;
        return NULL;
    }
    /* Lua asks a second time after it collected all garbage */
    bool second_time = vm->refused_size == new_size && vm->refused_block == block;
    if (new_size > old_size && vm->memory_limit && new_size - old_size > vm_room(vm)) {
        vm_note_refusal(vm, second_time);
        vm->refused_block = block;
        vm->refused_size = second_time ? 0 : new_size;
        return NULL;
    }
    vm->refused_size = 0;
    void *grown = realloc(block, new_size);
    if (grown)
        vm->memory_used += new_size - old_size;
    return grown;
}

/* Lua paces its collector by what it allocates itself: this counts as if it had. */
static void press(lua_State *L, struct vm *vm, size_t bytes)
{
    vm->memory_pressure += bytes;
    if (vm->memory_pressure < PRESSURE_BYTES)
        return;
    size_t kilobytes = vm->memory_pressure / 1024;
    vm->memory_pressure = 0;
    lua_gc(L, LUA_GCSTEP, kilobytes > INT32_MAX ? INT32_MAX : (int)kilobytes);
}

void vm_charge(lua_State *L, size_t bytes)
{
    struct vm *vm = vm_of(L);
    press(L, vm, bytes);
    if (!vm_make_room(vm, bytes))
        api_raise(L, "not enough memory: %d KiB more would be over --memory-limit (%d MiB)",
                  (int)(bytes / 1024), (int)(vm->memory_limit >> 20));
    vm->memory_outside += bytes;
}

bool vm_try_charge(struct vm *vm, size_t bytes)
{
    if (bytes > vm_room(vm))
        return false;
    vm->memory_pressure += bytes;
    vm->memory_outside += bytes;
    return true;
}

bool vm_make_room(struct vm *vm, size_t bytes)
{
    if (bytes > vm_room(vm))
        lua_gc(vm->L, LUA_GCCOLLECT);
    return bytes <= vm_room(vm);
}

void vm_uncharge(struct vm *vm, size_t bytes)
{
    vm->memory_outside -= bytes < vm->memory_outside ? bytes : vm->memory_outside;
}

void vm_recharge(struct vm *vm, size_t *charged, size_t bytes)
{
    vm_uncharge(vm, *charged);
    vm->memory_outside += bytes;
    *charged = bytes;
}
