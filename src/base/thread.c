#include "base/thread.h"

#include "base/clock.h"
#include "base/memory.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

/* Deep enough for Lua's own limit of nested C calls (200) through pattern matching and the JSON
 * converters. */
#define STACK_SIZE (8u * 1024 * 1024)
#define REAP_MS 1000
#define REAP_STEP_MS 5
/* after a task that took longer, readers are woken at once: the next may take as long */
#define LONG_US 1000

static _Thread_local struct thread *running; /* this thread, while it is in its loop */

static void wake_readers(struct thread *thread)
{
    for (size_t i = 0; i < thread->to_wake_count; i++)
        queue_wake(thread->to_wake[i]);
    thread->to_wake_count = 0;
}

static void on_before_waiting(uv_prepare_t *prepare)
{
    wake_readers(prepare->data);
}

void thread_wake_readers(void)
{
    if (running && running->to_wake_count > 0 &&
        clock_monotonic_us() - running->began_us >= LONG_US)
        wake_readers(running);
}

void thread_run(struct thread *thread)
{
    running = thread;
    uv_run(&thread->loop, UV_RUN_DEFAULT);
    running = NULL;
    wake_readers(thread);
}

static void run_tasks(struct queue_item *first, void *context)
{
    struct thread *thread = context;
    thread->began_us = clock_monotonic_us();
    while (first) {
        struct task *task = (struct task *)first;
        first = first->next;
        task->run(task);
        thread_wake_readers();
        thread->began_us = clock_monotonic_us();
    }
    if (thread->after_batch)
        thread->after_batch(thread->context);
}

/* Before each piece of work: if the previous one took long, wakes the readers of what it posted. */
static void before_turn(void *context)
{
    struct thread *thread = context;
    thread_wake_readers();
    thread->began_us = clock_monotonic_us();
}

int thread_adopt(struct thread *thread, const char *name)
{
    *thread = (struct thread){.name = name};
    int result = uv_loop_init(&thread->loop);
    if (result < 0)
        return result;
    result = queue_open(&thread->tasks, &thread->loop, run_tasks, thread);
    if (result < 0) {
        uv_loop_close(&thread->loop);
        return result;
    }
    uv_prepare_init(&thread->loop, &thread->before_waiting);
    thread->before_waiting.data = thread;
    uv_prepare_start(&thread->before_waiting, on_before_waiting);
    uv_unref((uv_handle_t *)&thread->before_waiting);
    turns_open(&thread->turns, &thread->loop);
    thread->turns.before = before_turn;
    thread->turns.context = thread;
    return 0;
}

static void close_handle(uv_handle_t *handle, void *context)
{
    (void)context;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void count_program(uv_handle_t *handle, void *count)
{
    *(int *)count += handle->type == UV_PROCESS && !uv_is_closing(handle);
}

/* Programs that were killed a moment ago: what belongs to them is freed when they are reaped. */
static void reap(struct thread *thread)
{
    for (int waited_ms = 0; waited_ms < REAP_MS; waited_ms += REAP_STEP_MS) {
        int left = 0;
        uv_walk(&thread->loop, count_program, &left);
        if (left == 0)
            return;
        uv_sleep(REAP_STEP_MS);
        uv_run(&thread->loop, UV_RUN_NOWAIT);
    }
}

static void close_loop(struct thread *thread)
{
    reap(thread);
    uv_walk(&thread->loop, close_handle, NULL);
    uv_run(&thread->loop, UV_RUN_DEFAULT);
    uv_loop_close(&thread->loop);
}

static void thread_main(void *argument)
{
    struct thread *thread = argument;
    sigset_t all;
    sigfillset(&all); /* signals belong to the main thread's loop */
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pthread_setname_np(pthread_self(), thread->name);
    thread_run(thread);
    close_loop(thread);
}

int thread_start(struct thread *thread, const char *name, void (*after_batch)(void *context),
                 void *context)
{
    int result = thread_adopt(thread, name);
    if (result < 0)
        return result;
    thread->after_batch = after_batch;
    thread->context = context;
    uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE, .stack_size = STACK_SIZE};
    result = uv_thread_create_ex(&thread->id, &options, thread_main, thread);
    if (result < 0) {
        queue_close(&thread->tasks);
        close_loop(thread);
        queue_free(&thread->tasks);
        return result;
    }
    thread->started = true;
    return 0;
}

/* false: no room for another one. */
static bool wake_later(struct thread *thread, struct queue *reader)
{
    for (size_t i = 0; i < thread->to_wake_count; i++)
        if (thread->to_wake[i] == reader)
            return true;
    if (thread->to_wake_count == sizeof thread->to_wake / sizeof *thread->to_wake)
        return false;
    thread->to_wake[thread->to_wake_count++] = reader;
    return true;
}

bool thread_post(struct thread *thread, struct task *task)
{
    bool wake;
    if (!queue_push(&thread->tasks, &task->item, &wake))
        return false;
    if (!wake)
        return true;
    if (!running || !wake_later(running, &thread->tasks))
        queue_wake(&thread->tasks);
    return true;
}

void thread_look(struct thread *thread)
{
    queue_wake(&thread->tasks);
}

struct stop_task {
    struct task task;
    struct thread *thread;
};

static void run_stop(struct task *task)
{
    struct thread *thread = ((struct stop_task *)task)->thread;
    struct queue_item *left = queue_close(&thread->tasks);
    if (left)
        run_tasks(left, thread);
    free(task);
    uv_stop(&thread->loop);
}

void thread_close(struct thread *thread)
{
    if (thread->started) {
        struct stop_task *stop = memory_allocate(sizeof *stop);
        stop->task.run = run_stop;
        stop->thread = thread;
        thread_post(thread, &stop->task);
        uv_thread_join(&thread->id);
    } else {
        struct queue_item *left = queue_close(&thread->tasks);
        if (left)
            run_tasks(left, thread);
        close_loop(thread);
    }
    queue_free(&thread->tasks);
}
