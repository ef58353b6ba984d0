/* What molecule.every and molecule.after have planned, for whoever looks at a live host. */
#include "base/memory.h"
#include "script/api_timer.h"
#include "script/script.h"
#include "script/script_private.h"

#include <stdlib.h>

bool script_has_timers(const struct script *script)
{
    return script->timers > 0;
}

struct timers_task {
    struct task task;
    struct script *script;
    int64_t id;   /* to run; 0: list them */
    json_t *list; /* or NULL */
    bool found;
    script_timers_callback *then;
    void *context;
};

static void run_answer(struct task *task)
{
    struct timers_task *asked = (struct timers_task *)task;
    asked->then(asked->context, asked->list, asked->found);
    free(asked);
}

static void add(const struct timer_view *timer, void *context)
{
    json_array_append_new(
        context, json_pack("{s:I, s:I, s:I, s:b, s:s}", "id", (json_int_t)timer->id, "every_ms",
                           (json_int_t)timer->every_ms, "due_ms", (json_int_t)timer->due_ms,
                           "running", timer->running, "place", timer->place));
}

static void run_there(struct task *task)
{
    struct timers_task *asked = (struct timers_task *)task;
    struct script *script = asked->script;
    struct vm *vm = script->closing ? NULL : script->vm;
    if (asked->id)
        asked->found = vm && timers_run(vm, asked->id);
    else
        asked->list = json_array();
    if (vm && asked->list)
        timers_each(vm, add, asked->list);
    asked->task.run = run_answer;
    thread_post(script->host, &asked->task);
}

static void ask(struct script *script, int64_t id, script_timers_callback *then, void *context)
{
    struct timers_task *asked = memory_allocate(sizeof *asked);
    asked->task.run = run_there;
    asked->script = script;
    asked->id = id;
    asked->then = then;
    asked->context = context;
    thread_post(script->worker, &asked->task);
}

void script_list_timers(struct script *script, script_timers_callback *then, void *context)
{
    ask(script, 0, then, context);
}

void script_run_timer(struct script *script, int64_t id, script_timers_callback *then,
                      void *context)
{
    ask(script, id, then, context);
}
