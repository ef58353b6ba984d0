#include "host/observer.h"

#include "host/workspace.h"
#include "molecule/event.h"

static void tell(const struct workspace *workspace, const struct inbox_entry *entry,
                 struct molecule_event event)
{
    const struct host_options *options = &workspace->host->options;
    if (!options->event)
        return;
    event.workspace_id = workspace->settings.id;
    event.row_id = entry->row_id;
    options->event(options->context, &event);
}

void observer_reply(const struct workspace *workspace, const struct inbox_entry *entry)
{
    const struct stored_reply *stored = entry->context;
    tell(workspace, entry,
         (struct molecule_event){.kind = MOLECULE_EVENT_REPLY,
                                 .reply = stored->request.body,
                                 .reply_length = stored->request.body_length});
}

void observer_later(const struct workspace *workspace, const struct inbox_entry *entry,
                    int64_t again_ms, const char *reason)
{
    tell(workspace, entry,
         (struct molecule_event){
             .kind = MOLECULE_EVENT_LATER, .again_ms = again_ms, .reason = reason});
}

void observer_finished(const struct workspace *workspace, const struct inbox_entry *entry,
                       const char *outcome, const char *reason)
{
    tell(workspace, entry,
         (struct molecule_event){
             .kind = MOLECULE_EVENT_FINISHED, .outcome = outcome, .reason = reason});
}
