/* The immediate answer of a peer: a JSON-RPC result (contract §3.2) -> text, parts,
 * a task's state. No I/O. */
#ifndef MOLECULE_WIRE_RESULT_H
#define MOLECULE_WIRE_RESULT_H

#include <jansson.h>
#include <stdbool.h>

/* A task's state, as A2A 0.x and 1.0 spell it. X(enumerator, word, what it means for whoever asked)
 */
#define RESULT_STATES(X)                                   \
    X(RESULT_COMPLETED, "completed", ANSWERED)             \
    X(RESULT_INPUT_REQUIRED, "input-required", ASKED_BACK) \
    X(RESULT_AUTH_REQUIRED, "auth-required", ASKED_BACK)   \
    X(RESULT_SUBMITTED, "submitted", UNDER_WAY)            \
    X(RESULT_WORKING, "working", UNDER_WAY)                \
    X(RESULT_FAILED, "failed", REFUSED)                    \
    X(RESULT_REJECTED, "rejected", REFUSED)                \
    X(RESULT_CANCELED, "canceled", REFUSED)

enum result_kind {
    /* a message, a text, or a completed task: its artifacts, else what its status says */
    RESULT_ANSWER,
    /* the peer needs something more first: what its status says, then artifacts */
    RESULT_QUESTION,
    RESULT_UNDER_WAY, /* the peer is working on it */
    RESULT_FAILURE    /* the peer's task has failed, or was rejected or canceled */
};

struct result {
    enum result_kind kind;
    /* of a task, one of the words above; NULL: none that is known */
    const char *state;
    char *text;                       /* of the parts; NULL: none */
    json_t *parts;                    /* array; NULL: none */
    const char *task_id, *context_id; /* borrowed from the JSON; NULL: none */
};

/* `value` outlives the result. Takes a message, a task, a text, an event of a stream, and 1.0's
 * {"task": …} and
 * {"message": …}. false: out of memory. */
bool result_read(const json_t *value, struct result *result);
void result_free(struct result *result); /* its members */

#endif
