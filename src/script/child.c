#include "script/child.h"

#include "base/buffer.h"
#include "base/log.h"
#include "base/memory.h"
#include "script/child_line.h"
#include "script/handler_run.h"
#include "script/subprocess.h"
#include "script/vm_memory.h"
#include "wire/jsonmemory.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_MAXIMUM 200  /* bytes of a line that is no answer in the log */
#define VALUES_PER_BYTE 40 /* what "[]," takes as a value, at most, for each of its bytes */
/* bytes of a line of standard error; longer ones are cut into several */
#define COMPLAINT_MAXIMUM ((size_t)2000)

struct child {
    struct vm *vm; /* charged until it is freed; then NULL */
    size_t charged;
    char *workspace_id, *name;
    struct subprocess subprocess;
    uv_pipe_t input, output, errors;
    uv_timer_t timer; /* the grace of a stop; then the linger after the end */
    uv_shutdown_t shutdown;
    size_t queued; /* bytes not yet written */
    struct buffer line, complaint;
    bool skips; /* the rest of a line that is too long */
    struct child_waiter *waiters;
    int open_pipes; /* output and errors not yet at their end */
    bool answers;   /* its standard output is open */
    bool over;      /* reaped and read to the end */
    bool stopping;  /* its end is what we want */
    bool freed;
    char end[64];
    char chunk[65536];
};

struct piece {
    uv_write_t write; /* first */
    struct child *child;
    size_t length;
    char bytes[];
};

static void settle(struct child *child)
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

static void kill_all(const struct child *child)
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
    vm_uncharge(waiter->operation.handler->vm, waiter->charged);
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

static void wake(struct child_waiter *waiter, enum child_wait state)
{
    leave(waiter);
    waiter->state = state;
    handler_wake(waiter->operation.handler);
}

static void on_timeout(uv_timer_t *timer)
{
    wake(timer->data, CHILD_TIMED_OUT);
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

/* Reaped, and all it said was read, or is not waited for any longer. */
static void finish(struct child *child)
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
        log_info(child->workspace_id, "%s: %s", child->name, child->complaint.data);
    if (child->stopping)
        log_debug(child->workspace_id, "%s ended: %s", child->name, child->end);
    else
        log_warn(child->workspace_id, "%s ended by itself: %s", child->name, child->end);
    while (!child->freed && child->waiters)
        wake(child->waiters, CHILD_ENDED);
}

static void on_linger_end(uv_timer_t *timer)
{
    finish(subprocess_owner(timer));
}

static void on_exit_status(void *owner)
{
    struct child *child = owner;
    int code = child->subprocess.code, signal = child->subprocess.signal;
    snprintf(child->end, sizeof child->end, signal ? "signal %d" : "exit code %d",
             signal ? signal : code);
    kill_all(child); /* what it started goes with it, and our pipes come to their end */
    if (child->open_pipes == 0 || child->freed)
        finish(child);
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

/* --- what it says --- */

static void complain(struct child *child, const char *bytes, size_t length)
{
    while (length > 0 && !child->freed) {
        const char *end = memchr(bytes, '\n', length);
        size_t size = end ? (size_t)(end - bytes) : length,
               room = COMPLAINT_MAXIMUM - child->complaint.length;
        bool full = size >= room;
        if (full)
            size = room;
        buffer_append(&child->complaint, bytes, size);
        if ((end || full) && child->complaint.length > 0)
            log_info(child->workspace_id, "%s: %s", child->name, child->complaint.data);
        if (end || full)
            buffer_clear(&child->complaint);
        size_t taken = size + (end == bytes + size);
        bytes += taken;
        length -= taken;
    }
}

/* Shown in the log: the beginning of a line. */
struct shown {
    const char *bytes;
    int length;
    const char *more;
};

static struct child_waiter *find_waiter(struct child *child, const json_t *answer)
{
    struct child_waiter *only = NULL;
    int count = 0;
    for (struct child_waiter *waiter = child->waiters; waiter; waiter = waiter->next) {
        if (waiter->for_end)
            continue;
        if (child_line_answers(answer, waiter->id))
            return waiter;
        only = waiter;
        count++;
    }
    return count == 1 && child_line_is_nameless(answer) ? only : NULL;
}

static void take_answer(struct child *child, json_t *answer, size_t bytes,
                        const struct shown *shown)
{
    struct child_waiter *waiter = find_waiter(child, answer);
    if (!waiter) {
        log_info(child->workspace_id, "%s: ignoring an answer that nobody is waiting for: %.*s%s",
                 child->name, shown->length, shown->bytes, shown->more);
        return;
    }
    waiter->answer = json_incref(answer);
    vm_recharge(child->vm, &waiter->charged, bytes);
    wake(waiter, CHILD_ANSWERED);
}

/* Without an answer the program would wait for ever. */
static void refuse_request(struct child *child, const json_t *request, const struct shown *shown)
{
    char *refusal = child_line_refuse(request);
    log_info(child->workspace_id, "%s: refused a request from the program: %.*s%s", child->name,
             shown->length, shown->bytes, shown->more);
    if (refusal)
        child_write(child, refusal, strlen(refusal));
    free(refusal);
}

static void take_value(struct child *child, json_t *value, size_t bytes, const struct shown *shown)
{
    switch (child_line_kind(value)) {
    case CHILD_LINE_ANSWER: take_answer(child, value, bytes, shown); break;
    case CHILD_LINE_REQUEST: refuse_request(child, value, shown); break;
    case CHILD_LINE_NOTICE:
        log_info(child->workspace_id, "%s: notification from the program: %.*s%s", child->name,
                 shown->length, shown->bytes, shown->more);
        break;
    case CHILD_LINE_OTHER:
        log_warn(child->workspace_id, "%s: ignoring a line that is not a JSON object: %.*s%s",
                 child->name, shown->length, shown->bytes, shown->more);
        break;
    }
}

static void take_line(struct child *child, const char *bytes, size_t length)
{
    vm_make_room(child->vm, VALUES_PER_BYTE * length);
    if (child->freed) /* nobody refers to it any more, and the collector has found out */
        return;
    jsonmemory_begin(vm_room(child->vm));
    json_t *line = child_line_read(bytes, length);
    size_t taken = jsonmemory_end(NULL), index;
    struct shown shown = {bytes, length < SHOWN_MAXIMUM ? (int)length : SHOWN_MAXIMUM,
                          length > SHOWN_MAXIMUM ? "…" : ""};
    json_t *item;
    if (json_is_array(line) && json_array_size(line) > 0) {
        json_array_foreach (line, index, item)
            if (!child->freed)
                take_value(child, item, taken, &shown);
    } else if (line || strspn(bytes, " \t\r") < length) {
        take_value(child, line, taken, &shown);
    }
    json_decref(line);
}

static void too_long(struct child *child)
{
    log_warn(child->workspace_id, "%s: ignoring a line of more than %zu MiB", child->name,
             CHILD_LINE_MAXIMUM >> 20);
    buffer_clear(&child->line);
    child->skips = true;
}

static void take_output(struct child *child, const char *bytes, size_t length)
{
    while (length > 0 && !child->freed && !child->over) {
        const char *end = memchr(bytes, '\n', length);
        size_t size = end ? (size_t)(end - bytes) : length;
        if (!child->skips && !buffer_append(&child->line, bytes, size))
            too_long(child);
        if (!end)
            return;
        if (!child->skips && child->line.length > 0)
            take_line(child, child->line.data, child->line.length);
        buffer_clear(&child->line);
        child->skips = false;
        bytes += size + 1;
        length -= size + 1;
    }
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct child *child = subprocess_owner(handle);
    *buffer = uv_buf_init(child->chunk, sizeof child->chunk);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    struct child *child = subprocess_owner(stream);
    if (length > 0 && (uv_pipe_t *)stream == &child->output)
        take_output(child, buffer->base, (size_t)length);
    else if (length > 0)
        complain(child, buffer->base, (size_t)length);
    settle(child);
    if (length >= 0)
        return;
    uv_read_stop(stream);
    child->open_pipes--;
    if ((uv_pipe_t *)stream == &child->output) {
        take_output(child, "\n", 1); /* the last line may have no end */
        child->answers = false;
        if (child->subprocess.running)
            kill_all(child); /* it is of no use any more */
    }
    if (child->open_pipes == 0 && !child->subprocess.running)
        finish(child);
}

/* --- what it is told --- */

static void on_written(uv_write_t *write, int status)
{
    (void)status; /* a program that does not read any more is about to end */
    struct piece *piece = (struct piece *)write;
    piece->child->queued -= piece->length;
    settle(piece->child);
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
    settle(child);
    if (uv_write(&piece->write, (uv_stream_t *)&child->input, &buffer, 1, on_written) == 0)
        return true;
    child->queued -= length;
    settle(child);
    free(piece);
    return false;
}

static void on_grace_end(uv_timer_t *timer)
{
    kill_all(subprocess_owner(timer));
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
        kill_all(child); /* on_exit_status follows */
    else
        finish(child);
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
    buffer_init(&child->complaint, COMPLAINT_MAXIMUM);
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
    uv_read_start((uv_stream_t *)&child->output, on_allocate, on_read);
    uv_read_start((uv_stream_t *)&child->errors, on_allocate, on_read);
    return child;
}
