/* A Lua state with its limits.
 *
 * CPU and wall clock: a count hook every HOOK_INSTRUCTIONS. At expiry the hook yields wherever Lua
 * allows it and the host never resumes that coroutine: no pcall, __close or error handler of the
 * script gets another instruction. Where it cannot yield (below a C function that called back into
 * Lua) it raises, again at every further instruction. Memory: an allocator that refuses beyond the
 * limit; the state is replaced afterwards. */
#include "script/vm.h"
#include "script/locks.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"
#include "net/allowed_hosts.h"
#include "net/http_client.h"
#include "script/agent.h"
#include "script/loader.h"
#include "script/pipe.h"
#include "script/timers.h"

#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* measured: about 6 % of a realistic handler's time; less often, and a limit of 1 ms could not be
 * kept */
#define HOOK_INSTRUCTIONS 1000

const char vm_verdict_metatable;

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

/* The innermost Lua positions of a coroutine, without allocating: the memory limit may be what was
 * reached. */
static void describe_position(lua_State *L, char *text, size_t size)
{
    lua_Debug frame;
    size_t length = 0;
    for (int level = 0, shown = 0; shown < 6 && lua_getstack(L, level, &frame); level++) {
        lua_getinfo(L, "Sl", &frame);
        if (frame.currentline < 0)
            continue;
        int wrote = snprintf(text + length, size - length, "%s%s:%d",
                             shown++ ? ", called from " : "", frame.short_src, frame.currentline);
        if (wrote < 0 || (size_t)wrote >= size - length)
            return;
        length += (size_t)wrote;
    }
}

void vm_note_refusal(struct vm *vm, bool for_good)
{
    if (!vm->running)
        return;
    if (vm->current)
        describe_position(vm->current, vm->running->where, sizeof vm->running->where);
    vm->memory_hit = vm->memory_hit || for_good;
    vm->running->over_memory = vm->running->over_memory || for_good;
}

static int64_t cpu_used(const struct vm *vm, const struct handler *handler)
{
    return handler->cpu_used_ms + clock_thread_cpu_ms() - vm->slice_started_cpu_ms;
}

static bool is_canceled(const struct handler *handler)
{
    return handler->job && handler->job->canceled;
}

/* Looks at both clocks; false: `check_at_us` is the next moment at which one of them could have run
 * out. */
static bool look_at_limits(struct vm *vm, struct handler *handler, int64_t now_us)
{
    int64_t next = INT64_MAX;
    if (is_canceled(handler)) {
        handler->limit = SCRIPT_LIMIT_CANCEL;
        return true;
    }
    if (handler->cpu_limit_ms) {
        int64_t left = handler->cpu_limit_ms - cpu_used(vm, handler);
        if (left <= 0) {
            handler->limit = SCRIPT_LIMIT_CPU;
            return true;
        }
        next = now_us + left * 1000;
    }
    if (handler->deadline_ms) {
        int64_t left = handler->deadline_ms * 1000 - now_us;
        if (left <= 0) {
            handler->limit = SCRIPT_LIMIT_WALL;
            return true;
        }
        if (now_us + left < next)
            next = now_us + left;
    }
    vm->check_at_us = next;
    return false;
}

bool vm_expired(struct vm *vm)
{
    struct handler *handler = vm->running;
    if (!handler)
        return false;
    if (vm->activity)
        vm->activity->lua_ms = clock_monotonic_ms(); /* it can be interrupted here, too */
    return handler->expired || look_at_limits(vm, handler, clock_monotonic_us());
}

/* Only a bug of ours comes here: every call into Lua is protected. */
static int panic(lua_State *L)
{
    log_error(NULL, "internal error: unprotected Lua error: %s", lua_tostring(L, -1));
    log_flush();
    return 0;
}

static int open_libraries(lua_State *L)
{
    environment_install(L);
    loader_install(L);
    coroutines_install(L);
    api_install(L);
    return 0;
}

struct vm *vm_open(uv_loop_t *loop, const char *workspace_id, size_t memory_limit)
{
    struct vm *vm = memory_allocate(sizeof *vm);
    vm->loop = loop;
    vm->workspace_id = workspace_id;
    vm->memory_limit = memory_limit;
    vm->agent = LUA_NOREF;
    vm->info = memory_allocate(sizeof *vm->info);
    vm->L = lua_newstate(vm_allocate, vm);
    if (!vm->L) {
        free(vm->info);
        free(vm);
        return NULL;
    }
    *mark_of(vm->L) = (uintptr_t)vm; /* coroutines begin with a copy of it */
    lua_atpanic(vm->L, panic);
    char problem[512];
    if (!vm_call(vm, open_libraries, NULL, problem, sizeof problem)) {
        log_error(workspace_id, "cannot set up a Lua state: %s", problem);
        vm_close(vm);
        return NULL;
    }
    return vm;
}

/* of the descriptors: the host's own requests, its ledgers and other states want some, too */
#define SHARE 16

unsigned vm_share(unsigned maximum)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur / SHARE >= maximum)
        return maximum;
    return files.rlim_cur / SHARE > 1 ? (unsigned)(files.rlim_cur / SHARE) : 1;
}

void vm_close(struct vm *vm)
{
    vm->running = NULL;
    timers_stop(vm);
    vm->memory_limit = 0;
    lua_sethook(vm->L, NULL, 0, 0);
    lua_close(vm->L);
    http_client_close(vm->http);
    allowed_hosts_close(vm->allowed_hosts);
    allowed_hosts_close(vm->file_hosts);
    agent_info_free(vm->info);
    free(vm->info);
    free(vm);
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

static void on_hook(lua_State *L, lua_Debug *debug)
{
    (void)debug;
    struct vm *vm = vm_of(L);
    struct handler *handler = vm->running;
    if (!handler)
        return;
    if (!handler->expired) {
        int64_t now = clock_monotonic_us();
        if (vm->activity)
            vm->activity->lua_ms = now / 1000;
        thread_wake_readers(); /* others' outcomes do not wait for this handler */
        if ((now < vm->check_at_us && !is_canceled(handler)) || !look_at_limits(vm, handler, now))
            return;
        handler->expired = true;
        describe_position(L, handler->where, sizeof handler->where);
    }
    lua_sethook(L, on_hook, LUA_MASKCOUNT | LUA_MASKLINE, 1);
    if (vm->activity)
        vm->activity->limited = false;
    if (L == vm->current && lua_isyieldable(L)) {
        vm_hold(L);
        lua_yield(L, 0);
    } else
        luaL_error(L, handler->limit == SCRIPT_LIMIT_CANCEL ? "it was canceled"
                      : handler->limit == SCRIPT_LIMIT_CPU  ? "the CPU limit was reached"
                                                            : "the time limit was reached");
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

/* Lua knows of one coroutine only whether it can yield; the wait has to get through all of them. */
bool vm_can_wait(lua_State *L)
{
    const struct vm *vm = vm_of(L);
    if (!vm->running || vm->running->may_not_wait || L != vm->current)
        return false;
    for (const struct vm_frame *frame = vm->frame; frame; frame = frame->outer) {
        if (!lua_isyieldable(frame->co))
            return false;
        if (!frame->from)
            return frame->co == vm->running->co;
        if (!frame->outer || frame->outer->co != frame->from)
            return false;
    }
    return false;
}

void vm_check_await(lua_State *L, const char *what)
{
    struct vm *vm = vm_of(L);
    if (!vm->running)
        luaL_error(L, "%s cannot wait here", what);
    else if (vm->running->may_not_wait)
        luaL_error(L, "%s cannot wait in %s", what, vm->running->may_not_wait);
    if (!vm_can_wait(L))
        luaL_error(L,
                   "%s cannot wait here: it is inside a function that C calls (a table.sort "
                   "comparator, a gsub "
                   "callback, a metamethod, or a file that require loads)",
                   what);
}

static int after_await(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct operation *operation = (struct operation *)context;
    /* the object whose method waited, if it was one, lives on until its results are there */
    lua_settop(L, 1);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    int count = operation->results(L, operation);
    vm_end_await(operation->handler);
    return count;
}

void vm_end_await(struct handler *handler)
{
    struct operation *operation = handler->operation;
    if (!operation)
        return;
    handler->operation = NULL;
    if (!operation->complete)
        operation->cancel(operation);
    operation->release(operation);
}

int vm_await_then(lua_State *L, struct operation *operation, lua_KFunction next,
                  lua_KContext context)
{
    struct handler *handler = vm_of(L)->running;
    vm_end_await(handler); /* of one whose results could not be pushed for want of memory */
    operation->handler = handler;
    operation->complete = false;
    handler->operation = operation;
    if (!vm_can_wait(L)) {
        vm_end_await(handler);
        return luaL_error(L, "cannot wait here");
    }
    vm_hold(L);
    return lua_yieldk(L, 0, context, next);
}

int vm_await(lua_State *L, struct operation *operation)
{
    return vm_await_then(L, operation, after_await, (lua_KContext)operation);
}

int vm_pass_await(lua_State *L, lua_KFunction next, bool context)
{
    vm_hold(L);
    return lua_yieldk(L, 0, context, next);
}

static void finish(struct handler *handler)
{
    struct vm *vm = handler->vm;
    turn_leave(&handler->turn);
    vm_end_await(handler);
    pipe_end_all(handler);
    http_end_streams(handler);
    if (handler->co)
        vm_hold(handler->co); /* a script may have a reference to it */
    /* the coroutine becomes garbage as it is: not reset, not closed, nothing of the script's runs
     * again */
    luaL_unref(vm->L, LUA_REGISTRYINDEX, handler->co_reference);
    luaL_unref(vm->L, LUA_REGISTRYINDEX, handler->values);
    if (handler->previous)
        handler->previous->next = handler->next;
    else
        vm->handlers = handler->next;
    if (handler->next)
        handler->next->previous = handler->previous;
    handler->finished(handler);
}

static char *limit_text(const struct handler *handler)
{
    const char *where = handler->where[0] ? handler->where : "?";
    const char *phase = handler->phase;
    if (handler->limit == SCRIPT_LIMIT_CANCEL)
        return memory_format("it was canceled, at %s", where);
    if (handler->limit == SCRIPT_LIMIT_CPU)
        return memory_format("used more than %.3g s of CPU time %s, at %s",
                             (double)handler->cpu_limit_ms / 1000, phase ? phase : "(--cpu-limit)",
                             where);
    if (handler->limit == SCRIPT_LIMIT_MEMORY && handler->taking)
        return memory_format(
            "the message itself needs more than %zu MiB of memory (--memory-limit)",
            handler->vm->memory_limit / (1024 * 1024));
    if (handler->limit == SCRIPT_LIMIT_MEMORY)
        return memory_format("needed more than %zu MiB of memory (--memory-limit), at %s",
                             handler->vm->memory_limit / (1024 * 1024), where);
    if (phase)
        return memory_format("took longer than %.3g s %s, at %s",
                             (double)handler->timeout_ms / 1000, phase, where);
    return memory_format("took longer than its time limit (--timeout), at %s", where);
}

char *vm_memory_text(struct handler *handler)
{
    handler->limit = SCRIPT_LIMIT_MEMORY;
    return limit_text(handler);
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
    outcome_fail(&handler->outcome, handler->limit,
                 memory ? limit_text(handler) : vm_error_text(vm, handler->co), traceback);
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
    vm->running = handler;
    vm->slice_started_cpu_ms = clock_thread_cpu_ms();
    vm->check_at_us = 0;
    begin_activity(vm, handler);
    int status = vm_resume(vm, handler->co, NULL, arguments, &results);
    handler->cpu_used_ms = cpu_used(vm, handler);
    vm->running = NULL;
    if (handler->expired) {
        outcome_fail(&handler->outcome, handler->limit, limit_text(handler),
                     vm_traceback(vm, handler->co));
    } else if (status == LUA_YIELD && vm_is_held(handler->co)) {
        if (handler->deadline_ms && clock_monotonic_ms() >= handler->deadline_ms)
            handler_abandon(handler, SCRIPT_LIMIT_WALL, NULL);
        return;
    } else if (status == LUA_YIELD) {
        outcome_fail(
            &handler->outcome, SCRIPT_LIMIT_NONE,
            memory_copy_text("the handler called coroutine.yield outside a coroutine of its own"),
            vm_traceback(vm, handler->co));
    } else if (status != LUA_OK) {
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
    end_activity(activity); /* the handler, and its state, may be gone */
}

void vm_watch(lua_State *co)
{
    lua_sethook(co, on_hook, LUA_MASKCOUNT, HOOK_INSTRUCTIONS);
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
    handler->values = LUA_NOREF;
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
    describe_position(handler->co, handler->where, sizeof handler->where);
    vm_end_await(handler);
    outcome_fail(&handler->outcome, limit, reason ? memory_copy_text(reason) : limit_text(handler),
                 vm_traceback(handler->vm, handler->co));
    finish(handler);
}

void handler_free(struct handler *handler)
{
    script_outcome_free(&handler->outcome);
    changes_free(handler->changes);
    free(handler->traceback);
    free(handler->misuse);
    free(handler);
}
