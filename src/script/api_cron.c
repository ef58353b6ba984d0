#include "script/api_cron.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "script/api.h"
#include "script/api_errors.h"
#include "script/script_private.h"
#include "script/vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCHEDULES_MAXIMUM 100 /* of one state */
#define LOOK_MS 5000          /* at the clock: somebody may set it */
#define MISSED_S 60           /* so late, a run was missed */
#define SET_BACK_S (3 * 3600) /* further, the clock was corrected; as Vixie cron has it */
#define ZONE_MAXIMUM (256 * 1024)
#define ZONES "/usr/share/zoneinfo"

struct schedule {
    uv_timer_t uv; /* first */
    struct schedule *next;
    struct vm *vm;
    int64_t id;
    char *name, *spec, *zone;
    bool catch_up;
    int function, times; /* registry references */
    int64_t since_s;     /* what comes after it is due: epoch seconds */
    int64_t next_s;      /* as the host was told; 0: it was not */
};

static void free_schedule(uv_handle_t *uv)
{
    struct schedule *schedule = (struct schedule *)uv;
    free(schedule->name);
    free(schedule->spec);
    free(schedule->zone);
    free(schedule);
}

static struct script_schedule *event(const struct schedule *schedule,
                                     enum script_schedule_kind kind)
{
    struct script_schedule *made = memory_allocate(sizeof *made);
    made->kind = kind;
    made->id = schedule->id;
    made->name = memory_copy_text(schedule->name);
    made->spec = memory_copy_text(schedule->spec);
    made->zone = memory_copy_text(schedule->zone);
    made->catch_up = schedule->catch_up;
    made->next_s = schedule->next_s;
    made->at_s = clock_wall_ms() / 1000;
    return made;
}

/* --- when it is due --- */

struct times {
    const struct schedule *schedule;
    int64_t now_s;
    int64_t due_s;  /* the last run up to now; 0: none */
    int64_t next_s; /* the one after now; 0: none */
};

static int ask_times(lua_State *L)
{
    struct times *times = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, times->schedule->times);
    lua_pushinteger(L, times->schedule->since_s);
    lua_pushinteger(L, times->now_s);
    lua_call(L, 2, 2);
    times->due_s = lua_tointeger(L, -2);
    times->next_s = lua_tointeger(L, -1);
    return 0;
}

static const char *when(int64_t at_s, char text[CLOCK_TEXT_SIZE])
{
    clock_format(at_s * 1000, text);
    return text;
}

static void take_due(struct schedule *schedule, const struct times *times)
{
    struct script *script = schedule->vm->script;
    char text[CLOCK_TEXT_SIZE];
    schedule->since_s = times->due_s;
    if (!schedule->catch_up && times->now_s - times->due_s > MISSED_S) {
        log_info(LOG_SCHEDULE_LEFT_OUT, schedule->vm->workspace_id,
                 "schedule \"%s\": the run of %s was missed and is left out (catch_up = false)",
                 schedule->name, when(times->due_s, text));
        return;
    }
    struct script_schedule *due = event(schedule, SCRIPT_SCHEDULE_DUE);
    due->at_s = times->due_s;
    script_tell_schedule(script, due);
}

static void on_look(uv_timer_t *uv);

static void arm(struct schedule *schedule, int64_t next_s)
{
    int64_t left_ms = next_s > 0 ? next_s * 1000 - clock_wall_ms() : LOOK_MS;
    left_ms = left_ms < 1 ? 1 : left_ms > LOOK_MS ? LOOK_MS : left_ms;
    uv_update_time(schedule->uv.loop);
    uv_timer_start(&schedule->uv, on_look, (uint64_t)left_ms, 0);
}

static void look(struct schedule *schedule)
{
    const char *id = schedule->vm->workspace_id;
    char problem[256];
    struct times times = {.schedule = schedule, .now_s = clock_wall_ms() / 1000};
    if (schedule->since_s - times.now_s > SET_BACK_S) {
        log_info(LOG_SCHEDULE_CLOCK, id,
                 "schedule \"%s\": the clock was set back by more than three hours; runs after "
                 "now are due, but for those that were before",
                 schedule->name);
        schedule->since_s = times.now_s;
    }
    if (!vm_call(schedule->vm, ask_times, &times, problem, sizeof problem)) {
        log_error(LOG_SCHEDULE_FAILED, id, "schedule \"%s\": cannot tell when it is due next: %s",
                  schedule->name, problem);
        arm(schedule, 0);
        return;
    }
    bool moves = times.next_s != schedule->next_s;
    schedule->next_s = times.next_s;
    if (moves)
        script_tell_schedule(schedule->vm->script, event(schedule, SCRIPT_SCHEDULE_NEXT));
    if (times.due_s > 0)
        take_due(schedule, &times);
    arm(schedule, times.next_s);
}

static void on_look(uv_timer_t *uv)
{
    look((struct schedule *)uv);
}

void schedules_go(struct vm *vm)
{
    vm->schedules_fixed = true;
    struct script_schedule *afresh = memory_allocate(sizeof *afresh);
    afresh->kind = SCRIPT_SCHEDULES_AFRESH;
    script_tell_schedule(vm->script, afresh);
    for (const struct schedule *schedule = vm->schedules; schedule; schedule = schedule->next)
        script_tell_schedule(vm->script, event(schedule, SCRIPT_SCHEDULE_MADE));
}

void schedules_since(struct vm *vm, int64_t id, int64_t since_s)
{
    struct schedule *schedule = vm->schedules;
    while (schedule && schedule->id != id)
        schedule = schedule->next;
    if (!schedule || vm->schedules_over)
        return;
    schedule->since_s = since_s;
    look(schedule);
}

void schedules_stop(struct vm *vm)
{
    vm->schedules_fixed = vm->schedules_over = true;
    for (struct schedule *schedule = vm->schedules; schedule; schedule = schedule->next)
        uv_timer_stop(&schedule->uv);
}

void schedules_free(struct vm *vm)
{
    while (vm->schedules) {
        struct schedule *schedule = vm->schedules;
        vm->schedules = schedule->next;
        uv_close((uv_handle_t *)&schedule->uv, free_schedule);
    }
}

bool schedules_push(lua_State *L, const struct vm *vm, const char *name)
{
    const struct schedule *schedule = vm->schedules;
    while (schedule && strcmp(schedule->name, name) != 0)
        schedule = schedule->next;
    if (schedule)
        lua_rawgeti(L, LUA_REGISTRYINDEX, schedule->function);
    return schedule;
}

/* --- what lua/molecule/cron.lua asks --- */

static void add(struct vm *vm, struct schedule *schedule)
{
    struct schedule **end = &vm->schedules;
    while (*end)
        end = &(*end)->next;
    *end = schedule;
    vm->schedule_count++;
    schedule->vm = vm;
    schedule->id = script_new_schedule(vm->script);
    uv_timer_init(vm->loop, &schedule->uv);
}

/* core.cron(name, spec, zone, catch_up, function, times): `times(since, now)` gives the last moment
 * after the one and up to the other, or nil, and the first one after both. */
static int core_cron(lua_State *L)
{
    struct vm *vm = vm_of(L);
    if (!vm->script)
        return api_misuse(L, "cron: schedules cannot be made here");
    if (vm->schedules_fixed)
        return api_misuse(L, "cron: schedules are made while the script loads or in its start, and "
                             "not later; molecule.every and molecule.after can be called any time");
    if (vm->schedule_count >= SCHEDULES_MAXIMUM)
        return api_misuse(L, "cron: there are %d schedules already, and no more are taken",
                          SCHEDULES_MAXIMUM);
    const char *name = luaL_checkstring(L, 1), *spec = luaL_checkstring(L, 2),
               *zone = luaL_checkstring(L, 3);
    lua_pushvalue(L, 5);
    int function = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, 6);
    int times = luaL_ref(L, LUA_REGISTRYINDEX);
    struct schedule *schedule = memory_allocate(sizeof *schedule);
    schedule->name = memory_copy_text(name);
    schedule->spec = memory_copy_text(spec);
    schedule->zone = memory_copy_text(zone);
    schedule->catch_up = lua_toboolean(L, 4);
    schedule->function = function;
    schedule->times = times;
    add(vm, schedule);
    return 0;
}

/* Pushes the bytes of a file; nil: it cannot be read, or is no zone's. */
static int push_file(lua_State *L, const char *path)
{
    char *bytes = lua_newuserdatauv(L, ZONE_MAXIMUM, 0);
    FILE *file = fopen(path, "rbe");
    size_t length = file ? fread(bytes, 1, ZONE_MAXIMUM, file) : 0;
    if (file)
        fclose(file);
    if (length >= 4 && memcmp(bytes, "TZif", 4) == 0)
        lua_pushlstring(L, bytes, length);
    else
        lua_pushnil(L);
    return 1;
}

static int push_zone(lua_State *L, const char *name)
{
    const char *directory = getenv("TZDIR");
    if (*name == '/' || strstr(name, "..")) {
        lua_pushnil(L);
        return 1;
    }
    return push_file(
        L, lua_pushfstring(L, "%s/%s", directory && *directory ? directory : ZONES, name));
}

/* core.zone(name) -> bytes of its file, or nil. core.zone() -> those of the machine's own zone; nil
 * and the value of TZ where that names no file. */
static int core_zone(lua_State *L)
{
    if (!lua_isnoneornil(L, 1))
        return push_zone(L, luaL_checkstring(L, 1));
    const char *own = getenv("TZ");
    if (!own)
        return push_file(L, "/etc/localtime");
    own += *own == ':';
    if (*own == '/')
        return push_file(L, own);
    push_zone(L, own);
    lua_pushstring(L, own);
    return 2;
}

void api_cron_install(lua_State *L)
{
    static const luaL_Reg functions[] = {{"cron", core_cron}, {"zone", core_zone}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
