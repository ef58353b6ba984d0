/* One run of script code, and what belongs to it. handler_run.h starts and ends it. */
#ifndef MOLECULE_SCRIPT_HANDLER_H
#define MOLECULE_SCRIPT_HANDLER_H

#include "base/turns.h"
#include "script/script_types.h"

#include <lua.h>

struct operation;
struct vm;

/* What a handler opened and what ends with it: a pipe of io.popen, a stream of molecule.http. Embed
 * it. */
struct resource {
    struct handler *owner;                  /* NULL: it has ended, or nothing is left to end */
    struct resource *next, *previous;       /* of the owner's */
    void (*end)(struct resource *resource); /* the handler ends; calls handler_detach */
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
    struct resource *resources; /* the last one that it opened comes first */
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

/* The resource ends with the handler from now on; handler_detach: no longer. */
void handler_attach(struct handler *handler, struct resource *resource);
void handler_detach(struct resource *resource);
void handler_end_resources(struct handler *handler);

/* One that has ended. */
void handler_free(struct handler *handler);

#endif
