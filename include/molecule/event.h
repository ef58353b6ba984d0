/* What becomes of messages, as the host tells the program that embeds it
 * (molecule_options.on_event). */
#ifndef MOLECULE_EVENT_H
#define MOLECULE_EVENT_H

#include <stddef.h>
#include <stdint.h>

/* What becomes of a message; SCRIPT and LOG may concern none. */
enum molecule_event_kind {
    MOLECULE_EVENT_SCRIPT,  /* the script has loaded, or failed to, for the first time or again */
    MOLECULE_EVENT_ATTEMPT, /* its handler is about to run */
    MOLECULE_EVENT_MSG,     /* the `msg` that the handler is given */
    MOLECULE_EVENT_LOG,     /* the script logs a line (molecule.log) */
    MOLECULE_EVENT_ASKED,   /* its handler asks something of the host, such as molecule.send, or has
                               asked something of the world, such as molecule.http */
    MOLECULE_EVENT_TOLD,    /* what it asked of the host is answered */
    MOLECULE_EVENT_ENDED,   /* its handler has ended; what follows from that is not decided yet */
    MOLECULE_EVENT_REPLY,   /* its reply is about to be posted, for the first time or again */
    MOLECULE_EVENT_ANSWER,  /* its reply is the result of its task, for whoever brought it: an A2A
                               client, or a platform that pushes */
    MOLECULE_EVENT_LATER,   /* this attempt had no outcome; it will be retried */
    MOLECULE_EVENT_FINISHED, /* it has its outcome */
    MOLECULE_EVENT_EXCHANGE  /* of no message: an A2A client asked, and is answered */
};

/* All texts are borrowed for the call. */
struct molecule_event {
    enum molecule_event_kind kind;
    const char *workspace_id;
    const char *row_id; /* NULL: of no message */
    /* ATTEMPT: "cron/NAME", where it is a run of a schedule (molecule.cron) and no row of the
     * platform; else NULL */
    const char *schedule;
    /* ATTEMPT, and FINISHED of an answer to a question, which has no attempt: the A2A client that
     * has sent it, as --auth-token-file names it; else NULL */
    const char *principal;
    const char *outcome; /* FINISHED: "replied", "no_reply", "skipped", "rejected", "dead",
                            "answer"; ENDED also: "retry", "asleep", "failed", "canceled", "again"
                          */
    /* ENDED, LATER, FINISHED; NULL: none is known. SCRIPT: why it did not load; TOLD: what went
     * wrong; NULL: nothing did */
    const char *reason;
    const char *traceback; /* ENDED, FINISHED as "dead" by an error; NULL: none */
    unsigned attempt;      /* ATTEMPT, ENDED: from 1 */
    int64_t wall_ms;       /* TOLD: how long that took. ENDED: how long the handler took, */
    int64_t cpu_ms;        /* … and its CPU time, */
    int64_t memory_bytes;  /* … and what the script's Lua state held at its end */
    int64_t again_ms;      /* LATER: from now */
    const char *level;     /* LOG: "error", "warn", "info", "debug" */
    /* LOG: the line. MSG: JSON, cut at 64 KiB. ASKED: what is sent, or what was done and came of
     * it; NULL: none. With a principal: the message's text. ANSWER: its parts as A2A 1.0
     * has them, a JSON array. EXCHANGE: a JSON object,
     * {"n", "method", "url", "headers": ["Name: value"], "body", "status", "answer", "took_ms",
     * "streams"}, and for each further piece of a stream {"n", "answer"}; bodies are cut at 64 KiB,
     * and a header's secret is hidden */
    const char *text;
    const char *what;  /* ASKED, TOLD: "molecule.send", … */
    const char *key;   /* ASKED, TOLD: to whom, or the key; NULL: none */
    const char *call;  /* ASKED, of molecule.http and programs: the call as --record has it, a JSON
                          object (docs/testing.md); NULL: it is not kept */
    int64_t took_ms;   /* ASKED, of the same: how long it took */
    const char *reply; /* REPLY: the request's body, reply_length bytes */
    size_t reply_length;
};

#endif
