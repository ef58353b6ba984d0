/* A program that a script runs. exec, os.execute and backends (script/process.h), io.popen
 * (script/pipe.h) and stdio children (script/child.h) are made of it.
 *
 * It has its own session and process group, so that all of it can be killed, and inherits no
 * descriptor but its standard streams. Its libuv handles are counted: the owner's memory may go
 * when the last one is closed. On the worker thread only. */
#ifndef MOLECULE_SCRIPT_SUBPROCESS_H
#define MOLECULE_SCRIPT_SUBPROCESS_H

#include "script/vm.h"

#include <uv.h>

/* Running at once in one state, whatever started them; fewer where descriptors are short. */
#define PROGRAMS_MAXIMUM 256

/* How long whatever has left the process group may hold our pipes open after the program's exit. */
#define SUBPROCESS_LINGER_MS 1000

/* Embed it. */
struct subprocess {
    uv_process_t process;
    struct vm *vm; /* among whose programs it counts; NULL: none */
    void *owner;
    void (*on_exit)(void *owner);   /* it was reaped: `code` and `signal` say how it ended */
    void (*on_closed)(void *owner); /* the last handle is closed */
    int open_handles;
    bool running; /* not reaped yet */
    int code;     /* exit code; -1 if a signal ended it */
    int signal;   /* 0: none */
};

struct subprocess_command {
    char *const *argv;        /* NULL-terminated; argv[0] is looked up in PATH */
    char *const *environment; /* NULL-terminated "NAME=value", the whole of it; NULL: ours */
    const char *directory;    /* NULL: ours */
    /* our ends of its standard streams, from subprocess_add_pipe; NULL: the input is /dev/null,
     * output and errors go where ours go */
    uv_pipe_t *input, *output, *errors;
    bool plain; /* pipes of the kernel, as a shell's; else libuv's sockets */
};

/* May the state start one more? false: pushes nil, message, code, which the caller returns. */
bool subprocess_allowed(lua_State *L, const char *program);

/* Nothing runs yet. */
void subprocess_init(struct subprocess *subprocess, void *owner, void (*on_exit)(void *owner),
                     void (*on_closed)(void *owner));

/* Handles that count among its own; close them with subprocess_close. */
void subprocess_add_pipe(struct subprocess *subprocess, uv_loop_t *loop, uv_pipe_t *pipe);
void subprocess_add_timer(struct subprocess *subprocess, uv_loop_t *loop, uv_timer_t *timer);
/* The owner of one of these handles: uv_pipe_t, uv_timer_t or uv_process_t. */
void *subprocess_owner(const void *handle);
/* Does nothing where it is closing already. */
void subprocess_close(void *handle);

/* 0, or libuv's error: nothing runs, and the handles are the owner's to close. */
int subprocess_start(struct subprocess *subprocess, struct vm *vm,
                     const struct subprocess_command *command);
/* To the whole process group, also after the program itself has ended. */
void subprocess_kill(const struct subprocess *subprocess, int signal);
/* It no longer counts among the programs of its state, which may be gone from now on. */
void subprocess_uncount(struct subprocess *subprocess);

/* What Lua's os.execute returns: true or nil, "exit" or "signal", the number. */
int subprocess_push_exit(lua_State *L, int code, int signal);

#endif
