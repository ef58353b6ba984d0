/* molecule.sleep, molecule.now, molecule.uuid. */
#include "base/clock.h"
#include "base/memory.h"
#include "base/uuid.h"
#include "script/api.h"
#include "script/api_check.h"
#include "script/handler_run.h"
#include "script/vm.h"
#include "script/vm_await.h"

#include <math.h>
#include <stdlib.h>

#define SLEEP_MAXIMUM_S 1e7

struct sleep {
    struct operation operation; /* first */
    uv_timer_t timer;
};

static int no_results(lua_State *L, struct operation *operation)
{
    (void)L;
    (void)operation;
    return 0;
}

static void on_slept(uv_timer_t *timer)
{
    struct sleep *sleep = timer->data;
    operation_wake(&sleep->operation);
}

static void cancel_sleep(struct operation *operation)
{
    uv_timer_stop(&((struct sleep *)operation)->timer);
}

static void free_sleep(uv_handle_t *timer)
{
    free(timer->data);
}

static void release_sleep(struct operation *operation)
{
    uv_close((uv_handle_t *)&((struct sleep *)operation)->timer, free_sleep);
}

static int api_sleep(lua_State *L)
{
    lua_Number seconds = api_check_seconds(L, 1, "sleep", 0, SLEEP_MAXIMUM_S);
    vm_check_await(L, "molecule.sleep");
    struct sleep *sleep = memory_allocate(sizeof *sleep);
    uv_loop_t *loop = vm_of(L)->loop;
    sleep->operation = (struct operation){
        .results = no_results, .cancel = cancel_sleep, .release = release_sleep};
    uv_update_time(loop);
    uv_timer_init(loop, &sleep->timer);
    sleep->timer.data = sleep;
    uv_timer_start(&sleep->timer, on_slept, (uint64_t)ceil(seconds * 1000), 0);
    return vm_await(L, &sleep->operation);
}

static int api_now(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)clock_wall_ms() / 1000);
    return 1;
}

/* core.elapsed(): seconds of a clock that is never set. */
static int api_elapsed(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)clock_boot_ms() / 1000);
    return 1;
}

static int api_uuid(lua_State *L)
{
    char text[UUID_TEXT_SIZE];
    uuid_random(text);
    lua_pushstring(L, text);
    return 1;
}

void api_time_install(lua_State *L)
{
    static const luaL_Reg functions[] = {{"sleep", api_sleep},
                                         {"now", api_now},
                                         {"elapsed", api_elapsed},
                                         {"uuid", api_uuid},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
