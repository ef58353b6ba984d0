/* io.popen: a command's output to read, or its input to write, while only the handler waits. */
#include "base/memory.h"
#include "script/api.h"
#include "script/pipe.h"
#include "script/pipe_note.h"
#include "script/pipe_read.h"
#include "script/playback.h"
#include "script/subprocess.h"
#include "script/vm.h"
#include "script/vm_await.h"
#include "script/vm_memory.h"

#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

/* --- write --- */

static int after_write(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    struct pipe *pipe = *(struct pipe **)lua_touserdata(L, 1);
    vm_end_await(vm_of(L)->branch);
    free(pipe->output);
    pipe->output = NULL;
    pipe->output_length = 0;
    pipe_settle(pipe);
    if (pipe->error)
        return pipe_push_failure(L, pipe->error);
    lua_settop(L, 1);
    return 1;
}

static int pipe_write(lua_State *L)
{
    struct pipe *pipe = pipe_check(L);
    if (pipe->reads)
        return pipe_push_failure(L, UV_EBADF);
    for (int index = 2; index <= lua_gettop(L); index++)
        luaL_checkstring(L, index);
    if (pipe->played) {
        lua_settop(L, 1);
        return 1;
    }
    lua_concat(L, lua_gettop(L) - 1);
    vm_check_await(L, "a pipe's write");
    size_t length;
    const char *bytes = lua_tolstring(L, 2, &length);
    uv_buf_t buffer = uv_buf_init((char *)bytes, (unsigned)length);
    int wrote = length ? uv_try_write((uv_stream_t *)&pipe->stream, &buffer, 1) : 0;
    if (wrote < 0 && wrote != UV_EAGAIN)
        return pipe_push_failure(L, wrote);
    size_t done = wrote > 0 ? (size_t)wrote : 0;
    if (done == length) {
        lua_settop(L, 1);
        return 1;
    }
    vm_charge(L, length - done);
    vm_uncharge(vm_of(L), length - done); /* it fits: the pipe is charged with it */
    return pipe_await_output(L, pipe, memory_copy(bytes + done, length - done), length - done,
                             after_write);
}

/* --- close and the rest --- */

static int push_exit(lua_State *L, const struct pipe *pipe)
{
    return subprocess_push_exit(L, pipe->subprocess.code, pipe->subprocess.signal);
}

static int after_close(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    struct pipe *pipe = *(struct pipe **)lua_touserdata(L, 1);
    vm_end_await(vm_of(L)->branch);
    pipe_note_end(pipe, vm_of(L)->running, true);
    pipe_leave_owner(pipe);
    return push_exit(L, pipe);
}

/* pipe:close() -> true or nil, "exit" or "signal", code; waits for the command's end. */
static int pipe_close(lua_State *L)
{
    struct pipe *pipe = pipe_check(L);
    if (pipe->subprocess.running)
        vm_check_await(L, "a pipe's close");
    pipe->closed = true;
    subprocess_close(&pipe->stream);
    if (!pipe->subprocess.running) {
        pipe_note_end(pipe, vm_of(L)->running, true);
        pipe_leave_owner(pipe);
        return push_exit(L, pipe);
    }
    pipe->waits_for_exit = true;
    return pipe_await(L, pipe, after_close, 0);
}

/* At the end of a <close> variable's block; where nothing can wait, the command ends. */
static int pipe_close_variable(lua_State *L)
{
    struct pipe *pipe = pipe_of(L);
    struct vm *vm = vm_of(L);
    if (pipe->closed || !pipe->resource.owner || pipe->waiting)
        return 0;
    if (pipe->resource.owner == vm->running && vm_can_wait(L))
        return pipe_close(L);
    pipe_end(pipe);
    pipe->closed = true;
    return 0;
}

static int pipe_flush(lua_State *L)
{
    pipe_check(L); /* nothing is held back */
    lua_settop(L, 1);
    return 1;
}

static int pipe_setvbuf(lua_State *L)
{
    pipe_check(L);
    lua_pushboolean(L, true);
    return 1;
}

static int pipe_seek(lua_State *L)
{
    pipe_check(L);
    return pipe_push_failure(L, UV_ESPIPE);
}

static int pipe_text(lua_State *L)
{
    struct pipe *pipe = pipe_of(L);
    if (pipe->closed || !pipe->resource.owner)
        lua_pushliteral(L, "file (closed)");
    else
        lua_pushfstring(L, "file (%p)", (void *)pipe);
    return 1;
}

static int pipe_collect(lua_State *L)
{
    struct pipe *pipe = *(struct pipe **)luaL_checkudata(L, 1, PIPE_METATABLE);
    if (!pipe)
        return 0;
    pipe_end(pipe);
    vm_uncharge(vm_of(L), pipe->charged);
    pipe->vm = NULL;
    pipe->held = false;
    pipe_free_when_done(pipe);
    return 0;
}

/* --- io --- */

/* false: the recording has no result; it is closed, and nil, why, and the code are pushed. */
static bool play(lua_State *L, struct pipe *pipe, struct vm *vm)
{
    char *code, *error = pipe_play(pipe, vm, &code), why[512], word[32];
    bool played = !error;
    if (!played) {
        snprintf(why, sizeof why, "%s", error);
        snprintf(word, sizeof word, "%s", code ? code : "");
        subprocess_close(&pipe->stream);
    }
    free(code);
    free(error);
    if (played)
        return true;
    luaL_pushfail(L);
    lua_pushstring(L, why);
    lua_pushstring(L, word);
    return false;
}

/* io.popen(command [, "r" or "w"]) */
static int io_popen(lua_State *L)
{
    const char *command = luaL_checkstring(L, 1), *mode = luaL_optstring(L, 2, "r");
    luaL_argcheck(L, (*mode == 'r' || *mode == 'w') && !mode[1], 2, "invalid mode");
    struct vm *vm = vm_of(L);
    if (!vm->running)
        return luaL_error(L, "io.popen cannot be used here");
    bool recorded = playback_answers(vm);
    if (!recorded && !subprocess_allowed(L, "/bin/sh"))
        return 3;
    struct pipe **slot = lua_newuserdatauv(L, sizeof *slot, 0);
    *slot = NULL;
    luaL_setmetatable(L, PIPE_METATABLE);
    struct pipe *pipe = memory_allocate(sizeof *pipe);
    buffer_init(&pipe->input, PIPE_READ_MAXIMUM);
    pipe->command = memory_copy_text(command);
    pipe->reads = *mode == 'r';
    pipe_init(pipe, vm);
    pipe_note_asked(pipe, vm);
    if (recorded && !play(L, pipe, vm))
        return 3;
    int error = recorded ? 0 : pipe_start(pipe, vm);
    if (error < 0) {
        subprocess_close(&pipe->stream);
        return pipe_push_failure(L, error);
    }
    pipe->held = true;
    pipe->vm = vm;
    pipe_settle(pipe);
    pipe_give_to(pipe, vm->branch);
    *slot = pipe;
    return 1;
}

static int call_original(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static int io_type(lua_State *L)
{
    struct pipe **slot = luaL_testudata(L, 1, PIPE_METATABLE);
    if (!slot)
        return call_original(L);
    lua_pushstring(L,
                   *slot && !(*slot)->closed && (*slot)->resource.owner ? "file" : "closed file");
    return 1;
}

static int io_close(lua_State *L)
{
    return luaL_testudata(L, 1, PIPE_METATABLE) ? pipe_close(L) : call_original(L);
}

static void surround(lua_State *L, const char *name, lua_CFunction function)
{
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, function, 1);
    lua_setfield(L, -2, name);
}

void api_popen_install(lua_State *L)
{
    static const luaL_Reg methods[] = {{"close", pipe_close}, {"flush", pipe_flush},
                                       {"lines", pipe_lines}, {"read", pipe_read},
                                       {"seek", pipe_seek},   {"setvbuf", pipe_setvbuf},
                                       {"write", pipe_write}, {NULL, NULL}};
    static const luaL_Reg events[] = {{"__gc", pipe_collect},
                                      {"__close", pipe_close_variable},
                                      {"__tostring", pipe_text},
                                      {NULL, NULL}};
    luaL_newmetatable(L, PIPE_METATABLE);
    luaL_setfuncs(L, events, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_getglobal(L, LUA_IOLIBNAME);
    lua_pushcfunction(L, io_popen);
    lua_setfield(L, -2, "popen");
    surround(L, "type", io_type);
    surround(L, "close", io_close);
    lua_pop(L, 1);
}
