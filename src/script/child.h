/* A long-running program that answers lines with lines: JSON objects, one a line, whose integer
 * "id" says which question they answer. Its standard error goes to the log, line by line. Its
 * process group ends with it. On the worker thread only. */
#ifndef MOLECULE_SCRIPT_CHILD_H
#define MOLECULE_SCRIPT_CHILD_H

#include "script/vm_await.h"

#include <jansson.h>

/* bytes of an answer; a longer line is skipped and logged */
#define CHILD_LINE_MAXIMUM ((size_t)16 << 20)
#define CHILD_QUEUE_MAXIMUM ((size_t)64 << 20) /* bytes written and not yet read by the program */

struct child;

enum child_wait {
    CHILD_WAITS,
    CHILD_ANSWERED,
    CHILD_ENDED, /* it has ended; child_describe says how */
    CHILD_TIMED_OUT
};

/* What a handler waits for: an answer, or the program's end. */
struct child_waiter {
    struct operation operation; /* first; the caller sets `results` */
    struct child *child;
    struct child_waiter *next;
    uv_timer_t *timer;
    lua_Integer id;
    bool for_end; /* not for an answer */
    enum child_wait state;
    json_t *answer;
    size_t charged; /* for it */
};

/* `name` is what the log calls it. NULL: `error` is libuv's. */
struct child *child_start(struct vm *vm, const char *name, char *const *argv,
                          char *const *environment, const char *directory, int *error);
/* false: it would be more than CHILD_QUEUE_MAXIMUM or than the state has memory for, or the program
 * has ended. */
bool child_write(struct child *child, const char *bytes, size_t length);
/* It can answer: it runs, its standard output is open, and it was not stopped. */
bool child_is_running(const struct child *child);
/* It was reaped, and what it said was read. */
bool child_is_over(const struct child *child);
/* How it exited, as "exit code 1" or "signal 9", or why it cannot answer; borrowed. */
const char *child_describe(const struct child *child);
/* For vm_await; not for a child that has ended. It is woken when the answer with that id arrives,
 * when the program exits, or after `timeout_ms`. Released with the operation; the child must not be
 * freed before. */
struct child_waiter *child_wait_for(struct child *child, lua_Integer id, int64_t timeout_ms);
/* Closes its standard input once everything is written; if it still runs after `grace_ms`, its
 * process group is killed. The waiter is woken when it has exited. */
struct child_waiter *child_stop(struct child *child, int64_t grace_ms);
/* Kills the process group at once. Nobody may wait. It is freed when the program is reaped. */
void child_free(struct child *child);

#endif
