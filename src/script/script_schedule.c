/* Schedules on their way between a state and the host, and the handler of a due run. */
#include "base/log.h"
#include "base/memory.h"
#include "script/api_cron.h"
#include "script/api_timer.h"
#include "script/outcome.h"
#include "script/script.h"
#include "script/script_private.h"
#include "script/script_said.h"
#include "script/vm_errors.h"

#include <jansson.h>
#include <stdlib.h>

/* --- a state's clocks --- */

void script_start_clocks(struct vm *vm)
{
    timers_go(vm);
    schedules_go(vm);
}

size_t script_stop_clocks(struct vm *vm)
{
    schedules_stop(vm);
    return timers_stop(vm);
}

/* --- to the host and back --- */

void script_schedule_free(struct script_schedule *schedule)
{
    free(schedule->name);
    free(schedule->spec);
    free(schedule->zone);
    free(schedule);
}

static void run_event(struct task *task)
{
    struct script_schedule *schedule = (struct script_schedule *)task;
    const struct script_events *events = &schedule->script->events;
    events->schedule(events->context, schedule);
}

void script_tell_schedule(struct script *script, struct script_schedule *schedule)
{
    if (!script->events.schedule) { /* there is no host that would have it run */
        script_schedule_free(schedule);
        return;
    }
    schedule->script = script;
    schedule->task.run = run_event;
    script->asked += schedule->kind == SCRIPT_SCHEDULE_MADE;
    thread_post(script->host, &schedule->task);
}

int64_t script_new_schedule(struct script *script)
{
    return ++script->last_schedule;
}

static void run_since(struct task *task)
{
    struct script_schedule *schedule = (struct script_schedule *)task;
    struct script *script = schedule->script;
    script->asked--;
    if (script->vm && !script->closing && schedule->at_s > 0)
        schedules_since(script->vm, schedule->id, schedule->at_s);
    script_schedule_free(schedule);
    if (script->ending && script->asked == 0)
        script_finish_close(script, script->ending);
}

void script_schedule_since(struct script_schedule *schedule, int64_t since_s)
{
    schedule->at_s = since_s;
    schedule->task.run = run_since;
    thread_post(schedule->script->worker, &schedule->task);
}

/* --- the handler of a run --- */

static int after_run(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    struct handler *handler = lua_touserdata(L, 1);
    if (status != LUA_OK && status != LUA_YIELD)
        return lua_error(L);
    if (lua_isnoneornil(L, 3) || outcome_is_verdict(L, 3)) {
        outcome_read(L, 3, &handler->outcome);
        return 0;
    }
    handler->outcome.kind = SCRIPT_NO_REPLY;
    log_debug(LOG_VALUE_IGNORED, handler->vm->workspace_id,
              "message %s from %s: its function returned a %s, which is "
              "sent to nobody",
              handler->job->message->row_id, handler->job->message->source_id, luaL_typename(L, 3));
    return 0;
}

static void push_run(lua_State *L, const struct message *message)
{
    static const char *const texts[] = {"name", "spec", "timezone"};
    lua_createtable(L, 0, 5);
    lua_pushstring(L, message->row_id);
    lua_setfield(L, -2, "id");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        lua_pushstring(L, json_string_value(json_object_get(message->run, texts[i])));
        lua_setfield(L, -2, texts[i]);
    }
    lua_pushinteger(L, json_integer_value(json_object_get(message->run, "scheduled_at")));
    lua_setfield(L, -2, "scheduled_at");
}

/* Stack while it runs: handler, vm_keep_traceback. What it returns lands at index 3. */
static int run_body(lua_State *L)
{
    struct handler *handler = lua_touserdata(L, 1);
    const struct message *message = handler->job->message;
    const char *name = json_string_value(json_object_get(message->run, "name"));
    lua_pushcfunction(L, vm_keep_traceback);
    if (!schedules_push(L, handler->vm, name)) {
        handler->outcome.kind = SCRIPT_SKIPPED;
        handler->outcome.reason = memory_format("the script has no schedule \"%s\" any more", name);
        return 0;
    }
    push_run(L, message);
    script_show_msg(L, handler->vm, -1);
    agent_push_context(L, handler);
    int status = lua_pcallk(L, 2, LUA_MULTRET, 2, 0, after_run);
    return after_run(L, status, 0);
}

lua_CFunction script_body(const struct script_job *job)
{
    return job->message->run ? run_body : agent_handle_body;
}
