/* What lua/molecule/at_once.lua is made of: functions that run at once, each in a branch of the
 * handler (handler.h). Their caller waits for the group of them. Branches are made one after the
 * other, as they begin, so that many that never wait need little memory. */
#include "base/memory.h"
#include "script/api.h"
#include "script/api_errors.h"
#include "script/handler_run.h"
#include "script/vm.h"
#include "script/vm_await.h"
#include "script/vm_errors.h"
#include "script/vm_memory.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAXIMUM 100      /* of branches in branches: their ends are nested calls in C */
#define ALLOCATED_AT_ONCE 1024 /* places of the table of results */
#define PATH_STEP 128          /* bytes that a branch adds to its parent's path, at most */
#define KEY_MAXIMUM 96         /* … of them, of its key */
#define NO_MEMORY "cannot begin: there is not enough memory for it (--memory-limit)"
#define YIELDED "called coroutine.yield outside a coroutine that it created"

static const char *const kinds[] = {"all", "map", "race", NULL}; /* as enum branch_kind */

/* Indices of the table of a group's values. */
enum { LIST = 1, FUNCTION, KEYS, RESULTS };

struct group {
    struct operation operation; /* first; of the branch that called */
    struct vm *vm;
    struct branch *caller;
    enum branch_kind kind;
    unsigned number;   /* of the caller's calls of its kind, from 1 */
    lua_Integer count; /* functions, or items */
    lua_Integer started, over;
    lua_Integer most;        /* at once */
    struct branch *starting; /* the newest, until it has run; NULL: none */
    int values;              /* registry reference of a table, see above */
    size_t charged, part_bytes;
    /* the outcome, if it is not that all are over */
    lua_Integer winner;  /* of a race; 0: none yet */
    lua_Integer culprit; /* the first that failed; 0: none */
    int failed;          /* … registry reference of its coroutine, with the error on top, */
    const char *problem; /* … or what it did; static */
    char *traceback;     /* … of the error */
};

/* --- a branch --- */

/* Stack of a branch: itself, the results, vm_keep_traceback, what its function returned. */
static int after_function(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    const struct branch *part = lua_touserdata(L, 1);
    if (status != LUA_OK && status != LUA_YIELD)
        return lua_error(L);
    lua_rawseti(L, 2, part->index);
    return 0;
}

/* Stack: the branch, the results, its function, that one's arguments. Protected, so that an error
 * runs its __close. */
static int part_body(lua_State *L)
{
    lua_pushcfunction(L, vm_keep_traceback);
    lua_insert(L, 3);
    int status = lua_pcallk(L, lua_gettop(L) - 4, 1, 3, 0, after_function);
    return after_function(L, status, 0);
}

/* Pushes the word that tells it from the others of its group. */
static void push_key(lua_State *L, int values, const struct branch *part)
{
    bool named = lua_rawgeti(L, values, KEYS) == LUA_TTABLE &&
                 lua_rawgeti(L, -1, part->index) == LUA_TSTRING && lua_rawlen(L, -1) <= KEY_MAXIMUM;
    if (!named)
        lua_pushinteger(L, part->index);
}

static void make_path(lua_State *L, int values, struct branch *part)
{
    const struct group *group = part->group;
    const char *outer = part->parent->path;
    int top = lua_gettop(L);
    push_key(L, values, part);
    lua_pushfstring(L, "%s%s%s#%d[%s]", outer ? outer : "", outer ? "/" : "", kinds[group->kind],
                    (int)group->number, lua_tostring(L, -1));
    free(part->path);
    part->path = memory_copy_text(lua_tostring(L, -1));
    lua_settop(L, top);
}

/* Pushes its function, or the group's and the item with its index. */
static void push_call(lua_State *L, int values, const struct branch *part)
{
    bool maps = lua_rawgeti(L, values, FUNCTION) == LUA_TFUNCTION;
    if (!maps)
        lua_pop(L, 1);
    lua_rawgeti(L, values, LIST);
    lua_rawgeti(L, -1, part->index);
    lua_remove(L, -2);
    if (maps)
        lua_pushinteger(L, part->index);
}

static void prepare_part(lua_State *L, struct branch *part)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, part->group->values);
    int values = lua_gettop(L);
    make_path(L, values, part);
    lua_State *co = lua_newthread(L);
    lua_pushcfunction(L, part_body);
    lua_pushlightuserdata(L, part);
    lua_rawgeti(L, values, RESULTS);
    push_call(L, values, part);
    lua_xmove(L, co, lua_gettop(L) - values - 1);
    part->co_reference = luaL_ref(L, LUA_REGISTRYINDEX);
    part->co = co;
}

/* --- a group --- */

static void drop_parts(struct group *group)
{
    group->starting = NULL;
    while (group->caller->last_part)
        branch_drop(group->caller->last_part);
}

static void on_ran(struct branch *part, int status);

/* false: there is no memory. */
static bool start_next(struct group *group)
{
    if (group->starting || group->started == group->count ||
        group->started - group->over >= group->most)
        return true;
    struct vm *vm = group->vm;
    if (!vm_make_room(vm, group->part_bytes) || !vm_try_charge(vm, group->part_bytes))
        return false;
    struct branch *part = memory_allocate(sizeof *part);
    part->group = group;
    part->index = ++group->started;
    part->prepare = prepare_part;
    part->ran = on_ran;
    group->charged += group->part_bytes;
    group->starting = part;
    branch_start(part, group->caller);
    return true;
}

static void keep_failure(struct group *group, struct branch *part, int status)
{
    struct vm *vm = group->vm;
    group->culprit = part->index;
    vm->memory_hit = vm->memory_hit || status == LUA_ERRMEM;
    if (status == LUA_YIELD || !part->co) {
        group->problem = part->co ? YIELDED : NO_MEMORY;
        return;
    }
    group->failed = part->co_reference;
    part->co_reference = LUA_NOREF;
    group->traceback = part->traceback ? part->traceback : vm_traceback(vm, part->co);
    part->traceback = NULL;
}

static void end_part(struct group *group, struct branch *part)
{
    branch_drop(part);
    vm_uncharge(group->vm, group->part_bytes);
    group->charged -= group->part_bytes;
    group->over++;
}

static void on_ran(struct branch *part, int status)
{
    struct group *group = part->group;
    if (group->starting == part)
        group->starting = NULL;
    if (!part->co || status != LUA_YIELD || !vm_is_held(part->co)) { /* it is over */
        if (status == LUA_OK)
            branch_hand_over(part);
        else
            keep_failure(group, part, status);
        if (status == LUA_OK && group->kind == BRANCH_RACE)
            group->winner = part->index;
        end_part(group, part);
    }
    bool decided = group->culprit || group->winner || group->over == group->count;
    if (!decided && !start_next(group)) {
        group->culprit = group->started + 1;
        group->problem = NO_MEMORY;
        decided = true;
    }
    if (!decided)
        return;
    drop_parts(group);
    operation_wake(&group->operation);
}

static void cancel(struct operation *operation)
{
    drop_parts((struct group *)operation);
}

static void release(struct operation *operation)
{
    struct group *group = (struct group *)operation;
    vm_uncharge(group->vm, group->charged);
    luaL_unref(group->vm->L, LUA_REGISTRYINDEX, group->values);
    luaL_unref(group->vm->L, LUA_REGISTRYINDEX, group->failed);
    free(group->traceback);
    free(group);
}

/* --- what the caller gets --- */

/* The error as it was raised, whatever it is; its traceback goes before the caller's. */
static int raise_failure(lua_State *L, struct group *group)
{
    struct branch *branch = group->caller;
    lua_rawgeti(L, LUA_REGISTRYINDEX, group->failed);
    lua_xmove(lua_tothread(L, -1), L, 1);
    luaL_unref(L, LUA_REGISTRYINDEX, branch->raised);
    branch->raised = LUA_NOREF;
    lua_pushvalue(L, -1);
    branch->raised = luaL_ref(L, LUA_REGISTRYINDEX);
    free(branch->raised_traceback);
    branch->raised_traceback = group->traceback;
    group->traceback = NULL;
    vm_end_await(branch);
    return lua_error(L);
}

static int raise_problem(lua_State *L, struct group *group)
{
    const char *problem = group->problem, *kind = kinds[group->kind];
    int culprit = (int)group->culprit;
    vm_end_await(group->caller);
    return api_raise(L, "%s: function %d %s", kind, culprit, problem);
}

static int after_group(lua_State *L, int status, lua_KContext context)
{
    struct group *group = (struct group *)context;
    (void)status;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (group->problem)
        return raise_problem(L, group);
    if (group->culprit)
        return raise_failure(L, group);
    lua_Integer winner = group->winner;
    lua_rawgeti(L, LUA_REGISTRYINDEX, group->values);
    lua_rawgeti(L, -1, RESULTS);
    vm_end_await(group->caller);
    if (!winner)
        return 1;
    lua_rawgeti(L, -1, winner);
    lua_pushinteger(L, winner);
    return 2;
}

/* Stack: kind, list, count, function, keys, most. Pushes the table of values. */
static void make_values(lua_State *L, lua_Integer count)
{
    lua_createtable(L, RESULTS, 0);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, LIST);
    lua_pushvalue(L, 4);
    lua_rawseti(L, -2, FUNCTION);
    lua_pushvalue(L, 5);
    lua_rawseti(L, -2, KEYS);
    lua_createtable(L, count < ALLOCATED_AT_ONCE ? (int)count : ALLOCATED_AT_ONCE, 1);
    lua_pushinteger(L, count);
    lua_setfield(L, -2, "n");
    lua_rawseti(L, -2, RESULTS);
}

static struct group *make_group(struct vm *vm, enum branch_kind kind, lua_Integer count,
                                lua_Integer most)
{
    struct group *group = memory_allocate(sizeof *group);
    struct branch *caller = vm->branch;
    group->operation = (struct operation){.cancel = cancel, .release = release};
    group->vm = vm;
    group->caller = caller;
    group->kind = kind;
    group->count = count;
    group->most = most;
    group->values = group->failed = LUA_NOREF;
    group->part_bytes = sizeof(struct branch) + (caller->path ? strlen(caller->path) : 0) +
                        PATH_STEP;
    group->charged = vm_try_charge(vm, sizeof *group) ? sizeof *group : 0;
    return group;
}

/* core.at_once(kind, list, count, function or nil, keys or nil, most at once): as the function of
 * the API that has the kind's name. The list has functions, or what `function` is called with. With
 * a count of 0 it is only counted. */
static int core_at_once(lua_State *L)
{
    enum branch_kind kind = (enum branch_kind)luaL_checkoption(L, 1, NULL, kinds);
    lua_Integer count = luaL_checkinteger(L, 3), most = luaL_checkinteger(L, 6);
    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_argcheck(L, count >= 0, 3, "it must not be negative");
    luaL_argcheck(L, most >= 1 || count == 0, 6, "it must be above 0");
    lua_settop(L, 6);
    vm_check_await(L, lua_pushfstring(L, "molecule.%s", kinds[kind]));
    struct vm *vm = vm_of(L);
    if (vm->branch->depth >= DEPTH_MAXIMUM)
        return api_misuse(L, "%s: functions that run at once are nested more than %d deep",
                          kinds[kind], DEPTH_MAXIMUM);
    make_values(L, count);
    unsigned number = ++vm->branch->calls[kind];
    if (count == 0) {
        lua_rawgeti(L, -1, RESULTS);
        return 1;
    }
    int values = luaL_ref(L, LUA_REGISTRYINDEX);
    struct group *group = make_group(vm, kind, count, most);
    group->number = number;
    group->values = values;
    if (!start_next(group)) {
        release(&group->operation);
        return api_raise(L, "%s: function 1 %s", kinds[kind], NO_MEMORY);
    }
    return vm_await_then(L, &group->operation, after_group, (lua_KContext)group);
}

/* core.branch_path() -> "all#1[2]/map#1[key]", which names the branch that runs and is the same
 * when the handler runs again; nil outside branches */
static int core_branch_path(lua_State *L)
{
    const struct branch *branch = vm_of(L)->branch;
    lua_pushstring(L, branch ? branch->path : NULL);
    return 1;
}

void api_at_once_install(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"at_once", core_at_once}, {"branch_path", core_branch_path}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
