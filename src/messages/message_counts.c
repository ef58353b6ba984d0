#include "messages/message_counts.h"

#include "base/check.h"
#include "messages/inbox.h"

#include <string.h>

void message_count_received(struct message_counts *counts, const struct inbox_entry *entry)
{
    const struct message *message = entry->message;
    enum message_kind kind = message->run         ? MESSAGE_SCHEDULE
                             : message->served    ? MESSAGE_TASK
                             : message->source_id ? MESSAGE_PEER
                                                  : MESSAGE_CANVAS;
    counts->received[kind]++;
}

static const char *const texts[] = {
#define X(name, text) text,
    MESSAGE_OUTCOMES(X)
#undef X
};

const char *message_outcome_text(enum message_outcome outcome)
{
    return texts[outcome];
}

enum message_outcome message_outcome_of(const char *text)
{
    size_t i = 0;
    while (i < MESSAGE_OUTCOME_COUNT && strcmp(texts[i], text) != 0)
        i++;
    check(i < MESSAGE_OUTCOME_COUNT);
    return (enum message_outcome)i;
}

void message_count_finished(struct message_counts *counts, const struct inbox_entry *entry)
{
    counts->finished[entry->dead ? OUTCOME_DEAD : entry->outcome]++;
}

void message_count_attempt(struct message_counts *counts, const struct script_outcome *outcome,
                           int64_t took_ms)
{
    counts->attempts[outcome->kind]++;
    histogram_observe_us(&counts->wall, took_ms * 1000);
    histogram_observe_us(&counts->cpu, outcome->cpu_ms * 1000);
    counts->memory_bytes = outcome->memory_bytes;
}
