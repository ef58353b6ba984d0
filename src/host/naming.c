/* conversation(msg) of the agent: which conversation a message belongs to. It is Lua and so runs on the worker; messages
 * wait in the inbox, in order, until they are named. The worker gets copies: an entry may end meanwhile. */
#include "host/workspace.h"

#include "base/memory.h"

#include <stdlib.h>

#define BATCH_MAXIMUM 500

struct naming {
    struct script_naming job; /* first */
    struct workspace *workspace;
    uint64_t sequences[BATCH_MAXIMUM];
    struct message *messages[BATCH_MAXIMUM];
    char *keys[BATCH_MAXIMUM];
};

static void on_named(struct script_naming *job)
{
    struct naming *naming = (struct naming *)job;
    struct workspace *workspace = naming->workspace;
    inbox_name(workspace->inbox, naming->sequences, naming->keys, job->count);
    for (size_t i = 0; i < job->count; i++) {
        message_free(naming->messages[i]);
        free(naming->keys[i]);
    }
    free(naming);
    workspace->naming = false;
    if (!workspace_over(workspace))
        workspace_step(workspace);
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
    for (size_t i = 0; i < count; i++) {
        struct page_row row = {.bytes = entries[i]->row, .length = entries[i]->row_length};
        naming->sequences[i] = entries[i]->sequence;
        naming->messages[i] = envelope_read(row, workspace->settings.id);
        if (!naming->messages[i]->row_id)
            naming->messages[i]->row_id = memory_copy_text(entries[i]->row_id);
    }
    naming->workspace = workspace;
    naming->job.messages = naming->messages;
    naming->job.keys = naming->keys;
    naming->job.count = count;
    naming->job.done = on_named;
    workspace->naming = true;
    script_name(workspace->script, &naming->job);
}
