/* One Lua state with its limits, and the one way into it. Runs on a worker thread only. */
#ifndef MOLECULE_SCRIPT_VM_H
#define MOLECULE_SCRIPT_VM_H

#include "base/turns.h"
#include "script/script.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* Registry keys. */
/* its address: the metatable of molecule.skip, retry and dead */
extern const char vm_verdict_metatable;

struct agent_info;
struct handler;
struct http_call;
struct http_client;
struct locks;

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
    lua_State *current;           /* the innermost coroutine that runs now */
    struct vm_frame *frame;       /* the same, with those that resumed it */
    unsigned closing;             /* coroutines being closed, one inside the other */
    int64_t check_at_us;          /* the hook looks closer from then on */
    int64_t slice_started_cpu_ms;
    int agent;                /* registry reference of the agent table; LUA_NOREF */
    struct agent_info *info;  /* script/agent.h */
    struct handler *handlers; /* all that live */
    struct script *script;    /* whose it is; NULL: nobody's (no questions to the host) */
    struct locks *locks;      /* of the store's keys; the script's */
    struct timer *timers;     /* of molecule.every and after */
    size_t timer_count;
    int64_t last_timer; /* its id */
    bool timers_go;     /* false: they wait until the state is in charge */
};

/* What a handler waits for. Allocated by the API that starts it. */
struct operation {
    /* on the coroutine, protected: pushes the results, returns how many; may raise */
    int (*results)(lua_State *L, struct operation *operation);
    /* ends what is under way: no completion may follow. Not called once it is complete */
    void (*cancel)(struct operation *operation);
    /* after it was completed or cancelled; the last call */
    void (*release)(struct operation *operation);
    struct handler *handler; /* whom it wakes; set by vm_await */
    bool complete;           /* set by handler_wake */
};

/* One run of script code in a coroutine of its own: a message, or the agent's load, start, stop. */
struct handler {
    struct turn turn; /* first */
    struct vm *vm;
    struct handler *next, *previous;
    lua_State *co;
    int co_reference;
    int64_t cpu_limit_ms, cpu_used_ms, timeout_ms;
    /* where the limits are fixed ones, for their error: "while it was loaded"; NULL: flags */
    const char *phase;
    int64_t deadline_ms; /* monotonic; 0: none */
    bool begun;          /* its body was entered */
    bool expired;        /* set by the host when a limit was reached; never cleared */
    /* its message is being handed over, into a state that had next to nothing in it */
    bool taking;
    /* it wanted more than there may be, whatever it made of the error */
    bool over_memory;
    enum script_limit limit;
    char where[512]; /* the script's position when it reached a limit */
    char *traceback; /* of vm_keep_traceback; NULL: none */
    /* the last mistake that is the same however often it runs (api_misuse); NULL: none */
    char *misuse;
    struct operation *operation; /* what it waits for; NULL while it runs */
    /* what it is, where it must come to its end at once; NULL: it may */
    const char *may_not_wait;
    struct pipe *pipes;        /* of io.popen: they end with it */
    struct http_call *streams; /* of molecule.http: so do they */
    struct script_outcome outcome;
    struct changes *changes; /* what it stored so far; NULL: nothing */
    uint64_t ticket;         /* of the locks it holds; 0: none yet */
    /* registry reference: what it stored, as it would read it; LUA_NOREF */
    int values;
    unsigned asked;                            /* how often it sent something */
    void (*finished)(struct handler *handler); /* called once; frees it with handler_free */
    struct script_job *job;                    /* NULL for load, start, stop and timers */
    void *context, *argument;
};

/* A state with the libraries and the API in it. NULL: no memory; the log says so. */
struct vm *vm_open(uv_loop_t *loop, const char *workspace_id, size_t memory_limit);
/* No Lua code runs (no __close, no __gc of a script's). Handlers must be gone. */
void vm_close(struct vm *vm);
struct vm *vm_of(lua_State *L);

/* How many of what takes descriptors one state may have: `maximum`, or fewer where the process may
 * not open many (ulimit -n). */
unsigned vm_share(unsigned maximum);

/* script/vm_memory.c: what the state holds, inside Lua and outside; and how much more it may. */
size_t vm_memory(const struct vm *vm);
size_t vm_room(const struct vm *vm);
/* So many bytes are about to be held outside Lua: collects garbage where it has to, raises an error
 * where that is not enough. The state itself stays sound, and is not replaced. */
void vm_charge(lua_State *L, size_t bytes);
/* The same from outside Lua; false: they do not fit. */
bool vm_try_charge(struct vm *vm, size_t bytes);
/* Collects garbage if so many bytes do not fit as it is; false: they do not fit then either. Not
 * from inside libcurl, whose exchanges may be garbage. */
bool vm_make_room(struct vm *vm, size_t bytes);
void vm_uncharge(struct vm *vm, size_t bytes);
/* What is there already is charged: `*charged` so far, `bytes` from now on. */
void vm_recharge(struct vm *vm, size_t *charged, size_t bytes);
void *vm_allocate(void *vm, void *block, size_t old_size, size_t new_size); /* Lua's allocator */
/* Notes where the script wanted more memory than there may be; `for_good`: collecting did not help.
 */
void vm_note_refusal(struct vm *vm, bool for_good);
/* For C code that takes long: a limit of the running handler was reached, so it should return; the
 * hook does the rest. */
bool vm_expired(struct vm *vm);

/* Calls the C function on the main thread of the state, protected, outside any handler: for our own
 * code, never a script's. false: `problem` holds the error. */
bool vm_call(struct vm *vm, lua_CFunction function, void *argument, char *problem,
             size_t problem_size);

/* Starts a coroutine whose body is `body(L)`; lua_touserdata(L, 1) is the handler. It runs when the
 * lane's turn comes; `finished` may come from inside. */
void handler_start(struct vm *vm, struct handler *handler, lua_CFunction body, int64_t cpu_limit_ms,
                   int64_t timeout_ms);
/* The same from inside a turn of its lane: it runs now, until its end or its first wait. */
void handler_start_now(struct vm *vm, struct handler *handler, lua_CFunction body,
                       int64_t cpu_limit_ms, int64_t timeout_ms);
/* Its operation is complete: it runs on when its turn comes. Once per operation; further calls do
 * nothing. */
void handler_wake(struct handler *handler);
/* The wall clock ran out, or the host ends it: abandoned for good, `finished` is called. */
void handler_abandon(struct handler *handler, enum script_limit limit, const char *reason);
void handler_free(struct handler *handler);

/* The limits hold in this coroutine, and in those that it makes. */
void vm_watch(lua_State *co);
/* Where the coroutine is, as text; NULL: nothing of the script's is on its stack. Yours to free. */
char *vm_traceback(struct vm *vm, lua_State *co);
/* Lua's message handler for a handler's body: keeps the traceback of the error, which unwinding
 * will lose. */
int vm_keep_traceback(lua_State *L);

/* From a Lua C function, after vm_check_await: suspends the handler until handler_wake; the
 * operation's results are what the function's caller gets. `return vm_await(L, …)`. */
int vm_await(lua_State *L, struct operation *operation);
/* The same for a C function that goes on afterwards: `next` finds the stack as it was left, and
 * first calls vm_end_await. The operation has no results. */
int vm_await_then(lua_State *L, struct operation *operation, lua_KFunction next,
                  lua_KContext context);
/* The one place where an operation ends: cancelled unless it is complete, then released. */
void vm_end_await(struct handler *handler);
/* For coroutine.resume: yields the same wait again from an outer coroutine; `next` runs when the
 * host wakes it. */
int vm_pass_await(lua_State *L, lua_KFunction next, bool context);
/* Every coroutine from here to the handler's own can be suspended. */
bool vm_can_wait(lua_State *L);
/* Raises an error that names `what` where a function cannot wait. Call it before anything is
 * started. */
void vm_check_await(lua_State *L, const char *what);

/* script/coroutines.c: replaces xpcall, coroutine.resume, wrap and close, and debug.traceback. */
void coroutines_install(lua_State *L);
/* script/environment.c: the standard libraries as scripts get them. */
void environment_install(lua_State *L);
/* Resumes `co` from `from` with `arguments`; keeps track of who runs. As lua_resume. */
int vm_resume(struct vm *vm, lua_State *co, lua_State *from, int arguments, int *results);
/* A coroutine that waits for the host, or whose handler was ended while it did, is the host's: no
 * script may resume or close it. The mark needs no memory. */
bool vm_is_held(lua_State *co);
void vm_hold(lua_State *co);
void vm_let_go(lua_State *co);

/* What is said of a handler that is `over_memory`. Yours to free. */
char *vm_memory_text(struct handler *handler);
/* The error object on top of `co` as text, its `__tostring` run within limits. Yours to free. */
char *vm_error_text(struct vm *vm, lua_State *co);

/* script/api.c: the table of our Lua modules. */
void api_install(lua_State *L);

/* script/script.c: sends the question to the host. false: there is no host to ask, and the question
 * stays the caller's. */
bool script_ask(struct script *script, struct script_ask *ask);
size_t *script_asked_bytes(struct script *script);
/* What a sandboxed script may have of what others pay for, in each stretch of time. X(enumerator,
 * what, times, bytes, minutes) */
#define SCRIPT_QUOTAS(X)                                                      \
    X(SCRIPT_QUOTA_NOTIFY, "molecule.notify", 120, (size_t)16 << 20, 1)       \
    X(SCRIPT_QUOTA_UPLOAD, "files for the canvas", 120, (size_t)256 << 20, 1) \
    X(SCRIPT_QUOTA_STORE, "molecule.store", 20000, (size_t)64 << 20, 10)
enum script_quota {
#define X(name, what, times, bytes, minutes) name,
    SCRIPT_QUOTAS(X)
#undef X
};
#define SCRIPT_QUOTA_COUNT 3
/* script/quota.c: one more, of so many bytes. false: it is over; `problem` says so. Always true
 * outside the sandbox. */
bool script_may(struct vm *vm, enum script_quota quota, size_t bytes, char *problem, size_t size);
/* script/script_load.c: the file will be watched, if files are. */
void script_note_file(struct script *script, const char *path);
/* script/api_ask.c: its answer is here; on the worker. */
void ask_answered(struct script_ask *ask);
void ask_free(struct script_ask *ask);

/* script/api_http.c: the handler has ended: so do its streams. */
void http_end_streams(struct handler *handler);

/* script/outcome.c */
void message_push(lua_State *L, const struct message *message);
/* Reads what the handler returned, from stack index `first` to the top, into `outcome`. Never
 * raises. */
void outcome_read(lua_State *L, int first, struct script_outcome *outcome);
void outcome_fail(struct script_outcome *outcome, enum script_limit limit, char *reason,
                  char *traceback);

#endif
