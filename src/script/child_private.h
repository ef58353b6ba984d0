/* What child.c and child_output.c share. */
#ifndef MOLECULE_SCRIPT_CHILD_PRIVATE_H
#define MOLECULE_SCRIPT_CHILD_PRIVATE_H

#include "base/buffer.h"
#include "script/child.h"
#include "script/subprocess.h"

/* bytes of a line of standard error; longer ones are cut into several */
#define CHILD_COMPLAINT_MAXIMUM ((size_t)2000)

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
    bool stopping;  /* we asked it to exit */
    bool freed;
    char end[64];
    char chunk[65536];
};

/* The state is charged with what the child holds now. */
void child_settle(struct child *child);
/* Wakes the waiter. */
void child_wake(struct child_waiter *waiter, enum child_wait state);
/* Kills the whole process group. */
void child_kill(const struct child *child);
/* It was reaped, and its output was read or is no longer waited for. */
void child_finish(struct child *child);

#endif
