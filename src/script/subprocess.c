#include "script/subprocess.h"

#include "base/inherit.h"
#include "script/sandbox.h"
#include "script/vm.h"

#include <signal.h>
#include <unistd.h>

/* --- accounting --- */

bool subprocess_allowed(lua_State *L, const char *program)
{
    struct vm *vm = vm_of(L);
    if (sandbox_is_offline(vm)) {
        luaL_pushfail(L);
        lua_pushfstring(L, "cannot run %s: no programs run with --offline", program);
        lua_pushliteral(L, "OFFLINE");
        return false;
    }
    unsigned maximum = vm_share(PROGRAMS_MAXIMUM);
    if (vm->programs >= maximum) /* some may be garbage */
        lua_gc(L, LUA_GCCOLLECT);
    if (vm->programs < maximum)
        return true;
    luaL_pushfail(L);
    lua_pushfstring(L, "cannot run %s: this script already runs %d programs", program,
                    (int)vm->programs);
    lua_pushliteral(L, "BUSY");
    return false;
}

void subprocess_uncount(struct subprocess *subprocess)
{
    if (subprocess->vm)
        subprocess->vm->programs--;
    subprocess->vm = NULL;
}

/* --- handles --- */

static void add_handle(struct subprocess *subprocess, void *handle)
{
    ((uv_handle_t *)handle)->data = subprocess;
    subprocess->open_handles++;
}

void subprocess_init(struct subprocess *subprocess, void *owner, void (*on_exit)(void *owner),
                     void (*on_closed)(void *owner))
{
    *subprocess = (struct subprocess){.owner = owner, .on_exit = on_exit, .on_closed = on_closed};
}

void subprocess_add_pipe(struct subprocess *subprocess, uv_loop_t *loop, uv_pipe_t *pipe)
{
    uv_pipe_init(loop, pipe, 0);
    add_handle(subprocess, pipe);
}

void subprocess_add_timer(struct subprocess *subprocess, uv_loop_t *loop, uv_timer_t *timer)
{
    uv_timer_init(loop, timer);
    add_handle(subprocess, timer);
}

static struct subprocess *subprocess_of(const void *handle)
{
    return ((const uv_handle_t *)handle)->data;
}

void *subprocess_owner(const void *handle)
{
    return subprocess_of(handle)->owner;
}

static void on_closed(uv_handle_t *handle)
{
    struct subprocess *subprocess = subprocess_of(handle);
    if (--subprocess->open_handles == 0)
        subprocess->on_closed(subprocess->owner);
}

void subprocess_close(void *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

/* --- standard streams --- */

/* `theirs`: the program's end of a plain pipe, which is ours to close once it runs. */
struct stream {
    uv_stdio_container_t stdio;
    int theirs;
};

static int open_plain(uv_pipe_t *pipe, bool program_reads, struct stream *stream)
{
    uv_file ends[2]; /* to read, to write */
    int error = uv_pipe(ends, program_reads ? 0 : UV_NONBLOCK_PIPE,
                        program_reads ? UV_NONBLOCK_PIPE : 0);
    if (error < 0)
        return error;
    error = uv_pipe_open(pipe, ends[program_reads ? 1 : 0]);
    if (error < 0) {
        close(ends[0]);
        close(ends[1]);
        return error;
    }
    stream->theirs = ends[program_reads ? 0 : 1];
    stream->stdio = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = stream->theirs};
    return 0;
}

static int open_stream(const struct subprocess_command *command, int number, struct stream *stream)
{
    uv_pipe_t *const pipes[] = {command->input, command->output, command->errors};
    uv_pipe_t *pipe = pipes[number];
    bool program_reads = number == STDIN_FILENO;
    int direction = program_reads ? UV_READABLE_PIPE : UV_WRITABLE_PIPE;
    stream->theirs = -1;
    if (!pipe && program_reads)
        stream->stdio = (uv_stdio_container_t){.flags = UV_IGNORE};
    else if (!pipe)
        stream->stdio = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = number};
    else if (command->plain)
        return open_plain(pipe, program_reads, stream);
    else
        stream->stdio = (uv_stdio_container_t){.flags = UV_CREATE_PIPE | direction,
                                               .data.stream = (uv_stream_t *)pipe};
    return 0;
}

/* --- start and end --- */

static void on_exit_status(uv_process_t *process, int64_t code, int signal)
{
    struct subprocess *subprocess = subprocess_of(process);
    subprocess->running = false;
    subprocess->code = signal ? -1 : (int)code;
    subprocess->signal = signal;
    subprocess->on_exit(subprocess->owner);
}

static int spawn(struct subprocess *subprocess, uv_loop_t *loop,
                 const struct subprocess_command *command, const struct stream streams[3])
{
    uv_stdio_container_t stdio[] = {streams[0].stdio, streams[1].stdio, streams[2].stdio};
    uv_process_options_t options = {.file = command->argv[0],
                                    .args = (char **)command->argv,
                                    .env = (char **)command->environment,
                                    .cwd = command->directory,
                                    .flags = UV_PROCESS_DETACHED,
                                    .exit_cb = on_exit_status,
                                    .stdio_count = 3,
                                    .stdio = stdio};
    inherit_nothing();
    int error = uv_spawn(loop, &subprocess->process, &options);
    add_handle(subprocess, &subprocess->process);
    if (error < 0) {
        subprocess->process.pid = 0;
        subprocess_close(&subprocess->process);
    }
    return error;
}

int subprocess_start(struct subprocess *subprocess, struct vm *vm,
                     const struct subprocess_command *command)
{
    struct stream streams[3];
    int error = 0, opened = 0;
    while (opened < 3 && (error = open_stream(command, opened, &streams[opened])) == 0)
        opened++;
    if (error == 0)
        error = spawn(subprocess, vm->loop, command, streams);
    for (int i = 0; i < opened; i++)
        if (streams[i].theirs >= 0)
            close(streams[i].theirs);
    if (error < 0)
        return error;
    subprocess->running = true;
    subprocess->vm = vm;
    vm->programs++;
    return 0;
}

void subprocess_kill(const struct subprocess *subprocess, int signal)
{
    if (subprocess->process.pid > 0)
        kill(-subprocess->process.pid, signal);
}

int subprocess_push_exit(lua_State *L, int code, int signal)
{
    if (code == 0)
        lua_pushboolean(L, true);
    else
        luaL_pushfail(L);
    lua_pushstring(L, signal ? "signal" : "exit");
    lua_pushinteger(L, signal ? signal : code);
    return 3;
}
