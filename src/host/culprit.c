/* Who is to blame when a script is stuck in C. */
#include "host/parts.h"

#include "journal/attempts.h"
#include "script/script.h"

/* The one that is stuck keeps its counted attempt; the others, of all workspaces, are not to blame.
 */
static void uncount_innocent(const struct inbox_entry *entry, void *context)
{
    struct workspace *workspace = context;
    const struct script_job *guilty = workspace->stuck ? script_current(workspace->script) : NULL;
    if (!guilty || guilty->message != entry->message)
        attempts_leave(workspace->attempts, entry->place, false);
}

struct workspace *workspace_culprit(struct workspace *workspace)
{
    if (script_current(workspace->script))
        return workspace;
    struct workspace *other = workspace->host->workspaces;
    while (other &&
           (other->worker != workspace->worker || !other->script || !script_current(other->script)))
        other = other->next;
    return other ? other : workspace;
}

void workspace_uncount_innocent(struct workspace *workspace)
{
    workspace_culprit(workspace)->stuck = true;
    for (struct workspace *each = workspace->host->workspaces; each; each = each->next)
        if (each->script)
            inbox_each_running(each->inbox, uncount_innocent, each);
}
