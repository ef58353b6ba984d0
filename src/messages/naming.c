#include "messages/naming.h"

#include "base/memory.h"
#include "journal/attempts.h"
#include "script/script.h"
#include "wire/served.h"

#include <stdlib.h>

#define BATCH_MAXIMUM 500
/* of the parsed copies; one message may be larger */
#define BATCH_COST_MAXIMUM ((size_t)32 << 20)

struct naming_job {
    struct script_naming job; /* first */
    struct naming *naming;
    size_t place; /* journal/attempts.h */
    struct attempt_counts counts[BATCH_MAXIMUM];
    uint64_t sequences[BATCH_MAXIMUM];
    struct message *messages[BATCH_MAXIMUM];
    char *keys[BATCH_MAXIMUM];
};

/* On the worker thread. A failure to mark it is ignored: a full disk is no reason not to name
 * it. */
static void on_starting(struct script_naming *script_job, size_t which)
{
    struct naming_job *job = (struct naming_job *)script_job;
    char problem[512];
    attempts_mark(job->naming->attempts, job->place, job->messages[which]->row_id,
                  job->counts[which], problem, sizeof problem);
}

static void on_named(struct script_naming *script_job)
{
    struct naming_job *job = (struct naming_job *)script_job;
    struct naming *naming = job->naming;
    attempts_leave(naming->attempts, job->place, false);
    inbox_name(naming->inbox, job->sequences, job->keys, script_job->count);
    for (size_t i = 0; i < script_job->count; i++) {
        message_free(job->messages[i]);
        free(job->keys[i]);
    }
    free(job);
    naming->under_way = NULL;
    naming->named(naming->context);
}

const struct message *naming_current(const struct naming *naming)
{
    const struct naming_job *job = naming->under_way;
    size_t at = job ? job->job.named : 0;
    return job && job->job.in_hand && at < job->job.count ? job->messages[at] : NULL;
}

void naming_step(struct naming *naming)
{
    if (!naming->wanted || naming->under_way)
        return;
    struct inbox_entry *entries[BATCH_MAXIMUM];
    size_t count = inbox_unnamed(naming->inbox, entries, BATCH_MAXIMUM);
    if (count == 0)
        return;
    struct naming_job *job = memory_allocate(sizeof *job);
    size_t cost = 0;
    for (size_t i = 0; i < count; i++) {
        struct page_row row = {.bytes = entries[i]->row, .length = entries[i]->row_length};
        cost += envelope_cost(row);
        if (i > 0 && cost > BATCH_COST_MAXIMUM) { /* the others are named next */
            count = i;
            break;
        }
        job->sequences[i] = entries[i]->sequence;
        job->counts[i] = (struct attempt_counts){entries[i]->attempts + 1, entries[i]->failures};
        job->messages[i] = ledger_row_read(row, naming->workspace_id);
        if (!job->messages[i]->row_id)
            job->messages[i]->row_id = memory_copy_text(entries[i]->row_id);
    }
    job->naming = naming;
    job->job.messages = job->messages;
    job->job.keys = job->keys;
    job->job.count = count;
    job->job.starting = on_starting;
    job->job.done = on_named;
    job->place = attempts_take(naming->attempts, NULL);
    naming->under_way = job;
    script_name(naming->script, &job->job);
}
