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

static void finish(struct handler *handler)
{
    struct vm *vm = handler->vm;
    turn_leave(&handler->turn);
    vm_end_await(handler);
    handler_end_resources(handler);
    if (handler->co)
        vm_hold(handler->co); /* a script may have a reference to it */
    /* the coroutine becomes garbage as it is, neither reset nor closed: no code of the script runs
     * again */
    luaL_unref(vm->L, LUA_REGISTRYINDEX, handler->co_reference);
    step_scope_end(handler);
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
    bool memory = status == LUA_ERRMEM || (vm->memory_hit && status != LUA_YIELD);
    char *traceback = handler->traceback ? handler->traceback : vm_traceback(vm, handler->co);
    handler->traceback = NULL;
    if (memory) {
        vm->memory_hit = true;
        handler->limit = SCRIPT_LIMIT_MEMORY;
    }
    char *text = memory ? vm_limit_text(handler) : vm_error_text(vm, handler->co);
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

static void run_slice(struct handler *handler, int arguments)
{
    struct vm *vm = handler->vm;
    int results;
    vm_begin_slice(vm, handler);
    begin_activity(vm, handler);
    int status = vm_resume(vm, handler->co, NULL, arguments, &results);
    vm_end_slice(vm);
    if (handler->expired) {
        outcome_fail(&handler->outcome, handler->limit, vm_limit_text(handler),
                     vm_traceback(vm, handler->co));
    } else if (status == LUA_YIELD && vm_is_held(handler->co) && !handler->asleep) {
        if (handler->deadline_ms && clock_monotonic_ms() >= handler->deadline_ms)
            handler_abandon(handler, SCRIPT_LIMIT_WALL, NULL);
        return;
    } else if (status == LUA_YIELD && !handler->asleep) {
        outcome_fail(&handler->outcome, SCRIPT_LIMIT_NONE,
                     memory_copy_text(
                         "the handler called coroutine.yield outside a coroutine that it created"),
                     vm_traceback(vm, handler->co));
    } else if (status != LUA_OK && !handler->asleep) {
        fail(handler, status);
    }
    finish(handler);
}

static void run(struct handler *handler)
{
    struct vm_activity *activity = handler->vm->activity;
    int arguments = handler->begun ? 0 : 1;
    handler->begun = true;
    run_slice(handler, arguments);
    end_activity(activity); /* by now the handler and its state may be gone */
}

struct start_request {
    struct handler *handler;
    lua_CFunction body;
};

static int make_coroutine(lua_State *L)
{
    struct start_request *request = lua_touserdata(L, 1);
    struct handler *handler = request->handler;
    handler->co = lua_newthread(L);
    lua_pushcfunction(handler->co, request->body);
    lua_pushlightuserdata(handler->co, handler);
    handler->co_reference = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static void run_turn(struct turn *turn)
{
    run((struct handler *)turn);
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
    handler->co_reference = LUA_NOREF;
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
    vm_watch(handler->co);
    return true;
}

void handler_start(struct vm *vm, struct handler *handler, lua_CFunction body, int64_t cpu_limit_ms,
                   int64_t timeout_ms)
{
    if (prepare(vm, handler, body, cpu_limit_ms, timeout_ms))
        turn_take(vm->lane, &handler->turn, run_turn);
}

void handler_start_now(struct vm *vm, struct handler *handler, lua_CFunction body,
                       int64_t cpu_limit_ms, int64_t timeout_ms)
{
    if (prepare(vm, handler, body, cpu_limit_ms, timeout_ms))
        run(handler);
}

void handler_wake(struct handler *handler)
{
    struct operation *operation = handler->operation;
    if (!operation || operation->complete)
        return;
    operation->complete = true;
    turn_take(handler->vm->lane, &handler->turn, run_turn);
}

void handler_abandon(struct handler *handler, enum script_limit limit, const char *reason)
{
    handler->expired = true;
    handler->limit = limit;
    vm_note_position(handler, handler->co);
    vm_end_await(handler);
    outcome_fail(&handler->outcome, limit,
                 reason ? memory_copy_text(reason) : vm_limit_text(handler),
                 vm_traceback(handler->vm, handler->co));
    finish(handler);
}
