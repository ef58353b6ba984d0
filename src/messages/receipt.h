/* Did a reply to the canvas arrive? /notify has no id that the platform could dedupe by, but it
 * leaves an echo in our own inbox (contract §1.9): a row with method "notify" whose
 * response_body.result is the text. */
#ifndef MOLECULE_MESSAGES_RECEIPT_H
#define MOLECULE_MESSAGES_RECEIPT_H

#include "messages/inbox.h"
#include "wire/reply.h"

#include <stdbool.h>

struct journal;
struct link;
struct receipt; /* one search under way */

/* Looks for the echo among the rows after the message's own. Equal replies that are known to have
 * been posted since then account for one echo each. Continues until the platform has answered; when
 * the rows are gone (410) the answer is "not found". The callback comes later, once. */
struct receipt *receipt_look(struct link *link, struct journal *journal,
                             const struct inbox_entry *entry, const struct reply_request *request,
                             void (*done)(bool found, void *context), void *context);
void receipt_cancel(struct receipt *receipt); /* NULL is fine */

#endif
