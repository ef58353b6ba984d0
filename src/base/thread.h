/* A thread with a libuv loop that runs tasks other threads post to it. The main thread adopts one
 * of these for its own loop, so posting looks the same everywhere. */
#ifndef MOLECULE_BASE_THREAD_H
#define MOLECULE_BASE_THREAD_H

#include "base/queue.h"
#include "base/turns.h"

#include <stdbool.h>
#include <uv.h>

/* A unit of work that is sent to a thread. Embed it as the first member; `run` gets the task back
 * on the thread it was posted to and owns it from then on. */
struct task {
    struct queue_item item;
    void (*run)(struct task *task);
};

struct thread {
    uv_loop_t loop;
    struct queue tasks;
    uv_thread_t id;
    const char *name;
    bool started;
    uv_prepare_t before_waiting;
    struct turns turns;       /* work that runs on it piece by piece */
    struct queue *to_wake[8]; /* readers of what this thread posted in this turn of its loop */
    size_t to_wake_count;
    int64_t began_us;                   /* the task that runs */
    void (*after_batch)(void *context); /* after the tasks of one wake-up; may be NULL */
    void *context;
};

/* For the calling thread's own loop. 0, or a negative libuv error. */
int thread_adopt(struct thread *thread, const char *name);
/* Starts a new thread. 0, or a negative libuv error. */
int thread_start(struct thread *thread, const char *name, void (*after_batch)(void *context),
                 void *context);

/* Runs the loop of an adopted thread until it is stopped or has nothing left to do. */
void thread_run(struct thread *thread);
/* From any thread. From one of our threads, the reader is woken at the end of this turn of the
 * loop, or when a task took long: what belongs together arrives together, and the reader does not
 * run in between on the same core. false: the thread is closing and the task stays the caller's. */
bool thread_post(struct thread *thread, struct task *task);
/* Call this now and then from a task that may take long: if it has, readers that would be woken at
 * the end of this turn are woken now. */
void thread_wake_readers(void);
/* Makes the thread take what was posted to it, even if the sender is stuck in its task and did not
 * wake it. */
void thread_look(struct thread *thread);

/* Runs what was posted before, closes whatever handles are left on the loop, and waits for the
 * thread to end; an adopted thread closes its loop at once. */
void thread_close(struct thread *thread);

#endif
