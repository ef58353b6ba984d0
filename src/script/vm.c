#include "script/vm.h"

#include <stdio.h>
#include <sys/resource.h>

/* Beside each coroutine Lua keeps room for one pointer: to the vm, and in its lowest bit, whether
 * the host holds it. */
#define HELD ((uintptr_t)1)

static uintptr_t *mark_of(lua_State *L)
{
    return lua_getextraspace(L);
}

struct vm *vm_of(lua_State *L)
{
    return (struct vm *)(*mark_of(L) & ~HELD);
}

void vm_bind(lua_State *L, struct vm *vm)
{
    *mark_of(L) = (uintptr_t)vm; /* coroutines begin with a copy of it */
}

bool vm_is_held(lua_State *co)
{
    return *mark_of(co) & HELD;
}

void vm_hold(lua_State *co)
{
    *mark_of(co) |= HELD;
}

void vm_let_go(lua_State *co)
{
    *mark_of(co) &= ~HELD;
}

/* of the descriptors: the host's own requests, its ledgers and other states need some, too */
#define SHARE 16

unsigned vm_share(unsigned maximum)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur / SHARE >= maximum)
        return maximum;
    return files.rlim_cur / SHARE > 1 ? (unsigned)(files.rlim_cur / SHARE) : 1;
}

bool vm_call(struct vm *vm, lua_CFunction function, void *argument, char *problem,
             size_t problem_size)
{
    lua_State *L = vm->L;
    int top = lua_gettop(L);
    lua_pushcfunction(L, function); /* a C function without upvalues allocates nothing */
    lua_pushlightuserdata(L, argument);
    bool called = lua_pcall(L, 1, 0, 0) == LUA_OK;
    if (!called) {
        const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "unknown error";
        snprintf(problem, problem_size, "%s", text);
    }
    lua_settop(L, top);
    return called;
}

int vm_resume(struct vm *vm, lua_State *co, lua_State *from, int arguments, int *results)
{
    lua_State *outer = vm->current;
    struct vm_frame frame = {.co = co, .from = from, .outer = vm->frame};
    vm_let_go(co);
    vm->current = co;
    vm->frame = &frame;
    int status = lua_resume(co, from, arguments, results);
    vm->current = outer;
    vm->frame = frame.outer;
    return status;
}
