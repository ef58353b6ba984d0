#include "script/pipe.h"

#include "base/memory.h"
#include "script/handler.h"
#include "script/handler_run.h"
#include "script/pipe_note.h"
#include "script/subprocess.h"
#include "script/vm.h"
#include "script/vm_await.h"
#include "script/vm_memory.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>

/* --- handles --- */

void pipe_free_when_done(struct pipe *pipe)
{
    if (pipe->subprocess.open_handles > 0 || pipe->held || pipe->waiting)
        return;
    free(pipe->command);
    free(pipe->output);
    buffer_free(&pipe->input);
    buffer_free(&pipe->seen);
    free(pipe);
}

void pipe_settle(struct pipe *pipe)
{
    if (pipe->vm)
        vm_recharge(pipe->vm, &pipe->charged,
                    sizeof *pipe + pipe->input.capacity + pipe->seen.capacity +
                        pipe->output_length);
}

void pipe_leave_owner(struct pipe *pipe)
{
    if (!pipe->resource.owner)
        return;
    subprocess_uncount(&pipe->subprocess);
    handler_detach(&pipe->resource);
}

/* The shell has exited, but something that it left running may still write. */
static bool has_writer(const struct pipe *pipe)
{
    struct pollfd poll_of = {.events = POLLIN};
    return pipe->reads && !pipe->closed &&
           uv_fileno((const uv_handle_t *)&pipe->stream, &poll_of.fd) == 0 &&
           poll(&poll_of, 1, 0) >= 0 && !(poll_of.revents & POLLHUP);
}

void pipe_end(struct pipe *pipe)
{
    if (pipe->subprocess.running || has_writer(pipe))
        subprocess_kill(&pipe->subprocess, SIGKILL); /* on_exit_status follows */
    subprocess_close(&pipe->stream);
    pipe_note_end(pipe, pipe->resource.owner, false);
    pipe_leave_owner(pipe);
}

static void end_resource(struct resource *resource)
{
    pipe_end((struct pipe *)((char *)resource - offsetof(struct pipe, resource)));
}

void pipe_give_to(struct pipe *pipe, struct branch *branch)
{
    pipe->resource.end = end_resource;
    handler_attach(branch, &pipe->resource);
}

/* --- waiting --- */

static void on_exit_status(void *owner)
{
    struct pipe *pipe = owner;
    subprocess_close(&pipe->subprocess.process);
    if (pipe->waits_for_exit)
        operation_wake(&pipe->operation);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct pipe *pipe = subprocess_owner(handle);
    *buffer = uv_buf_init(pipe->chunk, sizeof pipe->chunk);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    struct pipe *pipe = subprocess_owner(stream);
    if (length == 0)
        return;
    uv_read_stop(stream);
    if (length > 0) {
        buffer_append(&pipe->input, buffer->base, (size_t)length); /* there is room: await_input */
        pipe_note_output(pipe, buffer->base, (size_t)length);
    }
    pipe_settle(pipe);
    pipe->ended = length < 0;
    pipe->error = length < 0 && length != UV_EOF ? (int)length : 0;
    operation_wake(&pipe->operation);
}

static void on_written(uv_write_t *write, int status)
{
    struct pipe *pipe = write->data;
    pipe->error = status < 0 ? status : 0;
    if (pipe->waiting)
        operation_wake(&pipe->operation);
}

static void cancel(struct operation *operation)
{
    struct pipe *pipe = (struct pipe *)operation;
    pipe->waits_for_exit = false;
    uv_read_stop((uv_stream_t *)&pipe->stream);
    pipe_end(pipe);
}

static void release(struct operation *operation)
{
    struct pipe *pipe = (struct pipe *)operation;
    pipe->waiting = pipe->waits_for_exit = false;
    pipe_free_when_done(pipe);
}

int pipe_await(lua_State *L, struct pipe *pipe, lua_KFunction next, lua_KContext context)
{
    pipe->operation = (struct operation){.cancel = cancel, .release = release};
    pipe->waiting = true;
    return vm_await_then(L, &pipe->operation, next, context);
}

int pipe_await_input(lua_State *L, struct pipe *pipe, lua_KFunction next, lua_KContext context)
{
    int error = uv_read_start((uv_stream_t *)&pipe->stream, on_allocate, on_read);
    if (error < 0)
        return pipe_push_failure(L, error);
    return pipe_await(L, pipe, next, context);
}

int pipe_await_output(lua_State *L, struct pipe *pipe, char *bytes, size_t length,
                      lua_KFunction next)
{
    uv_buf_t buffer = uv_buf_init(bytes, (unsigned)length);
    pipe->output = bytes;
    pipe->output_length = length;
    pipe_settle(pipe);
    pipe->write.data = pipe;
    int error = uv_write(&pipe->write, (uv_stream_t *)&pipe->stream, &buffer, 1, on_written);
    if (error == 0)
        return pipe_await(L, pipe, next, 0);
    free(pipe->output);
    pipe->output = NULL;
    pipe->output_length = 0;
    pipe_settle(pipe);
    return pipe_push_failure(L, error);
}

/* --- checks --- */

struct pipe *pipe_of(lua_State *L)
{
    struct pipe *pipe = *(struct pipe **)luaL_checkudata(L, 1, PIPE_METATABLE);
    luaL_argcheck(L, pipe, 1, "the pipe was never opened");
    return pipe;
}

struct pipe *pipe_check(lua_State *L)
{
    struct pipe *pipe = pipe_of(L);
    if (pipe->closed)
        luaL_error(L, "attempt to use a closed file");
    if (!pipe->resource.owner)
        luaL_error(L,
                   "the handler that opened this pipe has ended, and its command with it (%s): a "
                   "pipe serves only "
                   "the handler that calls io.popen",
                   pipe->command);
    if (pipe->resource.owner != vm_of(L)->running)
        luaL_error(
            L, "this pipe belongs to another handler (%s): each handler must call io.popen itself",
            pipe->command);
    if (pipe->waiting)
        luaL_error(L, "another coroutine is waiting for this pipe (%s)", pipe->command);
    return pipe;
}

int pipe_push_failure(lua_State *L, int error)
{
    luaL_pushfail(L);
    if (error == PIPE_NO_MORE) {
        lua_pushliteral(L, "the recording has no more of what the command printed");
        lua_pushliteral(L, "NOT_RECORDED");
        return 3;
    }
    lua_pushstring(L, uv_strerror(error));
    lua_pushinteger(L, -error);
    return 3;
}

/* --- start --- */

static void on_closed(void *owner)
{
    pipe_free_when_done(owner);
}

void pipe_init(struct pipe *pipe, struct vm *vm)
{
    subprocess_init(&pipe->subprocess, pipe, on_exit_status, on_closed);
    subprocess_add_pipe(&pipe->subprocess, vm->loop, &pipe->stream);
}

int pipe_start(struct pipe *pipe, struct vm *vm)
{
    char *argv[] = {(char *)"/bin/sh", (char *)"-c", pipe->command, NULL};
    struct subprocess_command command = {.argv = argv,
                                         .input = pipe->reads ? NULL : &pipe->stream,
                                         .output = pipe->reads ? &pipe->stream : NULL,
                                         .plain = true};
    return subprocess_start(&pipe->subprocess, vm, &command);
}
