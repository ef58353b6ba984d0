/* conversation(msg) of the agent: which conversation a message belongs to. It is Lua and so runs on
 * the worker; messages wait in the inbox, in order, until they are named. The worker gets copies:
 * an entry may end meanwhile. Each is marked as running meanwhile (host/running.h), so that one
 * which ends the process is known at the next start. */
#include "host/workspace.h"

#include "base/memory.h"
#include "host/running.h"

#include <stdlib.h>

#define BATCH_MAXIMUM 500
/* of the parsed copies; one message may be larger */
#define BATCH_COST_MAXIMUM ((size_t)32 << 20)

struct naming {
    struct script_naming job; /* first */
    struct workspace *workspace;
    size_t place; /* in the file of what runs */
    struct {
        unsigned attempts, failures;
    } counts[BATCH_MAXIMUM];
    uint64_t sequences[BATCH_MAXIMUM];
    struct message *messages[BATCH_MAXIMUM];
    char *keys[BATCH_MAXIMUM];
};

/* On the worker thread. If it cannot be marked, it is not: a full disk is no reason not to name it.
 */
static void on_starting(struct script_naming *job, size_t which)
{
    struct naming *naming = (struct naming *)job;
    running_mark_named(naming->workspace->running, naming->place, naming->messages[which]->row_id,
                       naming->counts[which].attempts, naming->counts[which].failures);
}

static void on_named(struct script_naming *job)
{
    struct naming *naming = (struct naming *)job;
    struct workspace *workspace = naming->workspace;
    running_leave_place(workspace, naming->place);
    inbox_name(workspace->inbox, naming->sequences, naming->keys, job->count);
    for (size_t i = 0; i < job->count; i++) {
        message_free(naming->messages[i]);
        free(naming->keys[i]);
    }
    free(naming);
    workspace->naming = NULL;
    if (!workspace_over(workspace))
        workspace_step(workspace);
}

const struct message *naming_current(const struct workspace *workspace)
{
    const struct naming *naming = workspace->naming;
    size_t at = naming ? naming->job.named : 0;
    return naming && naming->job.in_hand && at < naming->job.count ? naming->messages[at] : NULL;
}

void naming_step(struct workspace *workspace)
{
    if (!workspace->names_conversations || workspace->naming)
        return;
    struct inbox_entry *entries[BATCH_MAXIMUM];
    size_t count = inbox_unnamed(workspace->inbox, entries, BATCH_MAXIMUM);
    if (count == 0)
        return;
    struct naming *naming = memory_allocate(sizeof *naming);
    size_t cost = 0;
    for (size_t i = 0; i < count; i++) {
        struct page_row row = {.bytes = entries[i]->row, .length = entries[i]->row_length};
        cost += envelope_cost(row);
        if (i > 0 && cost > BATCH_COST_MAXIMUM) { /* the others are named next */
            count = i;
            break;
        }
        naming->sequences[i] = entries[i]->sequence;
        naming->counts[i].attempts = entries[i]->attempts + 1;
        naming->counts[i].failures = entries[i]->failures;
        naming->messages[i] = envelope_read(row, workspace->settings.id);
        if (!naming->messages[i]->row_id)
            naming->messages[i]->row_id = memory_copy_text(entries[i]->row_id);
    }
    naming->workspace = workspace;
    naming->job.messages = naming->messages;
    naming->job.keys = naming->keys;
    naming->job.count = count;
    naming->job.starting = on_starting;
    naming->job.done = on_named;
    naming->place = running_take_place(workspace->running);
    workspace->naming = naming;
    script_name(workspace->script, &naming->job);
}
