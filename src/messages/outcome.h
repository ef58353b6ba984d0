/* What becomes of a message: the only place where outcomes are applied. No step happens until the
 * previous one is recorded (journal/journal.h). */
#ifndef MOLECULE_MESSAGES_OUTCOME_H
#define MOLECULE_MESSAGES_OUTCOME_H

#include "messages/dispatch.h"

#include <stdint.h>

struct question_answer;
struct script_outcome;

/* An attempt has ended with this outcome, after this long. Takes the outcome's changes and calls.
 */
void outcome_apply(struct dispatch *dispatch, struct inbox_entry *entry,
                   struct script_outcome *outcome, int64_t took_ms);
/* It has its outcome without a handler: it is recorded, then the conversation continues. */
void outcome_finish(struct dispatch *dispatch, struct inbox_entry *entry, const char *outcome);
/* It answers a question of another message's handler: both are recorded at once. */
void outcome_answer(struct dispatch *dispatch, struct inbox_entry *entry,
                    const struct question_answer *answer);
/* A dead letter, without a handler. */
void outcome_dead(struct dispatch *dispatch, struct inbox_entry *entry, const char *reason);
/* Waits in the ledger for this long; the cursor may pass it. */
void outcome_defer(struct dispatch *dispatch, struct inbox_entry *entry, int64_t delay_ms,
                   const char *reason);
/* Defers what blocks its conversation, or is blocked by it, whatever it is doing. false: its own
 * outcome is being recorded, so not now. */
bool outcome_defer_blocked(struct dispatch *dispatch, struct inbox_entry *entry, int64_t now_ms,
                           const char *reason);
/* For the outbox and the host calls; `context` is the dispatch. */
extern const struct outbox_events outcome_outbox_events;
void outcome_answered(void *context, struct inbox_entry *entry);
void outcome_advanced(void *context, const char *row_id);

#endif
