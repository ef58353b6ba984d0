/* SIGTERM to the whole group at the timeout, SIGKILL two seconds later. The child is reaped in
 * every case, also when the handler that waited for it is gone. */
#include "script/process.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "script/handler_run.h"
#include "script/subprocess.h"
#include "script/vm.h"
#include "script/vm_memory.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define KILL_AFTER_MS 2000 /* between SIGTERM and SIGKILL */
/* how long a child may stay after it has printed its last word */
#define LAST_WORD_MS 5000

struct process {
    struct operation operation; /* first */
    struct vm *vm;              /* charged until it is released */
    size_t charged, input_length;
    bool full; /* no memory is left for more of its output */
    struct subprocess subprocess;
    uv_pipe_t input, output, errors;
    uv_timer_t timer;
    uv_write_t write;
    char *input_bytes, *last_word;
    int64_t timeout_ms;
    int open_pipes; /* output and errors not yet at their end */
    bool completed, released, cancelled, has_said_all;
    struct buffer output_bytes, error_bytes;
    struct process_result result;
    process_results *results;
    void *context;
    char chunk[16384];
};

static void free_when_done(void *owner)
{
    struct process *process = owner;
    if (process->subprocess.open_handles > 0 || !process->released)
        return;
    buffer_free(&process->output_bytes);
    buffer_free(&process->error_bytes);
    free(process->input_bytes);
    free(process->last_word);
    free(process->context);
    free(process);
}

static void settle(struct process *process)
{
    vm_recharge(process->vm, &process->charged,
                sizeof *process + process->input_length + process->output_bytes.capacity +
                    process->error_bytes.capacity);
}

/* How many of `length` bytes may be kept: buffers double as they grow. */
static size_t room_for(struct process *process, const struct buffer *kept, size_t length)
{
    if (kept->length + length < kept->capacity)
        return length;
    process->full = process->full || !vm_make_room(process->vm, 2 * (kept->capacity + length));
    return process->full ? 0 : length;
}

/* The child has exited, and its output is complete or no longer waited for. */
static void complete(struct process *process)
{
    if (process->completed)
        return;
    process->completed = true;
    subprocess_close(&process->subprocess.process);
    subprocess_close(&process->timer);
    subprocess_close(&process->input);
    subprocess_close(&process->output);
    subprocess_close(&process->errors);
    if (!process->cancelled)
        operation_wake(&process->operation);
}

static void on_linger_end(uv_timer_t *timer)
{
    complete(subprocess_owner(timer));
}

static void on_kill(uv_timer_t *timer)
{
    struct process *process = subprocess_owner(timer);
    subprocess_kill(&process->subprocess, SIGKILL);
}

static void terminate(struct process *process)
{
    subprocess_kill(&process->subprocess, SIGTERM);
    uv_timer_start(&process->timer, on_kill, KILL_AFTER_MS, 0);
}

static void on_timeout(uv_timer_t *timer)
{
    struct process *process = subprocess_owner(timer);
    process->result.timed_out = true;
    terminate(process);
}

static void on_staying(uv_timer_t *timer)
{
    struct process *process = subprocess_owner(timer);
    process->result.stayed = true;
    terminate(process);
}

static void on_exit_status(void *owner)
{
    struct process *process = owner;
    process->result.code = process->subprocess.code;
    process->result.signal = process->subprocess.signal;
    bool ended = process->result.timed_out || process->result.stayed || process->cancelled;
    if (ended)
        subprocess_kill(&process->subprocess, SIGKILL); /* those that ignored SIGTERM */
    if (process->open_pipes == 0 || ended)
        complete(process);
    else
        uv_timer_start(&process->timer, on_linger_end, SUBPROCESS_LINGER_MS, 0);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct process *process = subprocess_owner(handle);
    *buffer = uv_buf_init(process->chunk, sizeof process->chunk);
}

static void keep_output(struct process *process, const char *bytes, size_t length)
{
    size_t room = process->output_bytes.maximum - process->output_bytes.length;
    size_t fits = room_for(process, &process->output_bytes, length);
    room = fits < room ? fits : room;
    process->result.output_cut = process->result.output_cut || length > room;
    buffer_append(&process->output_bytes, bytes, length < room ? length : room);
}

/* The last word may be in the output from `before` on: the child then gets some time to exit. */
static void look_for_last_word(struct process *process, size_t before)
{
    const struct buffer *kept = &process->output_bytes;
    if (!process->last_word || !process->subprocess.running || process->result.timed_out ||
        process->result.stayed || kept->length == 0)
        return;
    size_t length = strlen(process->last_word), from = before > length ? before - length : 0;
    if (process->has_said_all ||
        !memmem(kept->data + from, kept->length - from, process->last_word, length))
        return;
    process->has_said_all = true;
    bool limited = uv_is_active((uv_handle_t *)&process->timer);
    if (!limited || uv_timer_get_due_in(&process->timer) > LAST_WORD_MS)
        uv_timer_start(&process->timer, on_staying, LAST_WORD_MS, 0);
}

/* The end of what a program prints on standard error says the most. */
static void keep_errors(struct process *process, const char *bytes, size_t length)
{
    struct buffer *kept = &process->error_bytes;
    if (length > kept->maximum) {
        bytes += length - kept->maximum;
        length = kept->maximum;
    }
    if (room_for(process, kept, length) < length)
        return;
    if (length > kept->maximum - kept->length) {
        size_t excess = length - (kept->maximum - kept->length);
        buffer_consume(kept, excess > kept->length / 2 ? excess : kept->length / 2);
    }
    buffer_append(kept, bytes, length);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    struct process *process = subprocess_owner(stream);
    if (process->released)
        length = length > 0 ? 0 : length;
    size_t before = process->output_bytes.length;
    if (length > 0 && (uv_pipe_t *)stream == &process->output) {
        keep_output(process, buffer->base, (size_t)length);
        look_for_last_word(process, before);
    } else if (length > 0) {
        keep_errors(process, buffer->base, (size_t)length);
    }
    if (length > 0)
        settle(process);
    if (length >= 0)
        return;
    uv_read_stop(stream);
    if (--process->open_pipes == 0 && !process->subprocess.running)
        complete(process);
}

static void on_written(uv_write_t *write, int status)
{
    (void)status; /* a child need not read its input */
    struct process *process = write->data;
    subprocess_close(&process->input);
}

static int take_results(lua_State *L, struct operation *operation)
{
    struct process *process = (struct process *)operation;
    process->result.output = process->output_bytes.data ? process->output_bytes.data : "";
    process->result.output_length = process->output_bytes.length;
    process->result.errors = process->error_bytes.data ? process->error_bytes.data : "";
    process->result.errors_length = process->error_bytes.length;
    return process->results(L, &process->result, process->context);
}

static void cancel(struct operation *operation)
{
    struct process *process = (struct process *)operation;
    process->cancelled = true;
    if (process->subprocess.running)
        subprocess_kill(&process->subprocess, SIGKILL); /* on_exit_status follows */
    else
        complete(process);
}

static void release(struct operation *operation)
{
    struct process *process = (struct process *)operation;
    vm_uncharge(process->vm, process->charged);
    subprocess_uncount(&process->subprocess);
    process->vm = NULL;
    process->released = true;
    buffer_free(&process->output_bytes);
    buffer_free(&process->error_bytes);
    free_when_done(process);
}

static void start_streams(struct process *process, const struct process_request *request)
{
    if (request->input) {
        process->write.data = process;
        process->input_bytes = memory_copy(request->input, request->input_length);
        uv_buf_t bytes = uv_buf_init(process->input_bytes, (unsigned)request->input_length);
        if (uv_write(&process->write, (uv_stream_t *)&process->input, &bytes, 1, on_written) < 0)
            subprocess_close(&process->input);
    }
    if (!request->inherit) {
        process->open_pipes = 2;
        uv_read_start((uv_stream_t *)&process->output, on_allocate, on_read);
        uv_read_start((uv_stream_t *)&process->errors, on_allocate, on_read);
    }
    if (process->timeout_ms > 0)
        uv_timer_start(&process->timer, on_timeout, (uint64_t)process->timeout_ms, 0);
}

static struct process *make(struct vm *vm, const struct process_request *request)
{
    struct process *process = memory_allocate(sizeof *process);
    process->vm = vm;
    process->input_length = request->input_length;
    process->operation = (struct operation){
        .results = take_results, .cancel = cancel, .release = release};
    process->timeout_ms = request->timeout_ms;
    process->last_word = memory_copy_text(request->last_word);
    buffer_init(&process->output_bytes, request->output_maximum);
    buffer_init(&process->error_bytes, request->output_maximum);
    subprocess_init(&process->subprocess, process, on_exit_status, free_when_done);
    subprocess_add_pipe(&process->subprocess, vm->loop, &process->input);
    subprocess_add_pipe(&process->subprocess, vm->loop, &process->output);
    subprocess_add_pipe(&process->subprocess, vm->loop, &process->errors);
    uv_update_time(vm->loop); /* Lua code may have run for a while: the timeout counts from now */
    subprocess_add_timer(&process->subprocess, vm->loop, &process->timer);
    return process;
}

struct operation *process_start(struct vm *vm, const struct process_request *request,
                                process_results *results, void *context, int *error)
{
    struct process *process = make(vm, request);
    process->results = results;
    process->context = context;
    struct subprocess_command command = {
        .argv = request->argv,
        .environment = request->environment,
        .directory = request->directory,
        .input = request->input ? &process->input : NULL,
        .output = request->inherit ? NULL : &process->output,
        .errors = request->inherit ? NULL : &process->errors,
    };
    *error = subprocess_start(&process->subprocess, vm, &command);
    if (*error < 0) {
        process->cancelled = process->released = true;
        complete(process);
        return NULL;
    }
    settle(process);
    start_streams(process, request);
    return &process->operation;
}
