/* What of a message's trace the network thread records (base/trace.h). */
#ifndef MOLECULE_MESSAGES_SPANS_H
#define MOLECULE_MESSAGES_SPANS_H

#include <stdint.h>

struct inbox_entry;
struct script_ask;
struct script_job;

/* The span of posting a message's reply, below the message's. */
#define SPAN_POST "post"

/* It is finished. */
void span_message(const char *workspace_id, const struct inbox_entry *entry);
/* Its reply was accepted; `peer_id` NULL: by the canvas. */
void span_post(const struct inbox_entry *entry, const char *peer_id, int64_t started_ms);
/* One of its attempts has ended. */
void span_attempt(const struct inbox_entry *entry, const struct script_job *job, int64_t took_ms);
/* What its handler asked of the platform or a peer is answered; other questions have no span. */
void span_ask(const struct script_ask *ask, int64_t started_ms);

#endif
