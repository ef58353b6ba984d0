/* What outcome.c and outcome_record.c share. Only they include this. */
#ifndef MOLECULE_MESSAGES_OUTCOME_PRIVATE_H
#define MOLECULE_MESSAGES_OUTCOME_PRIVATE_H

#include "messages/outcome.h"

/* The handler's outcome turned out to be a failure: what it stored is forgotten. */
void outcome_drop_changes(struct dispatch *dispatch, struct inbox_entry *entry);
/* It has ended, one way or another: others may run in parallel again. */
void outcome_settle_suspect(struct dispatch *dispatch, struct inbox_entry *entry);
/* For an entry that is RECORDING; the second one also for one whose reply is SETTLED. */
void outcome_record_finish(struct dispatch *dispatch, struct inbox_entry *entry,
                           const char *outcome, const char *reason);
void outcome_record_dead(struct dispatch *dispatch, struct inbox_entry *entry, const char *reason,
                         const char *traceback);
/* The reply is stored before it is posted. `dead_reason`: it tells the sender about a dead letter;
 * NULL: it does not. */
void outcome_store_reply(struct dispatch *dispatch, struct inbox_entry *entry, struct reply *reply,
                         const char *purpose, const char *dead_reason, const char *traceback);
/* Another attempt in `delay_ms`; `hold`: its conversation waits with it. */
void outcome_try_later(struct dispatch *dispatch, struct inbox_entry *entry, int64_t delay_ms,
                       bool hold, const char *reason);

/* Its handler is asleep for `delay_ms`; then the same attempt runs again. */
void outcome_sleep(struct dispatch *dispatch, struct inbox_entry *entry, int64_t delay_ms,
                   bool hold, const char *reason);

#endif
