/* One Lua state with what belongs to it. vm_open.h opens one, handler_run.h runs a script's code in
 * it, vm_limits.h and vm_memory.h bound what that may take. On a worker thread only. */
#ifndef MOLECULE_SCRIPT_VM_H
#define MOLECULE_SCRIPT_VM_H

#include "script/script_types.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct agent_info;
struct branch;
struct handler;
struct http_client;
struct locks;
struct quota_use;

/* What the worker is in at this moment, for the watchdog on another thread. */
struct vm_activity {
    _Atomic(const struct script_job *) job; /* NULL: nothing; script_no_message: no message's */
    _Atomic int64_t began_ms;               /* monotonic: the call into Lua */
    _Atomic int64_t lua_ms; /* when it was last seen in Lua code, not in C that it calls */
    atomic_bool limited;    /* a limit that it has not reached yet will end it */
};

/* A coroutine that runs or resumed one that does. On the C stack of vm_resume. */
struct vm_frame {
    lua_State *co, *from; /* from NULL: the host resumed it */
    struct vm_frame *outer;
};

struct vm {
    lua_State *L;
    uv_loop_t *loop;
    struct http_client *http;               /* of molecule.http; opened at its first use */
    struct allowed_hosts *allowed_hosts;    /* of --allow-host, in the sandbox; else NULL */
    struct allowed_hosts *file_hosts;       /* of --allow-file-host; NULL: none */
    const char *workspace_id;               /* subject of log lines; borrowed */
    const struct script_settings *settings; /* borrowed; NULL in a state that runs no agent */
    size_t memory_used, memory_limit;       /* memory_used: by Lua; script/vm_memory.c */
    size_t memory_outside;                  /* kept outside Lua for it */
    const size_t *memory_asked; /* the script's: of its questions under way; NULL: none */
    unsigned streams, programs; /* open, running: of all its handlers */
    size_t memory_pressure;     /* charged since the collector heard of it */
    const void *refused_block;  /* of the allocation that was refused last, */
    size_t refused_size;        /* and its size; 0: none was since one succeeded */
    /* there was no memory even without garbage: the state is to be replaced */
    bool memory_hit;
    /* the script's: its handlers take turns with those of others on the worker */
    struct lane *lane;
    struct vm_activity *activity; /* for the host's watchdog */
    struct handler *running;      /* whose code runs now; NULL outside vm_resume */
    struct branch *branch;        /* … and which of its branches; NULL likewise */
    lua_State *current;           /* the innermost coroutine that runs now */
    struct vm_frame *frame;       /* the same, with those that resumed it */
    unsigned closing;             /* nested closes of coroutines */
    int64_t check_at_us;          /* the hook looks closer from then on */
    int64_t slice_started_cpu_ms;
    int agent;                /* registry reference of the agent table; LUA_NOREF */
    struct agent_info *info;  /* of agent.h */
    struct handler *handlers; /* all that live */
    struct script *script;    /* whose it is; NULL: nobody's (no questions to the host) */
    struct quota_use *quotas; /* the script's; NULL: nobody's */
    /* code is about to be loaded from this file; NULL: nobody needs to know */
    void (*on_file)(struct script *script, const char *path);
    int64_t files_changed_ms; /* when the newest of the files that were loaded was written; wall
                                 clock */
    struct locks *locks;      /* of the store's keys; the script's */
    struct timer *timers;     /* of molecule.every and after */
    size_t timer_count;
    int64_t last_timer;         /* its id */
    struct schedule *schedules; /* of molecule.cron */
    size_t schedule_count;
    bool schedules_fixed; /* no others can be made */
    bool schedules_over;  /* nothing is due any more */
    bool timers_go;       /* false: they wait until the state is in charge */
};

/* The vm of a coroutine. */
struct vm *vm_of(lua_State *L);
/* Makes a new state the vm's, with all coroutines that it will have. */
void vm_bind(lua_State *L, struct vm *vm);

/* How many things that take descriptors one state may have: `maximum`, or fewer if the process may
 * not open many (ulimit -n). */
unsigned vm_share(unsigned maximum);

/* Calls the C function on the main thread of the state, protected, outside any handler: for our own
 * code, never a script's. false: `problem` holds the error. */
bool vm_call(struct vm *vm, lua_CFunction function, void *argument, char *problem,
             size_t problem_size);
/* Resumes `co` from `from` with `arguments`; keeps track of who runs. As lua_resume. */
int vm_resume(struct vm *vm, lua_State *co, lua_State *from, int arguments, int *results);

/* A coroutine that waits for the host, or whose handler was ended while it did, is the host's: no
 * script may resume or close it. The mark needs no memory. */
bool vm_is_held(lua_State *co);
void vm_hold(lua_State *co);
void vm_let_go(lua_State *co);

#endif
