/* One run of script code, and what belongs to it. handler_run.h starts and ends it. */
#ifndef MOLECULE_SCRIPT_HANDLER_H
#define MOLECULE_SCRIPT_HANDLER_H

#include "base/trace.h"
#include "base/turns.h"
#include "script/script_types.h"

#include <lua.h>

struct calls;
struct operation;
struct vm;

struct branch;

/* Something that a handler opened and that ends with it: a pipe of io.popen, a stream of
 * molecule.http. Embed it. */
struct resource {
    struct handler *owner;                  /* NULL: it has ended, or nothing is left to end */
    struct branch *branch;                  /* of the owner: it ends where that is canceled */
    struct resource *next, *previous;       /* of the branch's */
    void (*end)(struct resource *resource); /* the handler ends; calls handler_detach */
};

/* What was stored, by a handler or by a step of it, and the locks for that. */
struct store_scope {
    struct changes *changes; /* NULL: nothing */
    uint64_t ticket;         /* of the locks it holds; 0: none yet */
    /* registry reference of the table of what it stored (core.store_values); LUA_NOREF */
    int values;
    char *key;                /* of the step; NULL: it is the handler's */
    struct trace_place trace; /* the step's span */
    int64_t began_ms;         /* monotonic, of the step */
    bool recorded;            /* the step's result is */
    unsigned asked;           /* how many messages the step sent */
};

/* What calls are that run functions at once; each kind is counted. */
enum branch_kind { BRANCH_ALL, BRANCH_MAP, BRANCH_RACE, BRANCH_KINDS };

/* A branch waits for longer than its run should: core.defer. */
struct deferral {
    int64_t until_ms; /* wall clock */
    bool hold;        /* its conversation waits with it */
    char *reason;
    char *key; /* of the question whose answer ends it; NULL: none */
};

/* One line of execution of a handler, with its coroutine and what it waits for. Each handler has
 * one; molecule.all, map and race make more (api_at_once.c), which are parts of the one that waits
 * for them. They take turns: one runs in each turn of the handler. */
struct branch {
    struct handler *handler;
    struct branch *parent;                      /* NULL: the handler's first */
    struct branch *parts, *last_part;           /* those that live, in order */
    struct branch *next, *previous;             /* of the parent's parts */
    struct branch *next_ready, *previous_ready; /* of the handler's, if it is ready */
    bool ready;
    bool begun; /* its body was entered */
    lua_State *co;
    int co_reference;
    struct operation *operation;  /* what it waits for; NULL while it runs */
    struct deferral *deferral;    /* … and nothing in this run ends it; NULL: no */
    struct resource *resources;   /* the newest first */
    struct store_scope *step;     /* of its step under way (api_step.c); NULL: none */
    unsigned asked;               /* how many messages it sent */
    unsigned calls[BRANCH_KINDS]; /* how often it ran functions at once */
    unsigned depth;               /* of how many branches it is a part */
    /* "all#1[2]/map#1[key]", the same when the handler runs again; NULL: the handler's first */
    char *path;
    char *traceback; /* of vm_keep_traceback; NULL: none */
    /* registry reference of an error that came from one of its parts, or LUA_NOREF, and where that
     * was raised: vm_keep_traceback shows it first */
    int raised;
    char *raised_traceback;
    /* of a part: it ran, and stopped with this status of Lua's; may free it */
    void (*ran)(struct branch *branch, int status);
    /* of a part: makes its coroutine, protected, on the main thread of the state */
    void (*prepare)(lua_State *L, struct branch *branch);
    struct group *group; /* of a part: api_at_once.c */
    lua_Integer index;   /* … and which it is, from 1 */
};

/* One run of script code in its own coroutine: a message, or the agent's load, start or stop. */
struct handler {
    struct turn turn; /* first */
    struct vm *vm;
    struct handler *next, *previous;
    struct branch main;                /* its body, and what that calls */
    struct branch *ready, *last_ready; /* those that continue, in order */
    int64_t cpu_limit_ms, cpu_used_ms, timeout_ms;
    /* "while loading", for errors, where the limits are fixed; NULL: they are options */
    const char *phase;
    int64_t deadline_ms;         /* monotonic; 0: none */
    const atomic_bool *canceled; /* somebody wants it to end; NULL: nobody can */
    bool expired;                /* set by the host when a limit was reached; never cleared */
    /* its message is being pushed into a state that was nearly empty */
    bool taking;
    /* it needed more than --memory-limit, even if it caught the error */
    bool over_memory;
    enum script_limit limit;
    char where[512]; /* the script's position when it reached a limit */
    /* its last error that would be the same on every run (api_misuse); NULL: none */
    char *misuse;
    /* what it is, if it may not wait: "conversation(msg)"; NULL: it may */
    const char *may_not_wait;
    struct script_outcome outcome;
    struct store_scope store; /* recorded with its outcome */
    int steps;                /* registry reference of what lua/molecule/steps.lua knows of it;
                                 LUA_NOREF */
    bool deferring;           /* a branch of it has called core.defer */
    bool asleep;              /* all that are left have, and it ends */
    /* id and hops of the message that its reply answers: the sender's last answer to a question of
     * its (ctx.ask); NULL: its own message */
    char *reply_to;
    unsigned reply_hops;
    unsigned said;       /* how many lines it logged */
    struct calls *calls; /* of its message: what it asked of the world; NULL: nobody wants to know
                          */
    void (*finished)(struct handler *handler); /* called once; frees it with handler_free */
    struct script_job *job; /* NULL for load, start, stop, timers and what was typed */
    void *context, *argument;
};

/* The resource ends with the branch or its handler from now on; handler_detach: no longer. */
void handler_attach(struct branch *branch, struct resource *resource);
void handler_detach(struct resource *resource);

/* Zeroed before. */
void branch_init(struct branch *branch, struct handler *handler);
void branch_end_resources(struct branch *branch);
/* What it opened is the parent's from now on. */
void branch_hand_over(struct branch *branch);
/* One of the branches that nothing else waits for: where the handler is, for who wants to know. */
const struct branch *branch_innermost(const struct handler *handler);
/* It is the parent's newest part. */
void branch_link(struct branch *branch, struct branch *parent);
void branch_unlink(struct branch *branch);
/* Neither it nor a part of it is going to continue in this run: each has called core.defer. */
bool branch_is_deferred(const struct branch *branch);
/* What it holds outside the Lua state; not itself. */
void branch_release(struct branch *branch);

/* What the branch stores now goes there: to its step, or to the one that it is a part of. */
struct store_scope *branch_store(struct branch *branch);
/* Whose step that is; NULL: no step is under way. */
struct branch *branch_in_step(struct branch *branch);

/* Whose message its reply answers, if not its own's: the outcome's from now on. */
void handler_give_reply_to(struct handler *handler, struct script_outcome *outcome);
/* One that has ended. */
void handler_free(struct handler *handler);

#endif
