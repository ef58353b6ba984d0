#include "script/api_timer.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "script/agent.h"
#include "script/api.h"
#include "script/api_check.h"
#include "script/api_errors.h"
#include "script/handler.h"
#include "script/handler_run.h"
#include "script/outcome.h"
#include "script/script_private.h"
#include "script/vm.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define TIMERS_MAXIMUM 1000 /* of one state */
#define SECONDS_MAXIMUM 1e8
#define SECONDS_MINIMUM 0.001 /* of molecule.every */
#define HANDLE_METATABLE "molecule.timer"

struct timer {
    uv_timer_t uv; /* first */
    struct turn turn;
    struct timer *next;
    struct vm *vm;
    lua_Integer id;
    int function;     /* registry reference */
    int64_t every_ms; /* 0: once */
    int64_t due_ms;   /* monotonic */
    bool running, cancelled;
    bool early; /* it runs before it is due, because somebody wants so */
};

static void on_timer(uv_timer_t *uv);
static void run_timer(struct turn *turn);

static void free_timer(uv_handle_t *uv)
{
    free(uv);
}

static void drop(struct timer *timer)
{
    struct timer **link = &timer->vm->timers;
    while (*link != timer)
        link = &(*link)->next;
    *link = timer->next;
    timer->vm->timer_count--;
    if (timer->vm->script)
        atomic_fetch_sub(&timer->vm->script->timers, 1);
    luaL_unref(timer->vm->L, LUA_REGISTRYINDEX, timer->function);
    uv_close((uv_handle_t *)&timer->uv, free_timer);
}

static void cancel(struct timer *timer)
{
    timer->cancelled = true;
    uv_timer_stop(&timer->uv);
    turn_leave(&timer->turn);
    if (!timer->running) /* else it is freed when its function returns */
        drop(timer);
}

static void arm(struct timer *timer)
{
    int64_t left = timer->due_ms - clock_monotonic_ms();
    uv_update_time(timer->uv.loop);
    uv_timer_start(&timer->uv, on_timer, left > 0 ? (uint64_t)left : 0, 0);
}

void timers_go(struct vm *vm)
{
    vm->timers_go = true;
    for (struct timer *timer = vm->timers; timer; timer = timer->next)
        if (!timer->running && !timer->cancelled && !timer->turn.lane)
            arm(timer);
}

size_t timers_stop(struct vm *vm)
{
    size_t count = 0;
    struct timer *next;
    vm->timers_go = false;
    for (struct timer *timer = vm->timers; timer; timer = next) {
        next = timer->next;
        count += !timer->cancelled;
        cancel(timer);
    }
    return count;
}

/* Where its function stands in the script, as "agent.lua:12". */
static void place_of(const struct timer *timer, char *text, size_t size)
{
    lua_State *L = timer->vm->L;
    lua_Debug info = {0};
    lua_rawgeti(L, LUA_REGISTRYINDEX, timer->function);
    lua_getinfo(L, ">S", &info); /* takes it */
    snprintf(text, size, "%s:%d", info.short_src, info.linedefined);
}

void timers_each(struct vm *vm, void (*each)(const struct timer_view *timer, void *context),
                 void *context)
{
    char place[LUA_IDSIZE + 16];
    int64_t now = clock_monotonic_ms();
    for (const struct timer *timer = vm->timers; timer; timer = timer->next) {
        if (timer->cancelled)
            continue;
        place_of(timer, place, sizeof place);
        each(&(struct timer_view){.id = timer->id,
                                  .every_ms = timer->every_ms,
                                  .due_ms = timer->due_ms > now ? timer->due_ms - now : 0,
                                  .running = timer->running || timer->turn.lane,
                                  .place = place},
             context);
    }
}

bool timers_run(struct vm *vm, int64_t id)
{
    struct timer *timer = vm->timers;
    while (timer && timer->id != id)
        timer = timer->next;
    if (!timer || timer->cancelled || timer->running || timer->turn.lane)
        return false;
    uv_timer_stop(&timer->uv);
    timer->early = true;
    turn_take(vm->lane, &timer->turn, run_timer);
    return true;
}

static int no_results(lua_State *L, int status, lua_KContext context)
{
    (void)L;
    (void)status;
    (void)context;
    return 0;
}

/* The body of a timer's handler: function(ctx). */
static int timer_body(lua_State *L)
{
    struct handler *handler = lua_touserdata(L, 1);
    const struct timer *timer = handler->argument;
    lua_rawgeti(L, LUA_REGISTRYINDEX, timer->function);
    agent_push_context(L, handler);
    lua_callk(L, 1, 0, 0, no_results);
    return 0;
}

static void on_timer_done(struct handler *handler)
{
    struct script *script = handler->context;
    struct timer *timer = handler->argument;
    struct vm *vm = handler->vm;
    timer->running = false;
    if (handler->outcome.kind == SCRIPT_FAILED && !script->closing && !script->replacing) {
        char *text = outcome_describe(&handler->outcome);
        log_error(LOG_TIMER_FAILED, script->settings.options->id, "a timer's function failed%s: %s",
                  timer->every_ms ? " (it runs again when due)" : "", text);
        free(text);
    } else if (handler->over_memory && !script->closing) {
        log_error(
            LOG_TIMER_FAILED, script->settings.options->id,
            "a timer's function exceeded --memory-limit; the Lua state is replaced, and messages "
            "under way run again");
    }
    script_commit_changes(script, handler);
    handler_free(handler);
    if (!timer->every_ms || timer->cancelled) {
        drop(timer);
    } else {
        int64_t now = clock_monotonic_ms();
        if (!timer->early)
            timer->due_ms += timer->every_ms;
        timer->early = false;
        /* it took longer than its period: missed runs are skipped */
        if (timer->due_ms < now)
            timer->due_ms = now + timer->every_ms - (now - timer->due_ms) % timer->every_ms;
        arm(timer);
    }
    script_replace_soon(script);
    script_handler_ended(script, vm);
}

static void run_timer(struct turn *turn)
{
    struct timer *timer = (struct timer *)((char *)turn - offsetof(struct timer, turn));
    struct script *script = timer->vm->script;
    struct handler *handler = script_handler(script, on_timer_done);
    handler->argument = timer;
    timer->running = true;
    script_start_now(script, timer->vm, handler, timer_body);
}

/* It queues behind other work: timers must not monopolize the worker. */
static void on_timer(uv_timer_t *uv)
{
    struct timer *timer = (struct timer *)uv;
    turn_take(timer->vm->lane, &timer->turn, run_timer);
}

/* timer:cancel() -> whether it was still to run */
static int timer_cancel(lua_State *L)
{
    const lua_Integer *id = luaL_checkudata(L, 1, HANDLE_METATABLE);
    struct timer *timer = vm_of(L)->timers;
    while (timer && timer->id != *id)
        timer = timer->next;
    bool cancelled = timer && !timer->cancelled;
    if (cancelled)
        cancel(timer);
    lua_pushboolean(L, cancelled);
    return 1;
}

static int make_timer(lua_State *L, const char *name, bool repeats)
{
    lua_Number seconds = api_check_seconds(L, 1, name, repeats ? SECONDS_MINIMUM : 0,
                                           SECONDS_MAXIMUM);
    if (!lua_isfunction(L, 2))
        return api_misuse(L, "%s: the second argument must be a function(ctx), not a %s", name,
                          luaL_typename(L, 2));
    struct vm *vm = vm_of(L);
    if (!vm->script)
        return api_misuse(L, "molecule.%s: timers cannot be made here", name);
    if (vm->timer_count >= TIMERS_MAXIMUM)
        return api_misuse(
            L, "molecule.%s: there are %d timers already; cancel() those that are not needed", name,
            TIMERS_MAXIMUM);
    lua_settop(L, 2);
    lua_Integer *id = lua_newuserdatauv(L, sizeof *id, 0);
    luaL_setmetatable(L, HANDLE_METATABLE);
    lua_pushvalue(L, 2);
    int function = luaL_ref(L, LUA_REGISTRYINDEX);
    struct timer *timer = memory_allocate(sizeof *timer);
    timer->vm = vm;
    timer->id = *id = ++vm->last_timer;
    timer->function = function;
    timer->every_ms = repeats ? (int64_t)(seconds * 1000) : 0;
    timer->due_ms = clock_monotonic_ms() + (int64_t)(seconds * 1000);
    timer->next = vm->timers;
    vm->timers = timer;
    vm->timer_count++;
    if (vm->script)
        atomic_fetch_add(&vm->script->timers, 1);
    uv_timer_init(vm->loop, &timer->uv);
    if (vm->timers_go)
        arm(timer);
    return 1;
}

/* core.every(seconds, function) -> timer */
static int api_every(lua_State *L)
{
    return make_timer(L, "every", true);
}

/* core.after(seconds, function) -> timer */
static int api_after(lua_State *L)
{
    return make_timer(L, "after", false);
}

void api_timer_install(lua_State *L)
{
    static const luaL_Reg methods[] = {{"cancel", timer_cancel}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"every", api_every}, {"after", api_after}, {NULL, NULL}};
    luaL_newmetatable(L, HANDLE_METATABLE);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, HANDLE_METATABLE);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
}
