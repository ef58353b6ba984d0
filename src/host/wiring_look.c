/* What a workspace tells of itself: for the control socket and for /status. */
#include "host/parts.h"

#include "base/clock.h"
#include "wire/jsontext.h"

#include <string.h>

static const char *state_text(const struct workspace *workspace)
{
    switch (workspace->state) {
    case WORKSPACE_LOADING: return "loading";
    case WORKSPACE_REGISTERING: return "registering";
    case WORKSPACE_RUNNING:
        return workspace->watchdog.wedged            ? "wedged"
               : journal_problem(workspace->journal) ? "disk failing"
                                                     : "running";
    case WORKSPACE_DRAINING: return "draining";
    case WORKSPACE_CLOSING: return "closing";
    case WORKSPACE_CLOSED: break;
    }
    return "closed";
}

/* How messages come. */
static const char *wake_text(const struct workspace *workspace)
{
    return workspace->options.serve                   ? "serve"
           : workspace->link.pushed                   ? "push"
           : event_stream_trusted(&workspace->stream) ? "stream"
                                                      : "poll";
}

#define RUNNING_SHOWN 5 /* handlers */

static void list_handler(const struct inbox_entry *entry, void *context)
{
    json_t *list = context;
    if (json_array_size(list) >= RUNNING_SHOWN)
        return;
    json_int_t seconds = (json_int_t)((clock_monotonic_ms() - entry->begun_ms) / 1000);
    json_array_append_new(list, json_pack("{s:s?, s:s, s:I}", "row", entry->row_id, "from",
                                          inbox_sender(entry), "seconds", seconds));
}

static json_t *describe_failure(const struct dispatch *dispatch)
{
    if (dispatch->failed.at_ms == 0)
        return NULL;
    return json_pack("{s:s, s:o, s:o}", "row", dispatch->failed.row_id, "at",
                     jsontext_time(dispatch->failed.at_ms), "reason",
                     jsontext_string(dispatch->failed.reason, strlen(dispatch->failed.reason)));
}

static unsigned long count_finished(const struct message_counts *counts)
{
    unsigned long all = 0;
#define X(name, text) all += counts->finished[name];
    MESSAGE_OUTCOMES(X)
#undef X
    return all;
}

void wiring_look(const struct workspace *workspace, struct control_status *now)
{
    const char *watermark = inbox_watermark(workspace->inbox);
    size_t pending = inbox_pending(workspace->inbox);
    size_t active = dispatch_active(&workspace->dispatch); /* some of them may be deferred */
    *now = (struct control_status){
        .state = state_text(workspace),
        .wake = wake_text(workspace),
        .cursor = watermark ? watermark : workspace->cursor_writer.saved,
        .started_ms = workspace->started_ms,
        .last_poll_ms = workspace->poller.last_poll_ms,
        .last_heartbeat_ms = workspace->heartbeat.succeeded_ms,
        .waiting = pending > active ? pending - active : 0,
        .pending = pending + inbox_deferred(workspace->inbox),
        .answered = workspace->dispatch.answered,
        .finished = count_finished(&workspace->dispatch.counts),
        .running = json_array(),
        .failure = describe_failure(&workspace->dispatch),
        .away_ms = workspace->link.away_ms,
        .away_reason = workspace->link.away_reason,
        .questions = questions_list(&workspace->dispatch.questions),
        .schedules = schedules_list(&workspace->dispatch.schedules),
    };
    inbox_each_running(workspace->inbox, list_handler, now->running);
}
