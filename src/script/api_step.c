/* What lua/molecule/steps.lua is made of: what a handler has done for good, and long sleeps. */
#include "base/memory.h"
#include "base/uuid.h"
#include "script/api.h"
#include "script/api_ask.h"
#include "script/api_errors.h"
#include "script/calls.h"
#include "script/handler.h"
#include "script/handler_run.h"
#include "script/playback.h"
#include "script/step_scope.h"
#include "script/vm.h"
#include "script/vm_await.h"
#include "script/vm_memory.h"
#include "wire/jsontext.h"

#include <stdlib.h>
#include <string.h>

/* core.step_state(existing) -> a table that lives as long as this run of a message's handler; nil:
 * no such handler runs, or, with `existing`, it has none so far */
static int step_state(lua_State *L)
{
    struct handler *handler = vm_of(L)->running;
    bool lacks = handler && handler->steps == LUA_NOREF && lua_toboolean(L, 1);
    if (!handler || !handler->job || handler->may_not_wait || lacks) {
        lua_pushnil(L);
        return 1;
    }
    if (handler->steps == LUA_NOREF) {
        lua_newtable(L);
        lua_newtable(L);
        lua_setfield(L, -2, "counts");
        lua_pushboolean(L, handler->job->has_steps || playback_answers(handler->vm));
        lua_setfield(L, -2, "unread");
        handler->steps = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, handler->steps);
    return 1;
}

/* --record: what this attempt does not do again. */
static int push_steps(lua_State *L, const struct script_ask *ask)
{
    const struct vm *vm = vm_of(L);
    if (ask->value && strcmp(ask->value, "[]") != 0) {
        struct calls_result result = calls_answered(vm->running, calls_asked(vm, calls_steps()));
        calls_set_bytes(&result, "steps", ask->value, ask->value_length, ask->value_length);
        free(calls_end(&result, 0));
    }
    return ask_push_json(L, ask);
}

/* core.steps_load() -> list of {key, kind, digest, value, at}; nil, problem, CODE */
static int steps_load(lua_State *L)
{
    vm_check_await(L, "ctx.step");
    json_t *played = playback_steps(vm_of(L));
    if (played || playback_answers(vm_of(L))) {
        char *text = played ? jsontext_print(played) : memory_copy_text("[]");
        json_decref(played);
        struct script_ask given = {.value = text, .value_length = strlen(text)};
        int count = ask_push_json(L, &given);
        free(text);
        return count;
    }
    return ask_await(L, ask_make(L, SCRIPT_ASK_STEPS, 0), push_steps);
}

/* core.replay_since() -> since when the script is as it is, wall clock in ms: what is recorded
 * since then it must reach in the same order (--replay-check); nil: that is not checked */
static int replay_since(lua_State *L)
{
    const struct vm *vm = vm_of(L);
    if (vm->settings->options->replay_check)
        lua_pushinteger(L, vm->files_changed_ms);
    else
        lua_pushnil(L);
    return 1;
}

/* core.step_id(key) -> a UUID, the same in every run of this message */
static int step_id(lua_State *L)
{
    char id[UUID_TEXT_SIZE];
    const struct handler *handler = vm_of(L)->running;
    char *name = memory_format("%s/step/%s", handler->job->message->row_id, luaL_checkstring(L, 1));
    uuid_of_name(name, id);
    free(name);
    lua_pushstring(L, id);
    return 1;
}

/* core.digest(text) */
static int digest(lua_State *L)
{
    char id[UUID_TEXT_SIZE];
    uuid_of_name(luaL_checkstring(L, 1), id);
    lua_pushstring(L, id);
    return 1;
}

/* core.step_check(what): raises in a coroutine that the script has made, which may never come back:
 * what is stored afterwards would belong to its step. */
static int step_check(lua_State *L)
{
    const struct branch *branch = vm_of(L)->branch;
    if (branch && L != branch->co)
        return api_misuse(L,
                          "%s cannot be used in a coroutine that the script has made; to do "
                          "several things at once use molecule.all",
                          luaL_checkstring(L, 1));
    return 0;
}

/* core.step_begin(key): what the branch stores from now on belongs to this step. */
static int step_begin(lua_State *L)
{
    struct branch *branch = vm_of(L)->branch;
    const char *key = luaL_checkstring(L, 1);
    luaL_argcheck(L, branch && !branch_in_step(branch), 1, "a step is under way");
    step_scope_begin(branch, key);
    return 0;
}

/* core.step_inside() -> the key of the step that the branch is in, or is a part of; nil */
static int step_inside(lua_State *L)
{
    const struct branch *branch = branch_in_step(vm_of(L)->branch);
    lua_pushstring(L, branch ? branch->step->key : NULL);
    return 1;
}

/* core.step_drop(): … no longer, and it is not recorded, unless that has begun. */
static int step_drop(lua_State *L)
{
    if (vm_of(L)->branch)
        step_scope_end(vm_of(L)->branch);
    return 0;
}

static int push_true(lua_State *L, const struct script_ask *ask)
{
    (void)ask;
    lua_pushboolean(L, true);
    return 1;
}

/* core.step_record(key, kind, digest, value) -> true; nil, problem, CODE. Recorded with what the
 * step under way has stored, if there is one. */
static int step_record(lua_State *L)
{
    static const char *const kinds[] = {"step", "failed", "sleep", NULL};
    size_t length;
    const char *key = luaL_checkstring(L, 1), *kind = kinds[luaL_checkoption(L, 2, NULL, kinds)],
               *given = luaL_checkstring(L, 3), *value = luaL_checklstring(L, 4, &length);
    vm_check_await(L, "ctx.step");
    struct branch *branch = vm_of(L)->branch;
    struct script_ask *ask = ask_make(L, SCRIPT_ASK_STEP, strlen(key) + length);
    ask->key = memory_copy_text(key);
    ask->step.kind = kind;
    ask->step.digest = memory_copy_text(given);
    ask->text = memory_copy(value, length);
    ask->text_length = length;
    ask->changes = step_scope_take(branch);
    if (branch && branch->step)
        branch->step->recorded = strcmp(kind, "failed") != 0;
    step_scope_end(branch);
    return ask_await(L, ask, push_true);
}

static int nothing(lua_State *L, struct operation *operation)
{
    (void)L;
    (void)operation;
    return 0;
}

static void forget(struct operation *operation)
{
    (void)operation;
}

static void free_operation(struct operation *operation)
{
    free(operation);
}

/* core.defer(epoch, hold, reason, key): nothing in this run ends the wait. The run ends when all
 * branches have called it, or are over; the handler runs again when the first one is due, as the
 * same attempt. With `key` it waits for the answer to that question until then. Does not return; no
 * pcall and no __close sees it. */
static int defer(lua_State *L)
{
    lua_Number until = luaL_checknumber(L, 1);
    bool hold = lua_toboolean(L, 2);
    const char *reason = luaL_checkstring(L, 3), *asks = luaL_optstring(L, 4, NULL);
    vm_check_await(L, asks ? "ctx.ask" : "ctx.sleep");
    struct branch *branch = vm_of(L)->branch;
    struct operation *operation = memory_allocate(sizeof *operation);
    *operation = (struct operation){
        .results = nothing, .cancel = forget, .release = free_operation};
    branch->deferral = memory_allocate(sizeof *branch->deferral);
    *branch->deferral = (struct deferral){.until_ms = (int64_t)(until * 1000),
                                          .hold = hold,
                                          .reason = memory_copy_text(reason),
                                          .key = memory_copy_text(asks)};
    branch->handler->deferring = true;
    return vm_await(L, operation);
}

void api_step_install(lua_State *L)
{
    static const luaL_Reg functions[] = {{"step_state", step_state},
                                         {"steps_load", steps_load},
                                         {"replay_since", replay_since},
                                         {"step_id", step_id},
                                         {"digest", digest},
                                         {"step_check", step_check},
                                         {"step_begin", step_begin},
                                         {"step_inside", step_inside},
                                         {"step_drop", step_drop},
                                         {"step_record", step_record},
                                         {"defer", defer},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
