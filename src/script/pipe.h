/* A command with a pipe to it: what io.popen opens (script/api_popen.c). Only the handler that
 * opened it may use it. libuv reads only while the script waits for
 * bytes, so a command that writes a lot has to wait. It is freed once the script, the
 * handler and libuv have all released it. */
#ifndef MOLECULE_SCRIPT_PIPE_H
#define MOLECULE_SCRIPT_PIPE_H

#include "base/buffer.h"
#include "script/handler.h"
#include "script/subprocess.h"
#include "script/vm_await.h"

/* of a userdata that holds a struct pipe *; NULL: never opened */
#define PIPE_METATABLE "molecule.pipe"
#define PIPE_NO_MORE 1 /* an error: a recording ends before the command's output did */
#define PIPE_READ_MAXIMUM ((size_t)64 << 20) /* of one line, one "a", one count */

struct pipe {
    struct operation operation; /* first: what its handler waits for */
    struct resource resource;   /* owner: who called io.popen */
    struct vm *vm;              /* charged as long as the userdata is alive; then NULL */
    size_t charged, output_length;
    char *command;
    struct subprocess subprocess;
    uv_pipe_t stream; /* our end */
    uv_write_t write;
    char *output;        /* being written */
    struct buffer input; /* read and not yet taken */
    size_t searched;     /* of it, without a line's end */
    bool reads;          /* mode "r" */
    bool held;           /* the userdata is alive */
    bool ended;          /* the input is at its end */
    bool closed;         /* by the script */
    bool waiting, waits_for_exit;
    int error; /* libuv's, of the last read or write, or PIPE_NO_MORE; 0: none */
    /* pipe_note.c */
    bool played;        /* nothing runs: its output is a recording's */
    size_t noted;       /* of calls_asked; 0: it is not kept, or was */
    struct buffer seen; /* what it has printed, or the beginning of that; */
    size_t seen_bytes;  /* … and how much that was */
    int64_t started_ms; /* monotonic */
    char chunk[16384];
};

/* Its handles, before anything is started. */
void pipe_init(struct pipe *pipe, struct vm *vm);
/* Starts pipe->command; `reads` says which way. 0 or libuv's error. */
int pipe_start(struct pipe *pipe, struct vm *vm);
/* It ends with the branch; only its handler may use it. */
void pipe_give_to(struct pipe *pipe, struct branch *branch);
/* The process group is killed, and the pipe leaves its handler. */
void pipe_end(struct pipe *pipe);
/* The state is charged with what the pipe holds now. */
void pipe_settle(struct pipe *pipe);
void pipe_leave_owner(struct pipe *pipe);
void pipe_free_when_done(struct pipe *pipe);

/* The pipe at stack index 1, whatever its state. Raises if there is none. */
struct pipe *pipe_of(lua_State *L);
/* The same; raises unless it is open and the running handler's, and nobody waits for it. */
struct pipe *pipe_check(lua_State *L);
/* nil, what libuv says, errno. */
int pipe_push_failure(lua_State *L, int error);

/* These suspend the handler, after vm_check_await: until `operation` is complete; until bytes came
 * or the end did; until `bytes`, which become the pipe's, are written. `next` is as of
 * vm_await_then. */
int pipe_await(lua_State *L, struct pipe *pipe, lua_KFunction next, lua_KContext context);
int pipe_await_input(lua_State *L, struct pipe *pipe, lua_KFunction next, lua_KContext context);
int pipe_await_output(lua_State *L, struct pipe *pipe, char *bytes, size_t length,
                      lua_KFunction next);

#endif
