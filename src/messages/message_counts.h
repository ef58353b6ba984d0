/* What became of a workspace's messages since the process began, for metrics. received = the sum of
 * `finished` and what is not finished (inbox_pending and inbox_deferred), at any time. */
#ifndef MOLECULE_MESSAGES_MESSAGE_COUNTS_H
#define MOLECULE_MESSAGES_MESSAGE_COUNTS_H

#include "base/histogram.h"
#include "script/script_types.h"

#include <stddef.h>
#include <stdint.h>

/* Who sent it. Rows that are no messages, and those that the ledger knows, are not counted. */
#define MESSAGE_KINDS(X)                                         \
    X(MESSAGE_CANVAS, "canvas")                                  \
    X(MESSAGE_PEER, "peer")                                      \
    X(MESSAGE_SCHEDULE, "schedule") /* a run of molecule.cron */ \
    X(MESSAGE_TASK, "task")         /* of an A2A client, or pushed by the platform */
enum message_kind {
#define X(name, text) name,
    MESSAGE_KINDS(X)
#undef X
        MESSAGE_KIND_COUNT
};

/* How it ended for good. "dead" includes a dead letter whose sender was told so (--error-reply). */
#define MESSAGE_OUTCOMES(X)         \
    X(OUTCOME_REPLIED, "replied")   \
    X(OUTCOME_NO_REPLY, "no_reply") \
    X(OUTCOME_SKIPPED, "skipped")   \
    X(OUTCOME_REJECTED, "rejected") \
    X(OUTCOME_CANCELED, "canceled") \
    X(OUTCOME_ANSWER, "answer")     \
    X(OUTCOME_DEAD, "dead")
enum message_outcome {
#define X(name, text) name,
    MESSAGE_OUTCOMES(X)
#undef X
        MESSAGE_OUTCOME_COUNT
};

enum {
#define X(name, text) +1
    MESSAGE_ATTEMPT_KINDS = 0 SCRIPT_OUTCOMES(X)
#undef X
};

struct message_counts {
    uint64_t received[MESSAGE_KIND_COUNT];
    uint64_t finished[MESSAGE_OUTCOME_COUNT];
    uint64_t attempts[MESSAGE_ATTEMPT_KINDS]; /* by how they ended: enum script_outcome_kind */
    uint64_t repeats_avoided;   /* rows that came again, and calls that an earlier attempt made */
    uint64_t steps;             /* recorded */
    struct histogram wall, cpu; /* of attempts */
    struct histogram reply;     /* from the first post of a reply until it was accepted */
    size_t memory_bytes;        /* what the Lua state held at the last handler's end */
};

struct inbox_entry;

void message_count_received(struct message_counts *counts, const struct inbox_entry *entry);
/* It is finished; with entry->outcome. */
void message_count_finished(struct message_counts *counts, const struct inbox_entry *entry);
void message_count_attempt(struct message_counts *counts, const struct script_outcome *outcome,
                           int64_t took_ms);
/* Of the closed set, by its text. */
enum message_outcome message_outcome_of(const char *text);
const char *message_outcome_text(enum message_outcome outcome);

#endif
