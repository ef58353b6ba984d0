/* Row -> message: what the script will see (contract §2). No I/O. */
#ifndef MOLECULE_WIRE_ENVELOPE_H
#define MOLECULE_WIRE_ENVELOPE_H

#include "wire/page.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* What a row of type a2a_receive is (contract §2.6). X(enumerator, what the log says) */
#define ENVELOPE_KINDS(X)                                     \
    X(ENVELOPE_MESSAGE, "a message")                          \
    X(ENVELOPE_ECHO, "our own notify")                        \
    X(ENVELOPE_SELF_REPORT, "our own report")                 \
    X(ENVELOPE_UPLOAD, "a staged upload")                     \
    X(ENVELOPE_ANSWERED, "already answered by push dispatch") \
    X(ENVELOPE_QUEUED_BUSY, "bookkeeping of the push queue")  \
    X(ENVELOPE_EMPTY, "without a request")                    \
    X(ENVELOPE_UNREADABLE, "unreadable")
enum envelope_kind {
#define X(name, text) name,
    ENVELOPE_KINDS(X)
#undef X
};
const char *envelope_kind_text(enum envelope_kind kind);

/* What an ordinary message has as JSON is not parsed: sound slices (wire/slice.h) of its `raw`, of
 * no bytes where there is none. Then the members of struct message that they replace are NULL. */
struct message_plain {
    struct page_row parts;
    bool files;                   /* some of the parts are files (wire/parts_plain.h) */
    struct page_row outer, inner; /* params.metadata, params.message.metadata: objects */
    struct page_row history;
};

/* All strings are valid UTF-8, NUL-terminated, owned by the message, NULL where the row has none
 * (text is never NULL). Strings that may hold U+0000 carry a length. JSON values are owned
 * references, NULL where absent. */
struct message {
    enum envelope_kind kind;
    /* the activity row's id: the cursor value. NULL only if kind is UNREADABLE and it has none */
    char *row_id;
    char *source_id;  /* the peer's workspace id; NULL: the human in the canvas */
    char *created_at; /* as sent, RFC 3339 */
    char *method;     /* "message/send"; any other is a message, too */
    char *message_id; /* params.message.messageId, or message_id */
    char *context_id; /* params.message.contextId, or context_id */
    char *task_id;    /* params.message.taskId, or task_id */
    char *peer_name;  /* LATEST with include=peer_info */
    char *peer_role;
    /* "<source or canvas>" or "<source or canvas>/<contextId>": what must stay in order */
    char *conversation;
    /* contract §2.5; falls back to other places only when there are no parts at all */
    char *text;
    size_t text_length;
    json_t *parts; /* array, as sent; NULL: none */
    /* array of {name, mime_type, uri, size, bytes}, each key only where known; NULL: none */
    json_t *files;
    /* params.message.metadata merged over params.metadata without its history */
    json_t *metadata;
    json_t *history; /* params.metadata.history (canvas at T1), array */
    char *echo;      /* of ENVELOPE_ECHO: response_body.result, what was told; else NULL */
    size_t echo_length;
    struct message_plain plain;
    char *raw; /* the envelope's (request_body's) exact bytes; "" where absent */
    size_t raw_length;
    long long seq; /* LATEST; -1 where absent */
    bool repaired; /* the row did not parse as it stood (wire/repair.h) */
    /* message.metadata.molecule.in_reply_to: a reply made by a molecule host; else NULL */
    char *in_reply_to;
    /* message.metadata.traceparent, else params.metadata.traceparent (W3C Trace Context); NULL:
     * none
     */
    char *traceparent;
    /* a notice from the platform itself, the result of a delegation: `text` is the result,
     * in_reply_to its id; a reply to it reaches nobody */
    bool unanswerable;
    unsigned hops; /* message.metadata.molecule.hops, else 0 */
    char *problem; /* why it is unreadable; else NULL */
    bool shed;     /* message_shed took its content */
    /* a due run of a schedule, and no row of the platform (wire/cron_run.h): an object with its
     * name, spec, timezone and scheduled_at; NULL: a row */
    json_t *run;
    /* it came in through a door of ours (wire/served.h): an object of what it knows of its task;
     * NULL: a row of the platform */
    json_t *served;
    /* base/shared.h: where strings above stand that were found in the row's bytes; the others are
       each their own. NULL: none */
    const char *names;
    size_t names_length;
};

/* An upper bound for the memory that a parsed row takes, in bytes, from counting brackets and
 * commas. A sender chooses how much that is: "{}," is three bytes in a row, and some three hundred
 * when parsed. */
size_t envelope_cost(struct page_row row);
/* A row that would take more is unreadable: about 450,000 empty objects, or 64 MiB of text. */
#define ENVELOPE_COST_MAXIMUM ((size_t)128 << 20)

/* Reads one row. `self` is our own workspace id (self reports are recognized by it). Never fails:
 * what cannot be read comes back as ENVELOPE_UNREADABLE with the id, if that much could be found.
 * Free with message_free. */
struct message *envelope_read(struct page_row row, const char *self);
void message_free(struct message *message); /* NULL is fine */
/* The same through jansson's values alone, whatever the row: the reference for tests. */
struct message *envelope_read_tree(struct page_row row, const char *self);

/* Of its names those that are needed longer; NULL where it has none. */
struct message_names {
    const char *shared; /* base/shared.h: where they stand; to be released */
    const char *row_id, *source_id, *created_at;
};
struct message_names message_take_names(const struct message *message);
/* It replies to nothing, whatever it says: in_reply_to, hops, unanswerable. */
void message_forget_marks(struct message *message);
void message_set_conversation(struct message *message, const char *conversation);

/* A new reference to its parts, wherever they are; NULL: none, or out of memory. */
json_t *message_parts(const struct message *message);

/* While a message waits, its row's bytes are enough: drops text, parts, files, metadata, history,
 * echo and raw. */
void message_shed(struct message *message);
/* The same, if the message takes much more memory than its row. */
void message_shed_large(struct message *message, struct page_row row);
/* Reads them from the row again; does nothing for a message that has not shed them. */
void message_restore(struct message *message, struct page_row row, const char *self);

#endif
