/* Lua states of a script: the first one, one in place of a state that ran into its memory limit,
 * and reloads.
 *
 * A reload loads into a candidate beside the current state. Only if it loads and its start succeeds
 * do they change places: messages go to the new one, the old one's handlers finish in it, then its
 * stop runs and it is closed. At most one old state and one candidate live; another reload waits.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/plural.h"
#include "net/allowed_hosts.h"
#include "script/agent.h"
#include "script/handler.h"
#include "script/handler_run.h"
#include "script/outcome.h"
#include "script/script_private.h"
#include "script/vm.h"
#include "script/vm_open.h"

#include <stdlib.h>
#include <string.h>

#define LOAD_CPU_MS 10000 /* the script's top level, and its `start` */
#define LOAD_WALL_MS 60000
#define RELOAD_MS 2000    /* the same in a reload, while messages wait for the worker */
#define LOAD_AGAIN_MS 500 /* doubled each time */
#define LOAD_AGAIN_MAXIMUM_MS 30000
#define STOP_CPU_MS 2000
#define STOP_WALL_MS 5000

/* these limits are no flag's: what an error says instead of one */
#define IN_LOAD "while loading"
#define IN_START "while starting"
#define IN_STOP "while stopping"

/* --- telling the host --- */

struct loaded_task {
    struct task task;
    struct script_events events;
    struct agent_info info;
    char *problem;
    bool again; /* it was reloaded, or failed to */
};

static void run_loaded(struct task *task)
{
    struct loaded_task *loaded = (struct loaded_task *)task;
    struct script_agent agent = {
        .problem = loaded->problem,
        .name = loaded->info.name,
        .description = loaded->info.description,
        .skills = loaded->info.skills,
        .card = loaded->info.card,
        .new_tasks = loaded->info.new_tasks,
        .concurrency = loaded->info.concurrency,
        .answers_replies = loaded->info.answers_replies,
        .names_conversations = loaded->info.names_conversations,
    };
    if (!loaded->again)
        loaded->events.loaded(loaded->events.context, &agent);
    else if (loaded->problem && loaded->events.not_reloaded)
        loaded->events.not_reloaded(loaded->events.context, loaded->problem);
    else if (!loaded->problem && loaded->events.reloaded)
        loaded->events.reloaded(loaded->events.context, &agent);
    agent_info_free(&loaded->info);
    free(loaded->problem);
    free(loaded);
}

/* Takes the info. */
static void announce(struct script *script, struct agent_info *info, const char *problem)
{
    struct loaded_task *loaded = memory_allocate(sizeof *loaded);
    loaded->task.run = run_loaded;
    loaded->events = script->events;
    loaded->info = *info;
    loaded->problem = memory_copy_text(problem);
    loaded->again = script->announced;
    script->announced = true;
    thread_post(script->host, &loaded->task);
}

/* --- the current state --- */

/* The file will be watched, if files are. */
static void note_file(struct script *script, const char *path)
{
    if (script->watch)
        watch_add(script->watch, path);
}

static struct vm *open_state(struct script *script)
{
    struct vm *vm = vm_open(&script->worker->loop, script->settings.options->id,
                            script->settings.options->memory_limit);
    if (!vm)
        return NULL;
    char problem[512]; /* the patterns were looked at when the options were read */
    vm->settings = &script->settings;
    if (script->settings.options->file_host_count > 0)
        vm->file_hosts = allowed_hosts_open(script->settings.options->file_hosts,
                                            script->settings.options->file_host_count, problem,
                                            sizeof problem);
    vm->activity = &script->activity;
    vm->lane = &script->lane;
    vm->memory_asked = &script->asked_bytes;
    vm->script = script;
    vm->quotas = script->quotas;
    vm->on_file = note_file;
    vm->locks = script->locks;
    return vm;
}

static void start_phase(struct script *script, struct vm *vm, struct handler *handler,
                        lua_CFunction body, const char *phase, int64_t cpu_ms, int64_t wall_ms)
{
    handler->phase = phase;
    script_start(script, vm, handler, body, cpu_ms, wall_ms);
}

void script_start_stop(struct script *script, struct vm *vm,
                       void (*finished)(struct handler *handler))
{
    start_phase(script, vm, script_handler(script, finished), agent_stop_body, IN_STOP, STOP_CPU_MS,
                STOP_WALL_MS);
}

static void run_close_state(struct task *task)
{
    struct script_task *close = (struct script_task *)task;
    vm_close(close->context);
    free(close);
}

/* Not from inside it: a later turn of the loop. */
static void close_state_soon(struct script *script, struct vm *vm)
{
    struct script_task *close = script_task(script);
    script_stop_clocks(vm);
    close->context = vm;
    script_post(script->worker, close, run_close_state);
}

static void become_ready(struct script *script, enum script_state state)
{
    script->state = state;
    struct queue_item *item = script->waiting;
    script->waiting = NULL;
    script->waiting_end = &script->waiting;
    script_name_on(script);
    script_evaluate_on(script);
    while (item) {
        struct script_job *job = (struct script_job *)item;
        item = item->next;
        script_queue_job(script, job);
    }
    if (script->reload_again && !script->closing) {
        char *reason = script->reload_again;
        script->reload_again = NULL;
        script_reload_now(script, reason);
        free(reason);
    }
}

/* It has loaded before: the disk may be away for a moment, or somebody is editing the file. */
static void wait_to_load(struct script *script)
{
    int64_t wait = LOAD_AGAIN_MS;
    for (unsigned i = 0; i < script->load_failures && wait < LOAD_AGAIN_MAXIMUM_MS; i++)
        wait *= 2;
    script->load_failures++;
    script->load_again_ms = clock_monotonic_ms() +
                            (wait < LOAD_AGAIN_MAXIMUM_MS ? wait : LOAD_AGAIN_MAXIMUM_MS);
    log_error(LOG_SCRIPT_NOT_LOADED, script->settings.options->id,
              "the script no longer loads; messages wait, and the next one "
              "retries in %.3g s or later: %s",
              (double)wait / 1000, script->problem);
}

static void on_started(struct handler *handler)
{
    struct script *script = handler->context;
    struct agent_info info = {0};
    free(script->problem);
    script->problem = handler->outcome.kind == SCRIPT_FAILED ? outcome_describe(&handler->outcome)
                                                             : NULL;
    if (!script->problem)
        agent_take_info(script->vm, &info);
    script_commit_changes(script, handler);
    if (script->problem && script->announced)
        wait_to_load(script);
    else
        script->load_failures = 0;
    handler_free(handler);
    announce(script, &info, script->problem);
    if (!script->problem)
        script_start_clocks(script->vm);
    become_ready(script, script->problem ? SCRIPT_BROKEN : SCRIPT_READY);
}

static void on_loaded(struct handler *handler)
{
    struct script *script = handler->context;
    if (handler->outcome.kind == SCRIPT_FAILED || script->settings.load_only) {
        on_started(handler);
        return;
    }
    script_commit_changes(script, handler);
    handler_free(handler);
    start_phase(script, script->vm, script_handler(script, on_started), agent_start_body, IN_START,
                LOAD_CPU_MS, LOAD_WALL_MS);
}

void script_load(struct script *script)
{
    if (script->vm) /* a broken one */
        close_state_soon(script, script->vm);
    script->state = SCRIPT_LOADING;
    script->vm = open_state(script);
    struct handler *handler = script_handler(script, on_loaded);
    if (script->vm) {
        start_phase(script, script->vm, handler, agent_load_body, IN_LOAD, LOAD_CPU_MS,
                    LOAD_WALL_MS);
        return;
    }
    outcome_fail(&handler->outcome, SCRIPT_LIMIT_MEMORY,
                 memory_copy_text("not enough memory for a Lua state"), NULL);
    on_started(handler);
}

static void run_replace(struct task *task)
{
    struct script_task *replace = (struct script_task *)task;
    struct script *script = replace->script;
    free(replace);
    if (script->closing || !script->vm) {
        script->replacing = false;
        return;
    }
    if (!script->replacing) /* a candidate has taken its place */
        return;
    if (script->candidate) /* it may take the place of this one in a moment */
        return;
    log_warn(LOG_SCRIPT_REPLACED, script->settings.options->id,
             "the script's Lua state ran into --memory-limit and is replaced by a fresh "
             "one; its globals are lost");
    while (script->vm->handlers)
        handler_abandon(script->vm->handlers, SCRIPT_LIMIT_NONE, "the Lua state was replaced");
    vm_close(script->vm);
    script->vm = NULL;
    script->replacing = false;
    script_load(script);
}

void script_replace_soon(struct script *script)
{
    if (!script->vm || !script->vm->memory_hit || script->replacing || script->closing)
        return;
    script->replacing = true;
    script_post(script->worker, script_task(script), run_replace);
}

/* --- reloads --- */

static size_t count_handlers(const struct vm *vm)
{
    size_t count = 0;
    for (const struct handler *handler = vm->handlers; handler; handler = handler->next)
        count++;
    return count;
}

static void end_reload(struct script *script)
{
    free(script->reload_reason);
    script->reload_reason = NULL;
    if (script->candidate || script->old || !script->reload_again || script->closing)
        return;
    char *reason = script->reload_again;
    script->reload_again = NULL;
    script_reload_now(script, reason);
    free(reason);
}

static void on_old_stopped(struct handler *handler)
{
    struct script *script = handler->context;
    if (handler->outcome.kind == SCRIPT_FAILED && !script->closing) {
        char *text = outcome_describe(&handler->outcome);
        log_warn(LOG_SCRIPT_STOP_FAILED, script->settings.options->id,
                 "the stop of the previous version failed: %s", text);
        free(text);
    }
    script_commit_changes(script, handler);
    handler_free(handler);
    if (script->old) {
        close_state_soon(script, script->old);
        script->old = NULL;
    }
    log_debug(LOG_SCRIPT_CLOSED, script->settings.options->id,
              "the Lua state of the previous version is closed");
    end_reload(script);
}

static void run_retire(struct task *task)
{
    struct script_task *retire = (struct script_task *)task;
    struct script *script = retire->script;
    struct vm *vm = retire->context;
    free(retire);
    if (script->closing || script->old != vm || vm->handlers)
        return;
    script_start_stop(script, vm, on_old_stopped);
}

void script_handler_ended(struct script *script, struct vm *vm)
{
    if (vm != script->old || vm->handlers || script->closing)
        return;
    struct script_task *retire = script_task(script);
    retire->context = vm;
    script_post(script->worker, retire, run_retire);
}

static void reload_failed(struct script *script, struct handler *handler)
{
    char *text = outcome_describe(&handler->outcome);
    if (!script->closing) {
        log_error(LOG_SCRIPT_NOT_RELOADED, script->settings.options->id,
                  "the script was not reloaded (%s); keeping the previous version: %s",
                  script->reload_reason, text);
        announce(script, &(struct agent_info){0}, text);
    }
    free(text);
    script_commit_changes(script, handler);
    handler_free(handler);
    if (script->candidate) {
        close_state_soon(script, script->candidate);
        script->candidate = NULL;
    }
    if (script->replacing)
        script_post(script->worker, script_task(script), run_replace);
    end_reload(script);
}

static void on_candidate_started(struct handler *handler)
{
    struct script *script = handler->context;
    struct agent_info info = {0};
    if (handler->outcome.kind == SCRIPT_FAILED || script->closing) {
        reload_failed(script, handler);
        return;
    }
    agent_take_info(script->candidate, &info);
    script_commit_changes(script, handler);
    handler_free(handler);
    script->old = script->vm;
    script->vm = script->candidate;
    script->candidate = NULL;
    script->reloads++;
    size_t handlers = count_handlers(script->old), timers = script_stop_clocks(script->old);
    const char *stopped = timers ? "; its timers have stopped" : "";
    if (handlers > 0)
        log_info(LOG_SCRIPT_RELOADED, script->settings.options->id,
                 "the script is reloaded (%s); %zu message%s under way finish%s with the "
                 "previous version, then its globals are lost%s",
                 script->reload_reason, handlers, plural(handlers), handlers == 1 ? "es" : "",
                 stopped);
    else
        log_info(LOG_SCRIPT_RELOADED, script->settings.options->id,
                 "the script is reloaded (%s); the globals of the previous version are lost%s",
                 script->reload_reason, stopped);
    announce(script, &info, NULL);
    script_start_clocks(script->vm);
    if (script->replacing) { /* the previous state had hit its memory limit */
        while (script->old->handlers)
            handler_abandon(script->old->handlers, SCRIPT_LIMIT_NONE, "the Lua state was replaced");
        script->replacing = false;
        become_ready(script, SCRIPT_READY);
    }
    script_handler_ended(script, script->old);
}

static void on_candidate_loaded(struct handler *handler)
{
    struct script *script = handler->context;
    if (handler->outcome.kind == SCRIPT_FAILED || script->closing) {
        reload_failed(script, handler);
        return;
    }
    script_commit_changes(script, handler);
    handler_free(handler);
    start_phase(script, script->candidate, script_handler(script, on_candidate_started),
                agent_start_body, IN_START, RELOAD_MS, RELOAD_MS);
}

void script_reload_now(struct script *script, const char *reason)
{
    if (script->closing || !script->announced)
        return;
    if (script->state == SCRIPT_BROKEN) {
        log_info(LOG_SCRIPT_LOADING, script->settings.options->id, "loading the script again (%s)",
                 reason);
        script_load(script);
        return;
    }
    if (script->candidate || script->old || script->state == SCRIPT_LOADING || script->replacing) {
        if (script->old && !script->reload_again)
            log_info(LOG_SCRIPT_LOADING, script->settings.options->id,
                     "another reload (%s) waits for %zu message%s still handled by the previous "
                     "version",
                     reason, count_handlers(script->old), plural(count_handlers(script->old)));
        free(script->reload_again);
        script->reload_again = memory_copy_text(reason);
        return;
    }
    script->reload_reason = memory_copy_text(reason);
    script->candidate = open_state(script);
    struct handler *handler = script_handler(script, on_candidate_loaded);
    if (script->candidate) {
        start_phase(script, script->candidate, handler, agent_load_body, IN_LOAD, RELOAD_MS,
                    RELOAD_MS);
        return;
    }
    outcome_fail(&handler->outcome, SCRIPT_LIMIT_MEMORY,
                 memory_copy_text("not enough memory for a Lua state"), NULL);
    reload_failed(script, handler);
}

static void end_state(struct script *script, struct vm **vm)
{
    while (*vm && (*vm)->handlers) /* their end may close the state */
        handler_abandon((*vm)->handlers, SCRIPT_LIMIT_NONE, "the host is stopping");
    if (*vm)
        close_state_soon(script, *vm);
    *vm = NULL;
}

void script_end_states(struct script *script)
{
    end_state(script, &script->candidate);
    end_state(script, &script->old);
}
