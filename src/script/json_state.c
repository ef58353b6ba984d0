#include "script/json_state.h"

#include "script/vm_memory.h"

/* bytes of one conversion where the state has no limit */
#define UNLIMITED_MAXIMUM ((size_t)1 << 30)
#define OTHER_MAXIMUM ((size_t)64 << 20) /* … where it is no script's */

/* The registry key under which json_take finds the array metatable without making a string. */
static const char array_key = 0;
/* … and the vm of a script's state. */
static const char vm_key = 0;

void json_limit(lua_State *L, struct vm *vm)
{
    lua_pushlightuserdata(L, vm);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &vm_key);
}

struct vm *json_vm(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &vm_key);
    struct vm *vm = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return vm;
}

size_t json_room(const struct vm *vm)
{
    if (!vm)
        return OTHER_MAXIMUM;
    return vm->memory_limit ? vm_room(vm) : UNLIMITED_MAXIMUM;
}

bool json_collect(struct vm *vm, size_t room)
{
    lua_gc(vm->L, LUA_GCCOLLECT);
    return vm->memory_limit > 0 && vm_room(vm) > room;
}

void json_push_array_metatable(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    if (luaL_newmetatable(L, JSON_ARRAY_METATABLE)) {
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &array_key);
    }
}

bool json_is_marked(lua_State *L, int index)
{
    if (!lua_getmetatable(L, index))
        return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
    bool marked = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return marked;
}
