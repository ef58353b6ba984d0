/* A message that came in through a door of ours (molecule serve) as a row: the platform has no such
 * row, it stands in the ledger like one, and becomes a message. No I/O. */
#ifndef MOLECULE_WIRE_SERVED_H
#define MOLECULE_WIRE_SERVED_H

#include "base/uuid.h"
#include "wire/envelope.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Borrowed. */
struct served {
    const char *principal; /* who sends it, as --auth-token-file names them */
    const char *task_id;
    bool answers; /* the task waited for it; else it begins the task */
    /* a Message of A2A 1.0, checked (wire/a2a.h), with its contextId; its request's metadata, or
     * NULL */
    const json_t *message, *metadata;
    int64_t at_ms; /* wall clock */
};

/* UUIDv5 of the principal and the messageId: a repeated request has the same id. A new task has
 * that of its message. */
void served_id(const char *principal, const char *message_id, char id[UUID_TEXT_SIZE]);
/* The same of a message to a task that waits for it: a client may use a messageId in several tasks.
 */
void served_answer_id(const char *principal, const char *task_id, const char *message_id,
                      char id[UUID_TEXT_SIZE]);
/* The row with this id; yours to free. NULL: out of memory. */
char *served_row(const struct served *served, const char *id);
/* Why a row that was made here could not be read again, or the record of its task; NULL: both can
 * be. */
const char *served_problem(const char *row);
/* The principal of what the platform pushes. */
#define SERVED_PLATFORM "platform"
/* The messageId that the platform would drop duplicates by; a request without one is known by its
 * bytes. Yours. */
char *served_pushed_message_id(const json_t *request, const char *bytes, size_t length);
/* The row of a message that the platform pushed: its request as it came, sound JSON. Yours. */
char *served_pushed_row(const char *request, size_t length, const char *id, int64_t at_ms);
/* Whether a row that the ledger had is one of these. Those that a poll brings are not asked. */
bool served_is(struct page_row row);
/* Its message: `served` is set, the source is the principal; of a pushed one there is none. One
 * that is damaged comes back as ENVELOPE_UNREADABLE, without `served` if its task is not known. */
struct message *served_read(struct page_row row);
/* Of such a message. */
const char *served_task_id(const struct message *message);
bool served_answers(const struct message *message);
/* The platform pushed it: it is the canvas's, and its sender is not known. */
bool served_pushed(const struct message *message);

/* A row of the ledger, whichever it is: the platform's, a run of a schedule, or one of these. */
struct message *ledger_row_read(struct page_row row, const char *self);

#endif
