#include "messages/observer.h"

#include "messages/inbox.h"
#include "wire/reply_request.h"

static void tell(const struct observer *observer, const struct inbox_entry *entry,
                 struct molecule_event event)
{
    if (!observer->event)
        return;
    event.workspace_id = observer->workspace_id;
    event.row_id = entry->row_id;
    observer->event(observer->context, &event);
}

void observer_started(const struct observer *observer, const struct inbox_entry *entry)
{
    tell(observer, entry, (struct molecule_event){.kind = MOLECULE_EVENT_STARTED});
}

void observer_reply(const struct observer *observer, const struct inbox_entry *entry)
{
    tell(observer, entry,
         (struct molecule_event){.kind = MOLECULE_EVENT_REPLY,
                                 .reply = entry->reply->body,
                                 .reply_length = entry->reply->body_length});
}

void observer_later(const struct observer *observer, const struct inbox_entry *entry,
                    int64_t again_ms, const char *reason)
{
    tell(observer, entry,
         (struct molecule_event){
             .kind = MOLECULE_EVENT_LATER, .again_ms = again_ms, .reason = reason});
}

void observer_finished(const struct observer *observer, const struct inbox_entry *entry,
                       const char *outcome, const char *reason, const char *traceback)
{
    tell(observer, entry,
         (struct molecule_event){.kind = MOLECULE_EVENT_FINISHED,
                                 .outcome = outcome,
                                 .reason = reason,
                                 .traceback = traceback});
}
