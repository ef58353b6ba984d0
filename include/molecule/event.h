/* What becomes of messages, as the host tells the program that embeds it
 * (molecule_options.on_event). */
#ifndef MOLECULE_EVENT_H
#define MOLECULE_EVENT_H

#include <stddef.h>
#include <stdint.h>

/* What becomes of a message. */
enum molecule_event_kind {
    MOLECULE_EVENT_STARTED, /* its handler is about to run */
    MOLECULE_EVENT_REPLY,   /* its reply is about to be posted, for the first time or again */
    MOLECULE_EVENT_LATER,   /* this attempt had no outcome; it will be retried */
    MOLECULE_EVENT_FINISHED /* it has its outcome */
};

/* All texts are borrowed for the call. */
struct molecule_event {
    enum molecule_event_kind kind;
    const char *workspace_id, *row_id;
    const char *outcome;   /* FINISHED: "replied", "no_reply", "skipped", "dead", "answer" */
    const char *reason;    /* LATER, FINISHED; NULL: none is known */
    const char *traceback; /* FINISHED as "dead" by an error of the script; NULL: none */
    int64_t again_ms;      /* LATER: from now */
    const char *reply;     /* REPLY: the request's body, reply_length bytes */
    size_t reply_length;
};

#endif
