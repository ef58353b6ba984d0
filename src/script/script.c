/* The worker's side of an agent: its handlers, their deadlines, and what the host asks for. Loading
 * and reloading are in script_load.c. Functions named on_… and run_… run on the worker thread, the
 * ones of script.h on the host thread. */
#include "script/script.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "script/calls.h"
#include "script/handler_run.h"
#include "script/locks.h"
#include "script/outcome.h"
#include "script/script_private.h"
#include "script/vm_memory.h"
#include "script/vm_limits.h"
#include "script/vm_open.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

void script_post(struct thread *thread, struct script_task *task, void (*run)(struct task *task))
{
    task->task.run = run;
    thread_post(thread, &task->task);
}

struct script_task *script_task(struct script *script)
{
    struct script_task *task = memory_allocate(sizeof *task);
    task->script = script;
    return task;
}

struct handler *script_handler(struct script *script, void (*finished)(struct handler *handler))
{
    struct handler *handler = memory_allocate(sizeof *handler);
    handler->outcome.retry_after_ms = -1;
    handler->finished = finished;
    handler->context = script;
    return handler;
}

/* --- deadlines --- */

static void on_deadline(uv_timer_t *timer);

static void earliest_of(const struct vm *vm, int64_t *earliest)
{
    for (const struct handler *handler = vm ? vm->handlers : NULL; handler; handler = handler->next)
        if (handler->deadline_ms && (!*earliest || handler->deadline_ms < *earliest))
            *earliest = handler->deadline_ms;
}

static void arm_deadline(struct script *script)
{
    int64_t earliest = 0;
    earliest_of(script->vm, &earliest);
    earliest_of(script->candidate, &earliest);
    earliest_of(script->old, &earliest);
    if (!earliest) {
        uv_timer_stop(script->deadline);
        return;
    }
    int64_t left = earliest - clock_monotonic_ms();
    uv_update_time(script->deadline->loop);
    uv_timer_start(script->deadline, on_deadline, left > 0 ? (uint64_t)left + 1 : 1, 0);
}

/* One at a time: what a handler's end sets off may end others. */
static bool abandon_canceled(struct vm *vm)
{
    for (struct handler *handler = vm ? vm->handlers : NULL; handler; handler = handler->next)
        if (handler->canceled && *handler->canceled) {
            handler_abandon(handler, SCRIPT_LIMIT_CANCEL, NULL);
            return true;
        }
    return false;
}

static bool abandon_overdue(struct vm *vm, int64_t now)
{
    for (struct handler *handler = vm ? vm->handlers : NULL; handler; handler = handler->next)
        if (handler->deadline_ms && handler->deadline_ms <= now) {
            handler_abandon(handler, SCRIPT_LIMIT_WALL, NULL);
            return true;
        }
    return false;
}

static void on_deadline(uv_timer_t *timer)
{
    struct script *script = timer->data;
    int64_t now = clock_monotonic_ms();
    while (abandon_overdue(script->vm, now) || abandon_overdue(script->candidate, now) ||
           abandon_overdue(script->old, now)) {}
    arm_deadline(script);
}

void script_start(struct script *script, struct vm *vm, struct handler *handler, lua_CFunction body,
                  int64_t cpu_ms, int64_t wall_ms)
{
    handler_start(vm, handler, body, cpu_ms, wall_ms);
    arm_deadline(script);
}

void script_start_now(struct script *script, struct vm *vm, struct handler *handler,
                      lua_CFunction body)
{
    handler_start_now(vm, handler, body, script->settings.options->cpu_limit_ms,
                      script->settings.options->timeout_ms);
    arm_deadline(script);
}

/* --- messages --- */

static void run_done(struct task *task)
{
    struct script_job *job = (struct script_job *)task;
    job->done(job);
}

static void give_back(struct script *script, struct script_job *job)
{
    job->task.run = run_done;
    thread_post(script->host, &job->task);
}

static void fail_for_memory(struct handler *handler)
{
    handler->limit = SCRIPT_LIMIT_MEMORY;
    outcome_fail(&handler->outcome, handler->limit, vm_limit_text(handler), NULL);
}

static void on_handled(struct handler *handler)
{
    struct script *script = handler->context;
    struct script_job *job = handler->job;
    struct vm *vm = handler->vm;
    bool let_go = script->closing || vm->memory_hit || (script->replacing && vm == script->vm);
    if (handler->outcome.kind == SCRIPT_FAILED && handler->outcome.limit == SCRIPT_LIMIT_CANCEL)
        handler->outcome.kind = SCRIPT_CANCELED;
    if (let_go && handler->outcome.kind == SCRIPT_FAILED &&
        handler->outcome.limit == SCRIPT_LIMIT_NONE) {
        if (handler->over_memory && !script->closing)
            fail_for_memory(handler);
        else
            handler->outcome.kind = SCRIPT_AGAIN;
    }
    struct changes *changes = script_take_changes(script, handler);
    job->outcome = handler->outcome;
    job->outcome.changes = changes;
    handler_give_reply_to(handler, &job->outcome);
    job->outcome.calls = calls_take(handler->calls);
    job->outcome.cpu_ms = handler->cpu_used_ms;
    job->outcome.memory_bytes = vm_memory(vm);
    job->outcome.hopeless |= handler->taking && job->outcome.limit == SCRIPT_LIMIT_MEMORY;
    handler->outcome = (struct script_outcome){0};
    handler_free(handler);
    give_back(script, job);
    script_replace_soon(script); /* not here: the state is still on the C stack */
    script_handler_ended(script, vm);
}

static struct script_job *job_of(struct turn *turn)
{
    return (struct script_job *)((char *)turn - offsetof(struct script_job, turn));
}

static void keep_waiting(struct script *script, struct script_job *job)
{
    job->task.item.next = NULL;
    *script->waiting_end = &job->task.item;
    script->waiting_end = &job->task.item.next;
}

static void run_job(struct turn *turn)
{
    struct script_job *job = job_of(turn);
    struct script *script = job->script;
    if (script->state == SCRIPT_LOADING || script->replacing) { /* since it was queued */
        keep_waiting(script, job);
        return;
    }
    if (script->state == SCRIPT_BROKEN) { /* no message's fault */
        int64_t left = script->load_again_ms - clock_monotonic_ms();
        outcome_fail(&job->outcome, SCRIPT_LIMIT_NONE,
                     memory_format("the script does not load: %s", script->problem), NULL);
        job->outcome.kind = SCRIPT_AGAIN;
        job->outcome.retry_after_ms = left > 1 ? left : 1;
        give_back(script, job);
        return;
    }
    if (job->canceled) {
        job->outcome.kind = SCRIPT_CANCELED;
        give_back(script, job);
        return;
    }
    if (job->starting && !job->starting(job)) {
        job->outcome.kind = SCRIPT_AGAIN;
        give_back(script, job);
        return;
    }
    struct handler *handler = script_handler(script, on_handled);
    handler->job = job;
    handler->calls = calls_open(script->settings.options->record_file, script->events.said);
    handler->canceled = &job->canceled;
    script_start_now(script, script->vm, handler, script_body(job));
}

void script_queue_job(struct script *script, struct script_job *job)
{
    turn_take(&script->lane, &job->turn, run_job);
}

static void run_submit(struct task *task)
{
    struct script_job *job = (struct script_job *)task;
    struct script *script = job->script;
    bool waits = script->state == SCRIPT_BROKEN && clock_monotonic_ms() < script->load_again_ms;
    if (waits || (script->state == SCRIPT_READY && !script->replacing)) {
        script_queue_job(script, job);
        return;
    }
    keep_waiting(script, job);
    if (script->state == SCRIPT_BROKEN)
        script_load(script);
}

/* --- opening and closing --- */

static void run_open(struct task *task)
{
    struct script_task *open = (struct script_task *)task;
    struct script *script = open->script;
    free(open);
    script->lane.turns = &script->worker->turns;
    script->deadline = memory_allocate(sizeof *script->deadline);
    uv_timer_init(&script->worker->loop, script->deadline);
    script->deadline->data = script;
    script->locks = locks_open(&script->worker->loop);
    if (script->settings.options->watch)
        script->watch = watch_open(script);
    script_load(script);
}

static void free_timer(uv_handle_t *timer)
{
    free(timer);
}

static void run_closed(struct task *task)
{
    struct script_task *closed = (struct script_task *)task;
    if (closed->callback)
        closed->callback(closed->context);
    free(closed->script->problem);
    free(closed->script->reload_reason);
    free(closed->script->reload_again);
    free(closed->script);
    free(closed);
}

/* When every question is answered. */
void script_finish_close(struct script *script, struct script_task *close)
{
    if (script->asked > 0) {
        script->ending = close;
        return;
    }
    if (script->vm)
        vm_close(script->vm);
    locks_close(script->locks);
    uv_close((uv_handle_t *)script->deadline, free_timer);
    script_post(script->host, close, run_closed);
}

static void run_finish_close(struct task *task)
{
    struct script_task *close = (struct script_task *)task;
    script_finish_close(close->script, close);
}

static void on_stopped(struct handler *handler)
{
    struct script *script = handler->context;
    if (handler->outcome.kind == SCRIPT_FAILED) {
        char *text = outcome_describe(&handler->outcome);
        log_warn(LOG_SCRIPT_STOP_FAILED, script->settings.options->id,
                 "the script's stop failed: %s", text);
        free(text);
    }
    script_commit_changes(script, handler);
    struct script_task *close = script->closing_task;
    handler_free(handler);
    /* not from inside the state that is to be closed */
    script_post(script->worker, close, run_finish_close);
}

static void return_job(struct script *script, struct script_job *job)
{
    outcome_fail(&job->outcome, SCRIPT_LIMIT_NONE, memory_copy_text("the host is stopping"), NULL);
    job->outcome.kind = SCRIPT_AGAIN;
    give_back(script, job);
}

static void return_waiting(struct script *script)
{
    for (struct queue_item *item = script->waiting; item;) {
        struct script_job *job = (struct script_job *)item;
        item = item->next;
        return_job(script, job);
    }
    script->waiting = NULL;
    script->waiting_end = &script->waiting;
    for (struct turn *turn; (turn = lane_withdraw(&script->lane, run_job));)
        return_job(script, job_of(turn));
}

static void run_close(struct task *task)
{
    struct script_task *close = (struct script_task *)task;
    struct script *script = close->script;
    script->closing = true;
    watch_close(script->watch);
    script->watch = NULL;
    return_waiting(script);
    script_name_on(script);
    script_evaluate_on(script);
    script_end_states(script);
    if (script->vm)
        script_stop_clocks(script->vm);
    while (script->vm && script->vm->handlers)
        handler_abandon(script->vm->handlers, SCRIPT_LIMIT_NONE, "the host is stopping");
    /* what is still to be recorded comes before anything that `stop` reads or stores */
    locks_release_all(script->locks);
    if (!close->graceful || script->state != SCRIPT_READY) {
        script_finish_close(script, close);
        return;
    }
    script->closing_task = close;
    script_start_stop(script, script->vm, on_stopped);
}

/* --- the host's side --- */

static void run_alive(struct task *task)
{
    struct script_task *alive = (struct script_task *)task;
    alive->callback(alive->context);
    free(alive);
}

static void run_ping(struct task *task)
{
    struct script_task *ping = (struct script_task *)task;
    script_post(ping->script->host, ping, run_alive);
}

static void run_cancel(struct task *task)
{
    struct script_task *cancel = (struct script_task *)task;
    struct script *script = cancel->script;
    free(cancel);
    while (abandon_canceled(script->vm) || abandon_canceled(script->old))
        ;
    arm_deadline(script);
}

static void run_reload(struct task *task)
{
    struct script_task *reload = (struct script_task *)task;
    script_reload_now(reload->script, "on request");
    free(reload);
}

struct script *script_open(struct thread *worker, struct thread *host,
                           const struct script_settings *settings,
                           const struct script_events *events)
{
    struct script *script = memory_allocate(sizeof *script);
    script->worker = worker;
    script->host = host;
    script->settings = *settings;
    script->events = *events;
    script->waiting_end = &script->waiting;
    script_post(worker, script_task(script), run_open);
    return script;
}

void script_submit(struct script *script, struct script_job *job)
{
    job->script = script;
    job->outcome = (struct script_outcome){.retry_after_ms = -1};
    job->task.run = run_submit;
    thread_post(script->worker, &job->task);
}

void script_end_canceled(struct script *script)
{
    script_post(script->worker, script_task(script), run_cancel);
}

void script_cancel(struct script *script, struct script_job *job)
{
    job->canceled = true;
    script_end_canceled(script);
}

void script_close(struct script *script, bool graceful, void (*closed)(void *context),
                  void *context)
{
    struct script_task *close = script_task(script);
    close->graceful = graceful;
    close->callback = closed;
    close->context = context;
    script_post(script->worker, close, run_close);
}

void script_ping(struct script *script, void (*alive)(void *context), void *context)
{
    struct script_task *ping = script_task(script);
    ping->callback = alive;
    ping->context = context;
    script_post(script->worker, ping, run_ping);
}

void script_reload(struct script *script)
{
    script_post(script->worker, script_task(script), run_reload);
}

const struct script_job *script_current(const struct script *script)
{
    return script->activity.job;
}

/* Lua code is seen a thousand times as often, on a machine that is not overloaded */
#define C_CODE_MS 1000

struct script_call script_call(const struct script *script)
{
    if (!script->activity.job)
        return (struct script_call){0};
    int64_t now = clock_monotonic_ms(), lasted = now - script->activity.began_ms;
    bool in_lua = now - script->activity.lua_ms < C_CODE_MS;
    return (struct script_call){.ms = lasted > 0 ? lasted : 0,
                                .in_lua = in_lua,
                                .will_end = in_lua && script->activity.limited};
}
