/* CPU and wall clock: a count hook every HOOK_INSTRUCTIONS. At expiry the hook yields wherever Lua
 * allows it and the host never resumes that coroutine: no pcall, __close or error handler of the
 * script gets another instruction. Where it cannot yield (below a C function that called back into
 * Lua) it raises, again at every further instruction. */
#include "script/vm_limits.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/thread.h"
#include "script/handler.h"
#include "script/loader.h"
#include "script/vm.h"

#include <stdio.h>
#include <string.h>

/* measured: about 6 % of a realistic handler's time; less often, and a limit of 1 ms could not be
 * kept */
#define HOOK_INSTRUCTIONS 1000

/* --- positions --- */

/* The innermost Lua positions of a coroutine, without allocating: the memory limit may be what was
 * reached. */
static void describe_frames(lua_State *L, bool all, char *text, size_t size)
{
    lua_Debug frame;
    size_t length = strlen(text);
    for (int level = 0, shown = 0; shown < 6 && lua_getstack(L, level, &frame); level++) {
        lua_getinfo(L, "Sl", &frame);
        if (frame.currentline < 0 || (!all && loader_is_embedded(frame.source)))
            continue;
        shown++;
        int wrote = snprintf(text + length, size - length, "%s%s:%d",
                             length > 0 ? ", called from " : "", frame.short_src,
                             frame.currentline);
        if (wrote < 0 || (size_t)wrote >= size - length) {
            text[length] = '\0';
            return;
        }
        length += (size_t)wrote;
    }
}

/* Those of the script; where there are none, those of the program's own Lua code. */
static void describe_position(lua_State *L, char *text, size_t size)
{
    size_t before = strlen(text);
    describe_frames(L, false, text, size);
    if (strlen(text) == before)
        describe_frames(L, true, text, size);
}

void vm_note_position(struct handler *handler, const struct branch *branch, lua_State *co)
{
    char first = handler->where[0];
    handler->where[0] = '\0';
    for (; branch; branch = branch->parent, co = NULL)
        describe_position(co ? co : branch->co, handler->where, sizeof handler->where);
    if (!handler->where[0]) /* it runs no Lua code: what was noted before stays */
        handler->where[0] = first;
}

void vm_note_refusal(struct vm *vm, bool for_good)
{
    if (!vm->running)
        return;
    if (vm->current)
        vm_note_position(vm->running, vm->branch, vm->current);
    vm->memory_hit = vm->memory_hit || for_good;
    vm->running->over_memory = vm->running->over_memory || for_good;
}

/* --- clocks --- */

static int64_t cpu_used(const struct vm *vm, const struct handler *handler)
{
    return handler->cpu_used_ms + clock_thread_cpu_ms() - vm->slice_started_cpu_ms;
}

static bool is_canceled(const struct handler *handler)
{
    return handler->canceled && *handler->canceled;
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

void vm_begin_slice(struct vm *vm, struct branch *branch)
{
    vm->running = branch->handler;
    vm->branch = branch;
    vm->slice_started_cpu_ms = clock_thread_cpu_ms();
    vm->check_at_us = 0;
}

void vm_end_slice(struct vm *vm)
{
    vm->running->cpu_used_ms = cpu_used(vm, vm->running);
    vm->running = NULL;
    vm->branch = NULL;
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
        thread_wake_readers(); /* others' outcomes must not wait for this handler */
        if ((now < vm->check_at_us && !is_canceled(handler)) || !look_at_limits(vm, handler, now))
            return;
        handler->expired = true;
        vm_note_position(handler, vm->branch, L);
    }
    lua_sethook(L, on_hook, LUA_MASKCOUNT | LUA_MASKLINE, 1);
    if (vm->activity)
        vm->activity->limited = false;
    if (L == vm->current && lua_isyieldable(L)) {
        vm_hold(L);
        lua_yield(L, 0);
    } else
        luaL_error(L, handler->limit == SCRIPT_LIMIT_CANCEL ? "the message was canceled"
                      : handler->limit == SCRIPT_LIMIT_CPU  ? "the CPU limit was reached"
                                                            : "the time limit was reached");
}

void vm_watch(lua_State *co)
{
    lua_sethook(co, on_hook, LUA_MASKCOUNT, HOOK_INSTRUCTIONS);
}

/* --- texts --- */

char *vm_limit_text(const struct handler *handler)
{
    const char *where = handler->where[0] ? handler->where : "?";
    const char *phase = handler->phase;
    if (handler->limit == SCRIPT_LIMIT_CANCEL)
        return memory_format("stopped at %s", where);
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
