/* What a script and its host hand each other: jobs and their outcomes, questions, what an agent
 * says about itself. Nothing here knows Lua. */
#ifndef MOLECULE_SCRIPT_SCRIPT_TYPES_H
#define MOLECULE_SCRIPT_SCRIPT_TYPES_H

#include "base/trace.h"
#include "base/changes.h"
#include "base/thread.h"
#include "base/turns.h"
#include "molecule/options.h"
#include "wire/envelope.h"
#include "wire/reply.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct script;

/* How a handler ended. X(enumerator, word in logs, docs and metrics) */
#define SCRIPT_OUTCOMES(X)                                           \
    X(SCRIPT_REPLIED, "replied")   /* there is a reply */            \
    X(SCRIPT_NO_REPLY, "no_reply") /* nothing to say */              \
    X(SCRIPT_SKIPPED, "skipped")   /* molecule.skip */               \
    X(SCRIPT_REJECTED, "rejected") /* molecule.reject */             \
    X(SCRIPT_RETRY, "retry")       /* molecule.retry: again later */ \
    X(SCRIPT_DEAD, "dead")         /* molecule.dead */               \
    X(SCRIPT_FAILED, "failed")     /* an error, or a limit */        \
    X(SCRIPT_CANCELED, "canceled") /* script_cancel */               \
    X(SCRIPT_AGAIN, "again")       /* not this message's fault: run it again, uncounted */
enum script_outcome_kind {
#define X(name, text) name,
    SCRIPT_OUTCOMES(X)
#undef X
};
const char *script_outcome_text(enum script_outcome_kind kind);

/* Which limit ended a handler. X(enumerator, word) */
#define SCRIPT_LIMITS(X)                                  \
    X(SCRIPT_LIMIT_NONE, "none")                          \
    X(SCRIPT_LIMIT_CPU, "cpu")       /* --cpu-limit */    \
    X(SCRIPT_LIMIT_WALL, "timeout")  /* --timeout */      \
    X(SCRIPT_LIMIT_MEMORY, "memory") /* --memory-limit */ \
    X(SCRIPT_LIMIT_CANCEL, "cancel") /* script_cancel */
enum script_limit {
#define X(name, text) name,
    SCRIPT_LIMITS(X)
#undef X
};

struct script_outcome {
    enum script_outcome_kind kind;
    enum script_limit limit;
    bool hopeless;          /* SCRIPT_FAILED: another attempt would fail the same way */
    struct reply reply;     /* SCRIPT_REPLIED */
    char *reason;           /* of skip, retry, dead, or what failed (one line); NULL: none given */
    char *traceback;        /* SCRIPT_FAILED: where; NULL: none */
    int64_t cpu_ms;         /* what the handler used */
    size_t memory_bytes;    /* what the state held at its end, garbage included */
    int64_t retry_after_ms; /* SCRIPT_RETRY; -1: the host's backoff decides */
    bool asleep;            /* SCRIPT_RETRY: ctx.sleep; the next run is the same attempt */
    char *asks;             /* … or ctx.ask: the keys of its questions, a line each; NULL: none */
    /* SCRIPT_REPLIED: id and hops of the message that it answers: the last answer of the sender to
     * a question; NULL: the handler's own message */
    char *reply_to;
    unsigned reply_hops;
    bool hold; /* SCRIPT_RETRY: the conversation waits too */
    /* what the handler stored, to be applied with the outcome; NULL: nothing */
    struct changes *changes;
    /* what the handler asked of the world and what came of it (script/calls.h), a JSON array; NULL:
     * nobody wants to know */
    char *calls;
};
void script_outcome_free(struct script_outcome *outcome); /* its members */

/* Borrowed for the life of the script. */
struct script_settings {
    const struct molecule_workspace_options *options;
    const char *ca_file; /* trusted in addition to the system's certificates; NULL: none */
    bool load_only;      /* the agent's `start` is not called */
};

/* What a loaded agent says about itself. Borrowed during the callback. */
struct script_agent {
    /* NULL: it loaded and its `start` succeeded; else what failed, with file:line */
    const char *problem;
    const char *name, *description; /* NULL: not given */
    const json_t *skills;           /* NULL: not given */
    const json_t *card;             /* more of it, for molecule serve; NULL: not given */
    int concurrency;                /* 0: not given */
    bool new_tasks;                 /* molecule serve: a repeated messageId begins another task */
    bool answers_replies;           /* it wants to see what other molecule hosts reply */
    bool names_conversations;       /* it has conversation(msg): script_name */
};

/* What a script asks of its host, each through one function of its API. X(enumerator, name in Lua)
 */
#define SCRIPT_ASKS(X)                                                                             \
    X(SCRIPT_ASK_GET, "molecule.store.get")   /* key -> value */                                   \
    X(SCRIPT_ASK_KEYS, "molecule.store.keys") /* key: prefix; most -> JSON array */                \
    X(SCRIPT_ASK_COMMIT, "the store")         /* changes, of start, stop or a timer */             \
    X(SCRIPT_ASK_STEPS, "the steps")          /* -> JSON array, see journal_steps_load */          \
    X(SCRIPT_ASK_STEP, "ctx.step")            /* key; step; text: value; changes */                \
    X(SCRIPT_ASK_QUESTION, "ctx.ask")         /* key; text: spec or none -> see host_call_ask */   \
    X(SCRIPT_ASK_POSTED, "ctx.ask")           /* key; text: task id or none -> null: has answer */ \
    X(SCRIPT_ASK_CLOSE, "ctx.ask")            /* key; text: answer -> closed? see host_call_ask */ \
    X(SCRIPT_ASK_ARTIFACT, "ctx.artifact")    /* text: a piece, see struct door_saying */          \
    X(SCRIPT_ASK_SEND, "molecule.send") /* key: to whom; reply; timeout -> {text, parts} … */    \
    X(SCRIPT_ASK_NOTIFY, "molecule.notify")     /* reply */                                        \
    X(SCRIPT_ASK_PEERS, "molecule.peers")       /* key: q -> JSON array */                         \
    X(SCRIPT_ASK_DELEGATE, "molecule.delegate") /* key: to whom; text: the task -> JSON object */  \
    X(SCRIPT_ASK_FETCH, "file:read")            /* key: id of a staged upload -> its bytes */      \
    X(SCRIPT_ASK_UPLOAD, "molecule.files") /* text: a multipart body -> JSON array of files */     \
    X(SCRIPT_ASK_LIMITS, "the limits of files") /* -> JSON object, see host_calls_ask */
enum script_ask_kind {
#define X(name, text) name,
    SCRIPT_ASKS(X)
#undef X
};
const char *script_ask_text(enum script_ask_kind kind);

struct ask_operation;

/* One question. Made on the worker, the host's from events.ask until script_answer, which gives it
 * back with the answer in it. Everything is owned by it. */
struct script_ask {
    struct task task; /* the script's own */
    struct script *script;
    struct ask_operation *operation; /* the worker's: who waits; NULL: nobody */
    enum script_ask_kind kind;
    struct trace_place trace; /* its span */
    char *key, *text;
    size_t text_length;
    size_t charged; /* the script's: bytes that count against its memory limit */
    struct reply reply;
    struct changes *changes;
    char *context_id; /* SEND; NULL: none */
    struct {
        const char *kind; /* static */
        char *digest;
    } step; /* STEP; CLOSE: the kind alone, of enum question_close's words */
    struct {
        char *key;      /* of its step */
        char *purpose;  /* its message's id is made of this; NULL: it posts no question */
        char *reply_to; /* id of the message that it replies to; NULL: none */
        int hops;       /* … and its hops */
    } question;         /* SEND, NOTIFY: the post of a question (ctx.ask) */
    char *row_id;       /* of the message whose handler asks; NULL: a timer, start or stop */
    /* sequence number within its branch of the handler: with row_id, the same when the handler runs
     * again */
    unsigned number;
    char *branch; /* … that branch: "all#1[2]"; NULL: the handler's own, or no SEND or DELEGATE */
    /* of that message so far: questions after molecule.retry are new ones */
    unsigned retries;
    /* that handler may have run before, counted or not, and the answer may be in the ledger */
    bool may_be_known;
    int hops; /* replies in a row before the message whose handler asks */
    int64_t timeout_ms;
    /* KEYS: how many; FETCH: bytes; DELEGATE: milliseconds to wait for the result */
    int64_t most;
    /* the answer */
    char *value; /* NULL: there is none, or `problem` */
    size_t value_length;
    char *problem;    /* what went wrong; NULL: nothing */
    const char *code; /* of the problem; static */
};

/* A line that the script logs, or what it did to the world. Borrowed during the callback. */
struct script_said {
    const char *row_id; /* of the message whose handler says it; NULL: a timer, load, start, stop */
    bool is_msg;        /* the text is the handler's msg as JSON; level and what are NULL */
    const char *level;  /* "error", "warn", "info", "debug"; NULL: no line of the log */
    const char *what;   /* then: "molecule.http", "molecule.exec" */
    const char *text;   /* cut if it is very long; without secrets */
    const char *call;   /* then: the call as --record has it, JSON; NULL: it is not kept */
    int64_t took_ms;    /* then: how long it took */
};

/* What a script says of its schedules (molecule.cron). */
enum script_schedule_kind {
    SCRIPT_SCHEDULES_AFRESH, /* those of an earlier state are no more; followed by those there are
                              */
    SCRIPT_SCHEDULE_MADE,    /* it wants to know since when: script_schedule_since */
    SCRIPT_SCHEDULE_NEXT,    /* when it is due next */
    SCRIPT_SCHEDULE_DUE
};

/* Made on the worker; the host's from events.schedule until script_schedule_since or
 * script_schedule_free. Everything is owned by it. */
struct script_schedule {
    struct task task; /* the script's own */
    struct script *script;
    enum script_schedule_kind kind;
    int64_t id;               /* the script's own */
    char *name, *spec, *zone; /* NULL: AFRESH */
    bool catch_up;            /* a run that is missed while there is no host is due at its start */
    int64_t at_s;             /* MADE: now; DUE: when it is due. Epoch seconds */
    int64_t next_s;           /* NEXT: epoch seconds; 0: never */
};

struct script_events {
    /* once after script_open */
    void (*loaded)(void *context, const struct script_agent *agent);
    /* after each reload, and after a state was replaced; never with a problem. NULL: nobody needs
     * to know */
    void (*reloaded)(void *context, const struct script_agent *agent);
    /* it did not load again; where there is a previous version, that stays. NULL: nobody needs to
     * know */
    void (*not_reloaded)(void *context, const char *problem);
    /* NULL: nobody listens. So many lines of one handler at most: see script_said.c */
    void (*said)(void *context, const struct script_said *said);
    /* takes the question; NULL: there is no host to ask */
    void (*ask)(void *context, struct script_ask *ask);
    /* takes it; NULL: there is no host, and nothing is ever due */
    void (*schedule)(void *context, struct script_schedule *said);
    void *context;
};

/* One message for the handler. Embed or allocate it; it must live until `done`. */
struct script_job {
    struct task task; /* the script's own */
    struct turn turn; /* the script's own */
    struct script *script;
    /* the worker's until `done`; its content may be shed, then `row` has it */
    struct message *message;
    struct page_row row;
    unsigned attempt; /* from 1 */
    /* earlier attempts that asked for another one (molecule.retry) */
    unsigned retries;
    bool has_steps;       /* its steps of an earlier run may be in the ledger */
    bool redelivered;     /* it may have been seen before a restart */
    atomic_bool canceled; /* script_cancel */
    /* on the worker thread, right before the handler. false: it is not run, and ends as
     * SCRIPT_AGAIN */
    bool (*starting)(struct script_job *job);
    struct trace_context trace;    /* the attempt's span; zeroed: none */
    struct script_outcome outcome; /* filled in before `done`; free with script_outcome_free */
    void (*done)(struct script_job *job);
    void *context;
};

/* Messages whose conversations the agent is asked for. What it points to must live until `done`. */
struct script_naming {
    struct task task; /* the script's own */
    struct turn turn; /* the script's own */
    struct script *script;
    atomic_size_t named; /* the script's: how many are done */
    atomic_bool in_hand; /* the script's: it is at the next one now */
    /* on the worker thread, before each; NULL: not called */
    void (*starting)(struct script_naming *naming, size_t which);
    struct message *const *messages; /* read by the worker until `done` */
    /* filled in before `done`: yours to free; NULL: the message's own conversation */
    char **keys;
    size_t count;
    void (*done)(struct script_naming *naming);
};

/* Code that somebody typed, run in the agent's state as a timer's function is: with the limits of a
 * message, and what it stores is kept when it ends. What it points to must live until `done`. */
struct script_evaluation {
    struct task task; /* the script's own */
    struct turn turn; /* the script's own */
    struct script *script;
    bool begun;           /* the script's: its handler has started */
    const char *function; /* of lua/molecule/repl.lua */
    const char *text;     /* its argument */
    atomic_bool canceled; /* script_interrupt */
    /* filled in before `done`: what the function returned, or what went wrong. Yours to free */
    char *result;
    bool incomplete; /* the code has no end yet */
    bool failed;
    void (*done)(struct script_evaluation *evaluation);
};

/* What script_current says of a timer, start, stop or conversation(msg). */
extern const struct script_job script_no_message;

/* The one call into Lua that the worker is in. */
struct script_call {
    int64_t ms; /* how long it has lasted; 0: none is under way */
    /* Lua code of it runs; else it is in C that Lua code called, which nothing can interrupt */
    bool in_lua;
    bool will_end; /* a limit is going to end it while it is in Lua code */
};

#endif
