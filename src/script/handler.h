/* One run of script code, and what belongs to it. handler_run.h starts and ends it. */
#ifndef MOLECULE_SCRIPT_HANDLER_H
#define MOLECULE_SCRIPT_HANDLER_H

#include "base/turns.h"
#include "script/script_types.h"

#include <lua.h>

struct calls;
struct operation;
struct vm;

/* Something that a handler opened and that ends with it: a pipe of io.popen, a stream of
 * molecule.http. Embed it. */
struct resource {
    struct handler *owner;                  /* NULL: it has ended, or nothing is left to end */
    struct resource *next, *previous;       /* of the owner's */
    void (*end)(struct resource *resource); /* the handler ends; calls handler_detach */
};

/* What was stored, by a handler or by a step of it, and the locks for that. */
struct store_scope {
    struct changes *changes; /* NULL: nothing */
    uint64_t ticket;         /* of the locks it holds; 0: none yet */
    /* registry reference of the table of what it stored (core.store_values); LUA_NOREF */
    int values;
};

/* One run of script code in its own coroutine: a message, or the agent's load, start or stop. */
struct handler {
    struct turn turn; /* first */
    struct vm *vm;
    struct handler *next, *previous;
    lua_State *co;
    int co_reference;
    int64_t cpu_limit_ms, cpu_used_ms, timeout_ms;
    /* "while loading", for errors, where the limits are fixed; NULL: they are options */
    const char *phase;
    int64_t deadline_ms;         /* monotonic; 0: none */
    const atomic_bool *canceled; /* somebody wants it to end; NULL: nobody can */
    bool begun;                  /* its body was entered */
    bool expired;                /* set by the host when a limit was reached; never cleared */
    /* its message is being pushed into a state that was nearly empty */
    bool taking;
    /* it needed more than --memory-limit, even if it caught the error */
    bool over_memory;
    enum script_limit limit;
    char where[512]; /* the script's position when it reached a limit */
    char *traceback; /* of vm_keep_traceback; NULL: none */
    /* its last error that would be the same on every run (api_misuse); NULL: none */
    char *misuse;
    struct operation *operation; /* what it waits for; NULL while it runs */
    /* what it is, if it may not wait: "conversation(msg)"; NULL: it may */
    const char *may_not_wait;
    struct resource *resources; /* the newest first */
    struct script_outcome outcome;
    struct store_scope store; /* recorded with its outcome */
    struct store_scope *step; /* of the step under way (api_step.c); NULL: none */
    int steps;                /* registry reference of what lua/molecule/steps.lua knows of it;
                                 LUA_NOREF */
    bool asleep;              /* it has called core.defer, and ends */
    unsigned asked;           /* how many messages it sent */
    unsigned said;            /* how many lines it logged */
    struct calls *calls; /* of its message: what it asked of the world; NULL: nobody wants to know
                          */
    void (*finished)(struct handler *handler); /* called once; frees it with handler_free */
    struct script_job *job; /* NULL for load, start, stop, timers and what was typed */
    void *context, *argument;
};

/* The resource ends with the handler from now on; handler_detach: no longer. */
void handler_attach(struct handler *handler, struct resource *resource);
void handler_detach(struct resource *resource);
void handler_end_resources(struct handler *handler);

/* What is stored now goes there. */
static inline struct store_scope *handler_store(struct handler *handler)
{
    return handler->step ? handler->step : &handler->store;
}

/* One that has ended. */
void handler_free(struct handler *handler);

#endif
