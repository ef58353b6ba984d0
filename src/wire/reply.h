/* Reply -> request body (contract §3). No I/O. */
#ifndef MOLECULE_WIRE_REPLY_H
#define MOLECULE_WIRE_REPLY_H

#include "wire/envelope.h"
#include "wire/reply_request.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Bytes of a body that /a2a takes (contract §1.10): T1 cuts it there, later versions refuse more.
 */
#define REPLY_BODY_MAXIMUM ((size_t)1024 * 1024)
#define REPLY_SUMMARY_BYTES 80
#define REPLY_BODY_MAXIMUM_LATEST ((size_t)16 * 1024 * 1024)

/* What a script returned, before it has an address. Owned strings and references; reply_free. */
struct reply {
    char *text; /* NULL: none */
    size_t text_length;
    /* array of parts as they go on the wire; `text` is put before them if none of them is a text.
       NULL: one text part made of `text` */
    json_t *parts;
    /* instead of `parts`: the same as it goes on the wire, an array in JSON of nothing but parts of
     * the kinds text and data; `plain_text` tells if a text is among them */
    char *plain_parts;
    bool plain_text;
    /* array of {name?, description?, metadata?, parts}, for the task of an A2A client (checked:
     * wire/artifacts.h); NULL: none */
    json_t *artifacts;
    bool as_message; /* such a client gets a message for an answer, and no artifact */
    size_t maximum;  /* bytes of its body; 0: REPLY_BODY_MAXIMUM */
    /* for the canvas: the platform cuts its summary of the text at byte REPLY_SUMMARY_BYTES, and
     * loses the summary if that is inside a character (T1, contract §12): leading newlines shift
     * the text */
    bool cut_summary;
    /* not a reply to `message` but a new message: it carries `hops` and no `in_reply_to` */
    bool question;
    /* metadata.traceparent for a peer (W3C Trace Context); NULL or "": none. Borrowed */
    const char *traceparent;
};
void reply_free(struct reply *reply); /* its members; NULL members are fine */

/* Builds the post that answers `message`. `purpose` is "/reply", "/error", "/progress/1", …: the id
 * is uuid_of_name(row id + purpose). A peer gets JSON-RPC message/send, role "user", `kind` parts,
 * contextId where the message had one, metadata.molecule = {in_reply_to: row's messageId, hops:
 * message->hops + 1}. The canvas gets
 * {"message": text} plus attachments for file parts that have a uri and a name; a reply of files
 * alone gets their names as its text. Every string is repaired (wire/repair.h); part keys `type`
 * become `kind`, and a part without either gets the kind that its members show. false: the
 * reply cannot be sent (nothing in it, larger than its maximum, a part that is not an object or of
 * no kind, parts for the canvas without any text or file); `problem` says so with sizes. */
bool reply_build(const struct message *message, const struct reply *reply, const char *purpose,
                 struct reply_request *request, char *problem, size_t problem_size);

/* How the platform answered a reply (contract §3.2, §1.10); retry.h decides what follows. */
enum reply_answer {
    REPLY_ANSWER_QUEUED,  /* 200 status queued, or 202 queued: accepted */
    REPLY_ANSWER_RESULT,  /* the peer's own JSON-RPC result */
    REPLY_ANSWER_ERROR,   /* the peer's own JSON-RPC error: delivered, but it failed there */
    REPLY_ANSWER_NOTHING, /* LATEST says that the peer's agent answered with an empty body */
    REPLY_ANSWER_SENT,    /* notify: 200 status sent */
    REPLY_ANSWER_STRANGE  /* not the JSON expected */
};
enum reply_answer reply_read_answer(bool to_canvas, const char *body, size_t length);

#endif
