/* The worker's side of an agent: loading it, running its handlers, replacing a state that ran into its memory limit.
 * Functions named on_… and run_… here run on the worker thread, the ones of script.h on the host thread. */
#include "script/script.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "script/agent.h"
#include "script/vm.h"

#include <stdlib.h>
#include <string.h>

#define LOAD_CPU_MS 10000  /* the script's top level, and its `start` */
#define LOAD_WALL_MS 60000
#define STOP_CPU_MS 2000
#define STOP_WALL_MS 5000

enum script_state {
    SCRIPT_LOADING,
    SCRIPT_READY,
    SCRIPT_BROKEN /* a fresh state did not load; the next message tries again */
};

struct script {
    struct thread *worker, *host;
    struct script_settings settings;
    struct script_events events;
    enum script_state state;
    bool announced;              /* events.loaded was sent */
    bool replacing, closing;
    struct script_task *closing_task;
    struct vm *vm;
    uv_timer_t *deadline;        /* the earliest of the handlers that wait */
    struct queue_item *waiting, **waiting_end; /* jobs that came while loading */
    char *problem;               /* why it is broken */
    _Atomic(const struct script_job *) executing; /* the one value that threads share, so that the watchdog can name a culprit */
};

struct script_task {
    struct task task;
    struct script *script;
    bool graceful;
    void (*callback)(void *context);
    void *context;
};

struct loaded_task {
    struct task task;
    struct script_events events;
    struct agent_info info;
    char *problem;
};

static void run_job(struct script *script, struct script_job *job);

static void post(struct thread *thread, struct script_task *task, void (*run)(struct task *task))
{
    task->task.run = run;
    thread_post(thread, &task->task);
}

static struct script_task *make_task(struct script *script)
{
    struct script_task *task = memory_allocate(sizeof *task);
    task->script = script;
    return task;
}

static void run_loaded(struct task *task)
{
    struct loaded_task *loaded = (struct loaded_task *)task;
    struct script_agent agent = {
        .problem = loaded->problem,
        .name = loaded->info.name,
        .description = loaded->info.description,
        .skills = loaded->info.skills,
        .concurrency = loaded->info.concurrency,
        .answers_replies = loaded->info.answers_replies,
    };
    loaded->events.loaded(loaded->events.context, &agent);
    agent_info_free(&loaded->info);
    free(loaded->problem);
    free(loaded);
}

static void announce(struct script *script, struct agent_info *info)
{
    if (script->announced) {
        agent_info_free(info);
        return;
    }
    script->announced = true;
    struct loaded_task *loaded = memory_allocate(sizeof *loaded);
    loaded->task.run = run_loaded;
    loaded->events = script->events;
    loaded->info = *info;
    loaded->problem = memory_copy_text(script->problem);
    thread_post(script->host, &loaded->task);
}

/* One line and, behind it, the traceback. */
static char *describe(const struct script_outcome *outcome)
{
    return memory_format("%s%s%s", outcome->reason ? outcome->reason : "it failed", outcome->traceback ? "\n" : "",
                         outcome->traceback ? outcome->traceback : "");
}

static void become_ready(struct script *script, enum script_state state)
{
    script->state = state;
    struct queue_item *item = script->waiting;
    script->waiting = NULL;
    script->waiting_end = &script->waiting;
    while (item) {
        struct script_job *job = (struct script_job *)item;
        item = item->next;
        run_job(script, job);
    }
}

static void on_started(struct handler *handler)
{
    struct script *script = handler->context;
    struct agent_info info = {0};
    free(script->problem);
    script->problem = handler->outcome.kind == SCRIPT_FAILED ? describe(&handler->outcome) : NULL;
    if (!script->problem)
        agent_read_info(script->vm, &info);
    if (script->problem && script->announced)
        log_error(script->settings.workspace_id, "the script does not load any more: %s", script->problem);
    handler_free(handler);
    announce(script, &info);
    become_ready(script, script->problem ? SCRIPT_BROKEN : SCRIPT_READY);
}

static struct handler *make_handler(struct script *script, void (*finished)(struct handler *handler))
{
    struct handler *handler = memory_allocate(sizeof *handler);
    handler->outcome.retry_after_ms = -1;
    handler->finished = finished;
    handler->context = script;
    return handler;
}

static void on_deadline(uv_timer_t *timer);

static void arm_deadline(struct script *script)
{
    int64_t earliest = 0;
    for (struct handler *handler = script->vm ? script->vm->handlers : NULL; handler; handler = handler->next)
        if (handler->deadline_ms && (!earliest || handler->deadline_ms < earliest))
            earliest = handler->deadline_ms;
    if (!earliest) {
        uv_timer_stop(script->deadline);
        return;
    }
    int64_t left = earliest - clock_monotonic_ms();
    uv_update_time(script->deadline->loop);
    uv_timer_start(script->deadline, on_deadline, left > 0 ? (uint64_t)left + 1 : 1, 0);
}

static void on_deadline(uv_timer_t *timer)
{
    struct script *script = timer->data;
    int64_t now = clock_monotonic_ms();
    struct handler *next;
    for (struct handler *handler = script->vm ? script->vm->handlers : NULL; handler; handler = next) {
        next = handler->next;
        if (handler->deadline_ms && handler->deadline_ms <= now)
            handler_abandon(handler, SCRIPT_LIMIT_WALL, NULL);
    }
    arm_deadline(script);
}

static void start(struct script *script, struct handler *handler, lua_CFunction body, int64_t cpu_ms, int64_t wall_ms)
{
    handler_start(script->vm, handler, body, cpu_ms, wall_ms);
    if (script->vm && script->vm->handlers)
        arm_deadline(script);
}

static void on_loaded(struct handler *handler)
{
    struct script *script = handler->context;
    if (handler->outcome.kind == SCRIPT_FAILED) {
        on_started(handler);
        return;
    }
    if (script->settings.load_only) {
        on_started(handler);
        return;
    }
    handler_free(handler);
    start(script, make_handler(script, on_started), agent_start_body, LOAD_CPU_MS, LOAD_WALL_MS);
}

static void start_load(struct script *script)
{
    script->state = SCRIPT_LOADING;
    script->vm = vm_open(&script->worker->loop, script->settings.workspace_id, script->settings.memory_limit);
    struct handler *handler = make_handler(script, on_loaded);
    if (!script->vm) {
        outcome_fail(&handler->outcome, SCRIPT_LIMIT_MEMORY, memory_copy_text("no memory for a Lua state"), NULL);
        on_started(handler);
        return;
    }
    script->vm->settings = &script->settings;
    script->vm->executing = &script->executing;
    start(script, handler, agent_load_body, LOAD_CPU_MS, LOAD_WALL_MS);
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
    log_warn(script->settings.workspace_id, "the script's Lua state ran into --memory-limit and is replaced by a fresh "
                                            "one; what it kept in variables is gone");
    while (script->vm->handlers)
        handler_abandon(script->vm->handlers, SCRIPT_LIMIT_NONE, "the Lua state was replaced");
    vm_close(script->vm);
    script->vm = NULL;
    script->replacing = false;
    start_load(script);
}

static void run_done(struct task *task)
{
    struct script_job *job = (struct script_job *)task;
    job->done(job);
}

static void on_handled(struct handler *handler)
{
    struct script *script = handler->context;
    struct script_job *job = handler->job;
    job->outcome = handler->outcome;
    handler->outcome = (struct script_outcome){0};
    if ((script->replacing || script->closing) && job->outcome.kind == SCRIPT_FAILED &&
        job->outcome.limit == SCRIPT_LIMIT_NONE)
        job->outcome.kind = SCRIPT_AGAIN;
    if (script->vm->memory_hit && !script->replacing && !script->closing) {
        script->replacing = true; /* not here: the state is still on the C stack */
        post(script->worker, make_task(script), run_replace);
    }
    handler_free(handler);
    job->task.run = run_done;
    thread_post(script->host, &job->task);
}

static void run_job(struct script *script, struct script_job *job)
{
    if (script->state == SCRIPT_BROKEN) {
        outcome_fail(&job->outcome, SCRIPT_LIMIT_NONE,
                     memory_format("the script does not load: %s", script->problem), NULL);
        job->task.run = run_done;
        thread_post(script->host, &job->task);
        return;
    }
    struct handler *handler = make_handler(script, on_handled);
    handler->job = job;
    start(script, handler, agent_handle_body, script->settings.cpu_limit_ms, script->settings.timeout_ms);
}

static void run_submit(struct task *task)
{
    struct script_job *job = (struct script_job *)task;
    struct script *script = job->script;
    if (script->state == SCRIPT_BROKEN && script->vm) {
        vm_close(script->vm);
        script->vm = NULL;
    }
    if (script->state == SCRIPT_READY && !script->replacing) {
        run_job(script, job);
        return;
    }
    task->item.next = NULL;
    *script->waiting_end = &task->item;
    script->waiting_end = &task->item.next;
    if (script->state == SCRIPT_BROKEN)
        start_load(script);
}

static void run_open(struct task *task)
{
    struct script_task *open = (struct script_task *)task;
    struct script *script = open->script;
    free(open);
    script->deadline = memory_allocate(sizeof *script->deadline);
    uv_timer_init(&script->worker->loop, script->deadline);
    script->deadline->data = script;
    start_load(script);
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
    free(closed->script);
    free(closed);
}

static void finish_close(struct script *script, struct script_task *close)
{
    if (script->vm)
        vm_close(script->vm);
    uv_close((uv_handle_t *)script->deadline, free_timer);
    post(script->host, close, run_closed);
}

static void run_finish_close(struct task *task)
{
    struct script_task *close = (struct script_task *)task;
    finish_close(close->script, close);
}

static void on_stopped(struct handler *handler)
{
    struct script *script = handler->context;
    if (handler->outcome.kind == SCRIPT_FAILED) {
        char *text = describe(&handler->outcome);
        log_warn(script->settings.workspace_id, "the script's stop failed: %s", text);
        free(text);
    }
    struct script_task *close = script->closing_task;
    handler_free(handler);
    /* not from inside the state that is to be closed */
    post(script->worker, close, run_finish_close);
}

static void run_close(struct task *task)
{
    struct script_task *close = (struct script_task *)task;
    struct script *script = close->script;
    script->closing = true;
    for (struct queue_item *item = script->waiting; item;) {
        struct script_job *job = (struct script_job *)item;
        item = item->next;
        outcome_fail(&job->outcome, SCRIPT_LIMIT_NONE, memory_copy_text("the host stops"), NULL);
        job->outcome.kind = SCRIPT_AGAIN;
        job->task.run = run_done;
        thread_post(script->host, &job->task);
    }
    script->waiting = NULL;
    while (script->vm && script->vm->handlers)
        handler_abandon(script->vm->handlers, SCRIPT_LIMIT_NONE, "the host stops");
    if (!close->graceful || script->state != SCRIPT_READY) {
        finish_close(script, close);
        return;
    }
    struct handler *handler = make_handler(script, on_stopped);
    script->closing_task = close;
    start(script, handler, agent_stop_body, STOP_CPU_MS, STOP_WALL_MS);
}

static void run_alive(struct task *task)
{
    struct script_task *alive = (struct script_task *)task;
    alive->callback(alive->context);
    free(alive);
}

static void run_ping(struct task *task)
{
    struct script_task *ping = (struct script_task *)task;
    post(ping->script->host, ping, run_alive);
}

struct script *script_open(struct thread *worker, struct thread *host, const struct script_settings *settings,
                           const struct script_events *events)
{
    struct script *script = memory_allocate(sizeof *script);
    script->worker = worker;
    script->host = host;
    script->settings = *settings;
    script->events = *events;
    script->waiting_end = &script->waiting;
    post(worker, make_task(script), run_open);
    return script;
}

void script_submit(struct script *script, struct script_job *job)
{
    job->script = script;
    job->outcome = (struct script_outcome){.retry_after_ms = -1};
    job->task.run = run_submit;
    thread_post(script->worker, &job->task);
}

void script_close(struct script *script, bool graceful, void (*closed)(void *context), void *context)
{
    struct script_task *close = make_task(script);
    close->graceful = graceful;
    close->callback = closed;
    close->context = context;
    post(script->worker, close, run_close);
}

void script_ping(struct script *script, void (*alive)(void *context), void *context)
{
    struct script_task *ping = make_task(script);
    ping->callback = alive;
    ping->context = context;
    post(script->worker, ping, run_ping);
}

const struct script_job *script_current(const struct script *script)
{
    return script->executing;
}
