#include "script/child.h"

#include "base/log.h"
#include "base/memory.h"
#include "script/child_output.h"
#include "script/child_private.h"
#include "script/handler_run.h"
#include "script/subprocess.h"
#include "script/vm_memory.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct piece {
    uv_write_t write; /* first */
    struct child *child;
    size_t length;
    char bytes[];
};

void child_settle(struct child *child)
{
    if (child->vm)
        vm_recharge(child->vm, &child->charged,
                    sizeof *child + child->queued + child->line.capacity +
                        child->complaint.capacity);
}

/* --- handles --- */

static void free_when_done(void *owner)
{
    struct child *child = owner;
    if (!child->freed || child->subprocess.open_handles > 0)
        return;
    buffer_free(&child->line);
    buffer_free(&child->complaint);
    free(child->workspace_id);
    free(child->name);
    free(child);
}

void child_kill(const struct child *child)
{
    subprocess_kill(&child->subprocess, SIGKILL);
}

/* --- who waits --- */

static void free_waiter(uv_handle_t *timer)
{
    free(timer);
}

static void release(struct operation *operation)
{
    struct child_waiter *waiter = (struct child_waiter *)operation;
    uv_close((uv_handle_t *)waiter->timer, free_waiter);
    json_decref(waiter->answer);
    vm_uncharge(waiter->operation.branch->handler->vm, waiter->charged);
    free(waiter);
}

static void leave(struct child_waiter *waiter)
{
    struct child_waiter **link = &waiter->child->waiters;
    while (*link && *link != waiter)
        link = &(*link)->next;
    if (*link)
        *link = waiter->next;
    uv_timer_stop(waiter->timer);
}

static void cancel(struct operation *operation)
{
    leave((struct child_waiter *)operation);
}

void child_wake(struct child_waiter *waiter, enum child_wait state)
{
    leave(waiter);
    waiter->state = state;
    operation_wake(&waiter->operation);
}

static void on_timeout(uv_timer_t *timer)
{
    child_wake(timer->data, CHILD_TIMED_OUT);
}

static struct child_waiter *add_waiter(struct child *child, int64_t timeout_ms)
{
    struct child_waiter *waiter = memory_allocate(sizeof *waiter);
    waiter->operation = (struct operation){.cancel = cancel, .release = release};
    waiter->child = child;
    waiter->next = child->waiters;
    child->waiters = waiter;
    waiter->timer = memory_allocate(sizeof *waiter->timer);
    waiter->timer->data = waiter;
    uv_update_time(child->input.loop);
    uv_timer_init(child->input.loop, waiter->timer);
    if (timeout_ms > 0)
        uv_timer_start(waiter->timer, on_timeout, (uint64_t)timeout_ms, 0);
    return waiter;
}

struct child_waiter *child_wait_for(struct child *child, lua_Integer id, int64_t timeout_ms)
{
    struct child_waiter *waiter = add_waiter(child, timeout_ms);
    waiter->id = id;
    return waiter;
}

/* --- its end --- */

void child_finish(struct child *child)
{
    if (child->over)
        return;
    child->over = true;
    subprocess_close(&child->subprocess.process);
    subprocess_close(&child->input);
    subprocess_close(&child->output);
    subprocess_close(&child->errors);
    subprocess_close(&child->timer);
    if (child->freed)
        return;
    if (child->complaint.length > 0)
        log_info(LOG_PROGRAM_SAID, child->workspace_id, "%s: %s", child->name,
                 child->complaint.data);
    if (child->stopping)
        log_debug(LOG_PROGRAM_EXITED, child->workspace_id, "%s exited: %s", child->name,
                  child->end);
    else
        log_warn(LOG_PROGRAM_EXITED, child->workspace_id, "%s exited unexpectedly: %s", child->name,
                 child->end);
    while (!child->freed && child->waiters)
        child_wake(child->waiters, CHILD_ENDED);
}

static void on_linger_end(uv_timer_t *timer)
{
    child_finish(subprocess_owner(timer));
}

static void on_exit_status(void *owner)
{
    struct child *child = owner;
    int code = child->subprocess.code, signal = child->subprocess.signal;
    snprintf(child->end, sizeof child->end, signal ? "signal %d" : "exit code %d",
             signal ? signal : code);
    child_kill(child); /* what it started goes with it, and our pipes come to their end */
    if (child->open_pipes == 0 || child->freed)
        child_finish(child);
    else
        uv_timer_start(&child->timer, on_linger_end, SUBPROCESS_LINGER_MS, 0);
}

bool child_is_running(const struct child *child)
{
    return child->subprocess.running && child->answers && !child->stopping;
}

bool child_is_over(const struct child *child)
{
    return child->over;
}

const char *child_describe(const struct child *child)
{
    return !child->subprocess.running ? child->end
           : child->stopping          ? "it is being stopped"
                                      : "it closed its standard output";
}

/* --- what it is told --- */

static void on_written(uv_write_t *write, int status)
{
    (void)status; /* a program that has stopped reading is about to exit */
    struct piece *piece = (struct piece *)write;
    piece->child->queued -= piece->length;
    child_settle(piece->child);
    free(piece);
}

bool child_write(struct child *child, const char *bytes, size_t length)
{
    if (!child_is_running(child) || length > CHILD_QUEUE_MAXIMUM - child->queued ||
        !vm_make_room(child->vm, length))
        return false;
    struct piece *piece = memory_allocate(sizeof *piece + length);
    piece->child = child;
    piece->length = length;
    memcpy(piece->bytes, bytes, length);
    uv_buf_t buffer = uv_buf_init(piece->bytes, (unsigned)length);
    child->queued += length;
    child_settle(child);
    if (uv_write(&piece->write, (uv_stream_t *)&child->input, &buffer, 1, on_written) == 0)
        return true;
    child->queued -= length;
    child_settle(child);
    free(piece);
    return false;
}

static void on_grace_end(uv_timer_t *timer)
{
    child_kill(subprocess_owner(timer));
}

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
    struct child *child = shutdown->data;
    if (status != UV_ECANCELED)
        subprocess_close(&child->input);
}

struct child_waiter *child_stop(struct child *child, int64_t grace_ms)
{
    if (!child->stopping) {
        child->stopping = true;
        child->shutdown.data = child;
        if (uv_shutdown(&child->shutdown, (uv_stream_t *)&child->input, on_shutdown) < 0)
            subprocess_close(&child->input);
        uv_update_time(child->timer.loop);
        if (child->subprocess.running)
            uv_timer_start(&child->timer, on_grace_end, (uint64_t)grace_ms, 0);
    }
    struct child_waiter *waiter = add_waiter(child, 0);
    waiter->for_end = true;
    return waiter;
}

void child_free(struct child *child)
{
    child->freed = child->stopping = true;
    vm_uncharge(child->vm, child->charged);
    subprocess_uncount(&child->subprocess);
    child->vm = NULL;
    if (child->subprocess.running)
        child_kill(child); /* on_exit_status follows */
    else
        child_finish(child);
    free_when_done(child);
}

/* --- start --- */

static struct child *make(struct vm *vm, const char *name)
{
    struct child *child = memory_allocate(sizeof *child);
    child->vm = vm;
    child->workspace_id = memory_copy_text(vm->workspace_id);
    child->name = memory_copy_text(name);
    buffer_init(&child->line, CHILD_LINE_MAXIMUM);
    buffer_init(&child->complaint, CHILD_COMPLAINT_MAXIMUM);
    subprocess_init(&child->subprocess, child, on_exit_status, free_when_done);
    subprocess_add_pipe(&child->subprocess, vm->loop, &child->input);
    subprocess_add_pipe(&child->subprocess, vm->loop, &child->output);
    subprocess_add_pipe(&child->subprocess, vm->loop, &child->errors);
    subprocess_add_timer(&child->subprocess, vm->loop, &child->timer);
    return child;
}

struct child *child_start(struct vm *vm, const char *name, char *const *argv,
                          char *const *environment, const char *directory, int *error)
{
    struct child *child = make(vm, name);
    struct subprocess_command command = {.argv = argv,
                                         .environment = environment,
                                         .directory = directory,
                                         .input = &child->input,
                                         .output = &child->output,
                                         .errors = &child->errors};
    *error = subprocess_start(&child->subprocess, vm, &command);
    if (*error < 0) {
        child_free(child);
        return NULL;
    }
    child->answers = true;
    child->open_pipes = 2;
    child_read(child);
    return child;
}
