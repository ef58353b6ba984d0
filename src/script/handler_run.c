#include "script/handler_run.h"

#include "base/clock.h"
#include "base/memory.h"
#include "script/error_place.h"
#include "script/handler.h"
#include "script/outcome.h"
#include "script/step_scope.h"
#include "script/vm.h"
#include "script/vm_await.h"
#include "script/vm_errors.h"
#include "script/vm_limits.h"

#include <stdlib.h>
#include <string.h>

/* --- branches that continue, in order --- */

static void run_turn(struct turn *turn);

static void make_ready(struct branch *branch)
{
    struct handler *handler = branch->handler;
    branch->ready = true;
    branch->next_ready = NULL;
    branch->previous_ready = handler->last_ready;
    if (handler->last_ready)
        handler->last_ready->next_ready = branch;
    else
        handler->ready = branch;
    handler->last_ready = branch;
    if (!handler->turn.lane)
        turn_take(handler->vm->lane, &handler->turn, run_turn);
}

static void leave_ready(struct branch *branch)
{
    struct handler *handler = branch->handler;
    if (!branch->ready)
        return;
    branch->ready = false;
    if (branch->previous_ready)
        branch->previous_ready->next_ready = branch->next_ready;
    else
        handler->ready = branch->next_ready;
    if (branch->next_ready)
        branch->next_ready->previous_ready = branch->previous_ready;
    else
        handler->last_ready = branch->previous_ready;
    if (!handler->ready)
        turn_leave(&handler->turn);
}

/* --- the end --- */

static void end_branch(struct branch *branch)
{
    lua_State *L = branch->handler->vm->L;
    leave_ready(branch);
    vm_end_await(branch); /* ends its parts, too */
    branch_end_resources(branch);
    step_scope_end(branch);
    if (branch->co)
        vm_hold(branch->co); /* a script may have a reference to it */
    /* the coroutine becomes garbage as it is, neither reset nor closed: no code of the script runs
     * again */
    luaL_unref(L, LUA_REGISTRYINDEX, branch->co_reference);
    luaL_unref(L, LUA_REGISTRYINDEX, branch->raised);
}

void branch_drop(struct branch *part)
{
    end_branch(part);
    branch_unlink(part);
    branch_release(part);
    free(part);
}

static void finish(struct handler *handler)
{
    struct vm *vm = handler->vm;
    end_branch(&handler->main);
    luaL_unref(vm->L, LUA_REGISTRYINDEX, handler->store.values);
    luaL_unref(vm->L, LUA_REGISTRYINDEX, handler->steps);
    if (handler->previous)
        handler->previous->next = handler->next;
    else
        vm->handlers = handler->next;
    if (handler->next)
        handler->next->previous = handler->previous;
    handler->finished(handler);
}

/* The line that the error names goes before the traceback. Takes that. */
static char *with_place(const struct vm *vm, const char *text, char *traceback)
{
    char *place = vm->settings ? error_place(vm->settings->options->script, text) : NULL;
    if (!place || !traceback)
        return place ? place : traceback;
    char *both = memory_join(place, "\n", traceback);
    free(place);
    free(traceback);
    return both;
}

static void fail(struct handler *handler, int status)
{
    struct vm *vm = handler->vm;
    struct branch *body = &handler->main;
    bool memory = status == LUA_ERRMEM || (vm->memory_hit && status != LUA_YIELD);
    char *traceback = body->traceback ? body->traceback : vm_traceback(vm, body->co);
    body->traceback = NULL;
    if (memory) {
        vm->memory_hit = true;
        handler->limit = SCRIPT_LIMIT_MEMORY;
    }
    char *text = memory ? vm_limit_text(handler) : vm_error_text(vm, body->co);
    outcome_fail(&handler->outcome, handler->limit, text, with_place(vm, text, traceback));
    const char *reason = handler->outcome.reason;
    handler->outcome.hopeless = !memory && handler->misuse && reason &&
                                strstr(reason, handler->misuse);
}

static void begin_activity(struct vm *vm, const struct handler *handler)
{
    if (!vm->activity)
        return;
    vm->activity->began_ms = vm->activity->lua_ms = clock_monotonic_ms();
    vm->activity->limited = handler->cpu_limit_ms > 0 || handler->deadline_ms > 0;
    vm->activity->job = handler->job ? handler->job : &script_no_message;
}

static void end_activity(struct vm_activity *activity)
{
    if (activity)
        activity->job = NULL;
}

/* Adds what the branch and its parts wait for. */
static void add_deferrals(const struct branch *branch, int64_t *until_ms,
                          struct script_outcome *outcome)
{
    const struct deferral *deferral = branch->deferral;
    for (const struct branch *part = branch->parts; part; part = part->next)
        add_deferrals(part, until_ms, outcome);
    if (!deferral)
        return;
    outcome->hold = outcome->hold || deferral->hold;
    if (!outcome->reason || deferral->until_ms < *until_ms) {
        *until_ms = deferral->until_ms;
        free(outcome->reason);
        outcome->reason = memory_copy_text(deferral->reason);
    }
    if (!deferral->key)
        return;
    char *asks = outcome->asks ? memory_join(outcome->asks, "\n", deferral->key)
                               : memory_copy_text(deferral->key);
    free(outcome->asks);
    outcome->asks = asks;
}

/* All that is left of it waits for longer than a run should. */
static bool falls_asleep(struct handler *handler)
{
    struct script_outcome *outcome = &handler->outcome;
    int64_t until_ms = 0;
    if (!handler->deferring || handler->asleep || !branch_is_deferred(&handler->main))
        return handler->asleep;
    script_outcome_free(outcome);
    add_deferrals(&handler->main, &until_ms, outcome);
    int64_t wait_ms = until_ms - clock_wall_ms();
    outcome->kind = SCRIPT_RETRY;
    outcome->retry_after_ms = wait_ms > 0 ? wait_ms : 0;
    outcome->asleep = handler->asleep = true;
    return true;
}

static void run_slice(struct branch *branch, int arguments)
{
    struct handler *handler = branch->handler;
    struct vm *vm = handler->vm;
    int results;
    vm_begin_slice(vm, branch);
    begin_activity(vm, handler);
    int status = vm_resume(vm, branch->co, NULL, arguments, &results);
    vm_end_slice(vm);
    bool waits = status == LUA_YIELD && vm_is_held(branch->co);
    if (handler->expired) {
        outcome_fail(&handler->outcome, handler->limit, vm_limit_text(handler),
                     vm_traceback(vm, branch->co));
    } else if (waits && !branch->ran && falls_asleep(handler)) {
        /* it has its outcome */
    } else if (waits && handler->deadline_ms && clock_monotonic_ms() >= handler->deadline_ms) {
        handler_abandon(handler, SCRIPT_LIMIT_WALL, NULL);
        return;
    } else if (branch->ran) {
        branch->ran(branch, status);
        if (!falls_asleep(handler))
            return;
    } else if (waits) {
        return;
    } else if (status == LUA_YIELD) {
        outcome_fail(&handler->outcome, SCRIPT_LIMIT_NONE,
                     memory_copy_text(
                         "the handler called coroutine.yield outside a coroutine that it created"),
                     vm_traceback(vm, branch->co));
    } else if (status != LUA_OK) {
        fail(handler, status);
    }
    finish(handler);
}

static void run(struct branch *branch)
{
    struct vm_activity *activity = branch->handler->vm->activity;
    int arguments = branch->begun ? 0 : lua_gettop(branch->co) - 1;
    branch->begun = true;
    run_slice(branch, arguments);
    end_activity(activity); /* by now the handler and its state may be gone */
}

static int make_part(lua_State *L)
{
    struct branch *part = lua_touserdata(L, 1);
    part->prepare(L, part);
    return 0;
}

/* The part is about to begin. */
static void begin_part(struct branch *part)
{
    struct vm *vm = part->handler->vm;
    char problem[256];
    if (vm_call(vm, make_part, part, problem, sizeof problem)) {
        vm_watch(part->co);
        run(part);
        return;
    }
    vm->memory_hit = part->handler->over_memory = true;
    part->ran(part, LUA_ERRMEM);
}

static void run_turn(struct turn *turn)
{
    struct handler *handler = (struct handler *)turn;
    struct branch *branch = handler->ready;
    leave_ready(branch);
    if (handler->ready) /* others' turns come between */
        turn_take(handler->vm->lane, turn, run_turn);
    if (branch->co)
        run(branch);
    else
        begin_part(branch);
}

struct start_request {
    struct handler *handler;
    lua_CFunction body;
};

static int make_coroutine(lua_State *L)
{
    struct start_request *request = lua_touserdata(L, 1);
    struct branch *branch = &request->handler->main;
    branch->co = lua_newthread(L);
    lua_pushcfunction(branch->co, request->body);
    lua_pushlightuserdata(branch->co, request->handler);
    branch->co_reference = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

/* false: there is no memory, and the handler has ended. */
static bool prepare(struct vm *vm, struct handler *handler, lua_CFunction body,
                    int64_t cpu_limit_ms, int64_t timeout_ms)
{
    struct start_request request = {.handler = handler, .body = body};
    char problem[256];
    handler->vm = vm;
    handler->cpu_limit_ms = cpu_limit_ms;
    handler->timeout_ms = timeout_ms;
    handler->deadline_ms = timeout_ms ? clock_monotonic_ms() + timeout_ms : 0;
    branch_init(&handler->main, handler);
    handler->store.values = LUA_NOREF;
    handler->steps = LUA_NOREF;
    handler->next = vm->handlers;
    if (vm->handlers)
        vm->handlers->previous = handler;
    vm->handlers = handler;
    if (!vm_call(vm, make_coroutine, &request, problem, sizeof problem)) {
        vm->memory_hit = true;
        outcome_fail(&handler->outcome, SCRIPT_LIMIT_MEMORY, memory_copy_text(problem), NULL);
        finish(handler);
        return false;
    }
    vm_watch(handler->main.co);
    return true;
}

void handler_start(struct vm *vm, struct handler *handler, lua_CFunction body, int64_t cpu_limit_ms,
                   int64_t timeout_ms)
{
    if (prepare(vm, handler, body, cpu_limit_ms, timeout_ms))
        make_ready(&handler->main);
}

void handler_start_now(struct vm *vm, struct handler *handler, lua_CFunction body,
                       int64_t cpu_limit_ms, int64_t timeout_ms)
{
    if (prepare(vm, handler, body, cpu_limit_ms, timeout_ms))
        run(&handler->main);
}

void branch_start(struct branch *part, struct branch *parent)
{
    branch_init(part, parent->handler);
    branch_link(part, parent);
    part->depth = parent->depth + 1;
    make_ready(part);
}

void operation_wake(struct operation *operation)
{
    struct branch *branch = operation->branch;
    if (!branch || branch->operation != operation || operation->complete)
        return;
    operation->complete = true;
    make_ready(branch);
}

void handler_abandon(struct handler *handler, enum script_limit limit, const char *reason)
{
    handler->expired = true;
    handler->limit = limit;
    const struct branch *branch = branch_innermost(handler);
    vm_note_position(handler, branch, NULL);
    outcome_fail(&handler->outcome, limit,
                 reason ? memory_copy_text(reason) : vm_limit_text(handler),
                 vm_traceback(handler->vm, branch->co));
    finish(handler);
}
