/* Where a message came in that is no row of the platform (wire/served.h): what its handler says
 * goes there, and so does its end. All on the network thread. */
#ifndef MOLECULE_MESSAGES_DOOR_H
#define MOLECULE_MESSAGES_DOOR_H

#include "wire/envelope.h"
#include "wire/reply.h"

#include <jansson.h>

struct journal_task;

/* How a message ends. Borrowed. */
struct door_end {
    const char *outcome; /* "replied", "no_reply", "skipped", "rejected", "canceled", "dead" */
    const char *reason;  /* NULL: none */
    bool said;           /* the reason is the script's word, and may be shown */
    const struct reply *reply; /* "replied" */
};

enum door_saying_kind { DOOR_PROGRESS, DOOR_ARTIFACT, DOOR_QUESTION };

/* What a handler says while it runs. Borrowed for the call. */
struct door_saying {
    enum door_saying_kind kind;
    /* where in the handler it is said: the same when the handler runs again. A later one in the
     * same branch has a larger number */
    const char *branch;
    unsigned number;
    const struct reply *reply; /* PROGRESS, QUESTION */
    const json_t *artifact;    /* ARTIFACT: {name?, description?, parts, append?, last?, …} */
    const char *key;           /* QUESTION: its step's */
    bool authorization;        /* QUESTION: ctx.auth_required */
    /* it is recorded (`problem` NULL), or cannot be said */
    void (*then)(void *context, const char *problem, const char *code);
    void *context;
};

struct door {
    /* A handler begins with it. */
    void (*begun)(void *context, const struct message *message);
    /* `then` follows, at once or later. */
    void (*say)(void *context, const struct message *message, const struct door_saying *saying);
    /* It ends so; what is to be recorded of its task along with it, the caller's. NULL: nothing. */
    struct journal_task *(*ends)(void *context, const struct message *message,
                                 const struct door_end *end);
    /* Whoever brought it has been told that the reply comes otherwise. */
    bool (*late)(void *context, const struct message *message);
    /* … and that is recorded. */
    void (*ended)(void *context, const struct message *message);
    void *context;
};

#endif
