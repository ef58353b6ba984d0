/* A conversation can wait for long: for a peer that is down, a handler that takes minutes, a retry that holds it. What stands
 * behind would hold the cursor, and once the inbox is full of it nobody else's messages would be fetched. So it is kept in the
 * ledger, and cursor and fetch pass it; it runs in its order all the same. */
#include "host/workspace.h"

#include "base/clock.h"
#include "base/log.h"

#define HELD_MS 5000       /* a conversation whose first message is older than this is not about to go on */
#define KEPT_MAXIMUM 20000 /* they stay in memory, too */
#define REASON "its conversation waits"

struct relief {
    struct workspace *workspace;
    int64_t now_ms; /* monotonic */
    size_t kept;
};

static void on_reply_kept(struct workspace *workspace, struct inbox_entry *entry, void *context)
{
    (void)context;
    inbox_keep(workspace->inbox, entry);
    if (!workspace_over(workspace))
        saver_request(workspace);
}

static void keep(struct inbox_entry *entry, void *context)
{
    struct relief *relief = context;
    struct workspace *workspace = relief->workspace;
    if (inbox_kept(workspace->inbox) + relief->kept >= KEPT_MAXIMUM || entry->not_before_ms > relief->now_ms)
        return;
    relief->kept++;
    if (entry->parked)
        record_keep(workspace->record, entry, clock_wall_ms(), true, REASON, on_reply_kept, NULL);
    else
        workspace_keep(workspace, entry, 0, REASON);
}

static size_t keep_held(struct workspace *workspace, int64_t before_ms)
{
    struct relief relief = {.workspace = workspace, .now_ms = clock_monotonic_ms()};
    if (!record_problem(workspace->record))
        inbox_each_held(workspace->inbox, before_ms, keep, &relief);
    return relief.kept;
}

void overflow_follow(struct workspace *workspace)
{
    if (inbox_kept(workspace->inbox) > 0)
        keep_held(workspace, 0);
}

void overflow_relieve(struct workspace *workspace)
{
    size_t pending = inbox_pending(workspace->inbox), kept = keep_held(workspace, clock_wall_ms() - HELD_MS);
    if (kept > 0)
        log_warn(workspace->settings.id, "the inbox is full: of %zu messages that are not finished %zu wait in conversations "
                                         "that do not go on; these are kept in the ledger, the others go on", pending, kept);
}
