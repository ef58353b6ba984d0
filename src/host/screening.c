/* Messages that no handler sees: replies between molecule hosts, and what comes from senders that
 * are not answered. */
#include "host/workspace.h"

#include "base/log.h"
#include "host/host_calls.h"

#include <strings.h>

/* Another molecule host's reply is marked (wire/reply.c). Answered by default, two hosts would talk
 * for ever; so would two scripts that ask each other. false: it is a message for the script. */
static bool passes_over(struct workspace *workspace, struct inbox_entry *entry)
{
    const struct message *message = entry->message;
    const char *id = workspace->settings.id;
    bool too_many = message->hops > 0 && message->hops >= workspace->settings.max_hops;
    if (!too_many && (!message->in_reply_to || workspace->answers_replies))
        return false;
    if (too_many && (!message->in_reply_to || workspace->answers_replies))
        log_warn(id,
                 "message %s from %s: skipped, it is the %dth message in a row between agents "
                 "(--max-hops)",
                 entry->row_id, workspace_sender(entry), message->hops);
    else
        log_info(id,
                 "message %s from %s: skipped, it is a reply to ours (an agent with "
                 "answers_replies = true sees these)",
                 entry->row_id, workspace_sender(entry));
    inbox_start(workspace->inbox, entry);
    inbox_post(workspace->inbox, entry);
    if (message->in_reply_to)
        host_calls_remember_answer(workspace, inbox_content(entry, id));
    workspace_finish(workspace, entry, "answer");
    return true;
}

static bool is_allowed(const struct molecule_workspace_options *settings,
                       const struct message *message)
{
    const char *sender = message->source_id ? message->source_id : "canvas";
    bool allowed = settings->allowed_sender_count == 0;
    for (size_t i = 0; i < settings->allowed_sender_count && !allowed; i++)
        allowed = strcasecmp(settings->allowed_senders[i], sender) == 0;
    return allowed;
}

/* false: its sender is answered. */
static bool turns_away(struct workspace *workspace, struct inbox_entry *entry)
{
    if (is_allowed(&workspace->settings, entry->message))
        return false;
    log_info(workspace->settings.id, "message %s from %s: skipped, sender not in --allow-from",
             entry->row_id, workspace_sender(entry));
    inbox_start(workspace->inbox, entry);
    inbox_post(workspace->inbox, entry);
    workspace_finish(workspace, entry, script_outcome_text(SCRIPT_SKIPPED));
    return true;
}

bool workspace_screens_out(struct workspace *workspace, struct inbox_entry *entry)
{
    return passes_over(workspace, entry) || turns_away(workspace, entry);
}
