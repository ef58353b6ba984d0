/* Code that somebody typed, for the script of one workspace. */
#include "host/evaluation.h"

#include "host/parts.h"

bool evaluation_start(struct workspace *workspace, struct script_evaluation *evaluation)
{
    if (!workspace->script || workspace->state >= WORKSPACE_DRAINING)
        return false;
    script_evaluate(workspace->script, evaluation);
    watchdog_look(&workspace->watchdog);
    return true;
}

static void cancel(const struct inbox_entry *entry, void *context)
{
    if (entry->job && !entry->job->canceled)
        script_cancel(context, entry->job);
}

void evaluation_interrupt(struct workspace *workspace, struct script_evaluation *evaluation)
{
    if (!workspace->script)
        return;
    if (evaluation)
        script_interrupt(workspace->script, evaluation);
    inbox_each_running(workspace->inbox, cancel, workspace->script);
}
