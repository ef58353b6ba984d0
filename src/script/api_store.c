/* What lua/molecule/store.lua is made of: reading the stored JSON, collecting the handler's
 * changes, and the locks that keep store.update honest. */
#include "base/clock.h"
#include "base/memory.h"
#include "script/api.h"
#include "script/api_ask.h"
#include "script/api_errors.h"
#include "script/handler.h"
#include "script/handler_run.h"
#include "script/locks.h"
#include "script/quota.h"
#include "script/vm.h"
#include "script/vm_await.h"
#include "script/vm_memory.h"

#include <stdlib.h>
#include <string.h>

#define TTL_MAXIMUM_S 1e10

/* core.store_get(key) -> JSON text or nil */
static int store_get(lua_State *L)
{
    const char *key = luaL_checkstring(L, 1);
    vm_check_await(L, "molecule.store");
    struct script_ask *ask = ask_make(L, SCRIPT_ASK_GET, strlen(key));
    ask->key = memory_copy_text(key);
    return ask_await(L, ask, ask_push_bytes);
}

/* core.store_keys(prefix, most) -> list */
static int store_keys(lua_State *L)
{
    const char *prefix = luaL_checkstring(L, 1);
    lua_Integer most = luaL_checkinteger(L, 2);
    luaL_argcheck(L, most >= 1, 2, "the limit must be above 0");
    vm_check_await(L, "molecule.store");
    struct script_ask *ask = ask_make(L, SCRIPT_ASK_KEYS, strlen(prefix));
    ask->key = memory_copy_text(prefix);
    ask->most = most;
    return ask_await(L, ask, ask_push_json);
}

/* core.store_change(verb, key, JSON text, seconds to live, most): buffered. false: too much for one
 * handler. */
static int store_change(lua_State *L)
{
    static const char *const verbs[] = {"set", "delete", "incr", "append", NULL};
    enum change_verb verb = (enum change_verb)luaL_checkoption(L, 1, NULL, verbs);
    const char *key = luaL_checkstring(L, 2);
    size_t length = 0;
    const char *value = verb == CHANGE_DELETE ? NULL : luaL_checklstring(L, 3, &length);
    lua_Number seconds = luaL_optnumber(L, 4, 0);
    lua_Integer most = luaL_optinteger(L, 5, 0);
    luaL_argcheck(L, seconds <= TTL_MAXIMUM_S, 4, "a time to live of more than 1e10 seconds");
    int64_t expires_ms = seconds > 0 ? clock_steady_ms() + (int64_t)(seconds * 1000) : 0;
    struct handler *handler = vm_of(L)->running;
    if (!handler)
        return luaL_error(L, "molecule.store cannot be changed here");
    char problem[256];
    if (!script_may(vm_of(L), SCRIPT_QUOTA_STORE, strlen(key) + length, problem, sizeof problem))
        return api_misuse(L, "%s", problem);
    struct store_scope *store = branch_store(vm_of(L)->branch);
    size_t before = store->changes ? store->changes->bytes : 0,
           bytes = sizeof(struct change) + strlen(key) + length;
    vm_charge(L, bytes);
    bool added = changes_add(&store->changes, verb, key, value, length, expires_ms, most);
    vm_uncharge(vm_of(L), bytes - (store->changes->bytes - before));
    lua_pushboolean(L, added);
    return 1;
}

struct lock_operation {
    struct operation operation; /* first */
    struct locks *locks;
    enum locks_result result;
};

/* true; or nil, problem, CODE. The key is at stack index 1. */
static int push_result(lua_State *L, enum locks_result result)
{
    if (result == LOCKS_TAKEN) {
        lua_pushboolean(L, true);
        return 1;
    }
    luaL_pushfail(L);
    lua_pushfstring(L,
                    "molecule.store: two handlers wait for each other's keys, here for \"%s\"; "
                    "change keys in the same "
                    "order everywhere",
                    lua_tostring(L, 1));
    lua_pushliteral(L, "DEADLOCK");
    return 3;
}

static int take_result(lua_State *L, struct operation *operation)
{
    return push_result(L, ((struct lock_operation *)operation)->result);
}

static void on_settled(void *context, enum locks_result result)
{
    struct lock_operation *lock = context;
    lock->result = result;
    operation_wake(&lock->operation);
}

static void cancel_lock(struct operation *operation)
{
    locks_forget(((struct lock_operation *)operation)->locks, operation);
}

static void release_lock(struct operation *operation)
{
    free(operation);
}

/* core.store_lock(key, alone) -> true; nil, problem, CODE */
static int store_lock(lua_State *L)
{
    const char *key = luaL_checkstring(L, 1);
    bool alone = lua_toboolean(L, 2);
    vm_check_await(L, "molecule.store");
    struct vm *vm = vm_of(L);
    struct store_scope *store = branch_store(vm->branch);
    if (!vm->locks)
        return push_result(L, LOCKS_TAKEN);
    if (store != &vm->running->store && vm->running->store.ticket &&
        locks_holds(vm->locks, vm->running->store.ticket, key)) /* it would wait for itself */
        return api_misuse(L,
                          "molecule.store: the step \"%s\" changes \"%s\", which its handler has "
                          "locked: change a key either inside or outside of steps",
                          store->key, key);
    if (!store->ticket)
        store->ticket = locks_ticket(vm->locks);
    struct lock_operation *lock = memory_allocate(sizeof *lock);
    lock->operation = (struct operation){
        .results = take_result, .cancel = cancel_lock, .release = release_lock};
    lock->locks = vm->locks;
    enum locks_result result = locks_take(vm->locks, store->ticket, key, alone, on_settled, lock);
    if (result == LOCKS_WAIT)
        return vm_await(L, &lock->operation);
    free(lock);
    return push_result(L, result);
}

/* core.store_values(outer) -> the table of what the running handler, or the step that it is in,
 * stored: JSON text by key, false for deleted; `outer`: the handler's in any case */
static int store_values(lua_State *L)
{
    struct handler *handler = vm_of(L)->running;
    if (!handler)
        return luaL_error(L, "molecule.store cannot be used here");
    struct store_scope *store = lua_toboolean(L, 1) ? &handler->store
                                                    : branch_store(vm_of(L)->branch);
    if (store->values == LUA_NOREF) {
        lua_newtable(L);
        store->values = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, store->values);
    return 1;
}

/* core.call_at_once(function, ...): what it calls cannot wait. */
static int call_at_once(lua_State *L)
{
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

void api_store_install(lua_State *L)
{
    static const luaL_Reg functions[] = {{"store_get", store_get},
                                         {"store_keys", store_keys},
                                         {"store_change", store_change},
                                         {"store_lock", store_lock},
                                         {"store_values", store_values},
                                         {"call_at_once", call_at_once},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
