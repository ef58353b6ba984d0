/* What the files of a script's worker side share: struct script. Only they include this. Everything
 * in it belongs to the worker, but for what is set before the script is opened. */
#ifndef MOLECULE_SCRIPT_SCRIPT_PRIVATE_H
#define MOLECULE_SCRIPT_SCRIPT_PRIVATE_H

#include "script/agent.h"
#include "script/handler.h"
#include "script/quota.h"
#include "script/vm.h"

#include <stdatomic.h>

struct watch;

enum script_state {
    SCRIPT_LOADING,
    SCRIPT_READY,
    SCRIPT_BROKEN /* a fresh state did not load; the next message tries again */
};

struct script {
    struct thread *worker, *host;
    struct script_settings settings;
    struct script_events events;
    enum script_state state;
    bool announced; /* events.loaded was sent */
    bool replacing, closing;
    struct script_task *closing_task;
    struct vm *vm;        /* gets the messages; NULL: none */
    struct vm *candidate; /* a reload: loads, and takes its place if its start succeeds */
    struct vm *old;       /* after a reload: finishes what it has, then stops */
    char *reload_reason;  /* of the reload under way; NULL: none */
    char *reload_again;   /* of one that waits for it; NULL: none */
    unsigned reloads;
    struct watch *watch; /* --watch; NULL: not */
    struct locks *locks; /* of the store's keys */
    size_t asked;        /* questions that the host has not answered yet */
    size_t asked_bytes;  /* what they and their answers hold, against --memory-limit */
    struct quota_use quotas[SCRIPT_QUOTA_COUNT];
    unsigned fetching;           /* of them, files that are fetched; */
    struct script_ask *to_fetch; /* … and those that wait for that, linked by task.item */
    struct script_task *ending;  /* the close that continues once they are */
    /* its handlers and jobs, in order, take turns with those of other scripts on the worker */
    struct lane lane;
    uv_timer_t *deadline;                      /* the earliest of the handlers that wait */
    struct queue_item *waiting, **waiting_end; /* jobs that arrived while loading */
    struct script_naming *naming;              /* under way; paused while the script loads */
    struct script_evaluation *evaluation;      /* under way; NULL: none */
    char *problem;                             /* why it is broken */
    int64_t last_schedule;                     /* its id */
    unsigned load_failures;                    /* in a row */
    int64_t load_again_ms;                     /* monotonic: a broken one is not loaded before */
    atomic_size_t timers;                      /* of all states */
    _Atomic uint64_t tokens[2];                /* of models: input, output */
    struct vm_activity activity; /* shared between threads, so that the watchdog can name a culprit
                                  */
};

struct script_task {
    struct task task;
    struct script *script;
    bool graceful;
    void (*callback)(void *context);
    void *context;
};

struct script_task *script_task(struct script *script);
void script_post(struct thread *thread, struct script_task *task, void (*run)(struct task *task));

/* A handler whose context is the script; `start` gives it limits and watches over them. */
struct handler *script_handler(struct script *script, void (*finished)(struct handler *handler));
void script_start(struct script *script, struct vm *vm, struct handler *handler, lua_CFunction body,
                  int64_t cpu_ms, int64_t wall_ms);
/* The same from inside a turn of its lane. */
void script_start_now(struct script *script, struct vm *vm, struct handler *handler,
                      lua_CFunction body);
/* Puts a job in the lane. */
void script_queue_job(struct script *script, struct script_job *job);

/* script_naming.c: conversation(msg). Continues with what is left, one message a turn; ends it if
 * the script is closing. */
void script_name_on(struct script *script);

/* script_evaluate.c: starts the evaluation that waits, or ends it if it cannot start. */
void script_evaluate_on(struct script *script);
/* On the host thread: the worker ends what was canceled. */
void script_end_canceled(struct script *script);

/* script_schedule.c: tells the host; takes it. */
void script_tell_schedule(struct script *script, struct script_schedule *schedule);
int64_t script_new_schedule(struct script *script); /* its id */
/* Timers and schedules of a state that takes over. */
void script_start_clocks(struct vm *vm);
size_t script_stop_clocks(struct vm *vm); /* -> how many timers there were */
/* The body of a job's handler. */
lua_CFunction script_body(const struct script_job *job);

/* script_ask.c: what a handler stored. */
struct changes *script_take_changes(struct script *script, struct handler *handler);
void script_commit_changes(struct script *script, struct handler *handler);

/* script_load.c */
void script_start_stop(struct script *script, struct vm *vm,
                       void (*finished)(struct handler *handler));
/* a first state, or one in place of a broken one */
void script_load(struct script *script);
/* if the current state ran into its memory limit */
void script_replace_soon(struct script *script);
void script_reload_now(struct script *script, const char *reason);
void script_handler_ended(struct script *script, struct vm *vm); /* the old state may be done */
/* all but the current one, without their stop */
void script_end_states(struct script *script);
void script_finish_close(struct script *script, struct script_task *close);

/* script/watch.c: calls script_reload_now when one of the files changes. */
struct watch *watch_open(struct script *script);
void watch_add(struct watch *watch, const char *path);
void watch_close(struct watch *watch);

#endif
