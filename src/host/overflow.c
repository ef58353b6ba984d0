/* A conversation can wait for long: for a peer that is down, a handler that takes minutes, a retry
 * that holds it. What stands behind would hold the cursor, and once the inbox is full of it nobody
 * else's messages would be fetched. So it is kept in the ledger, and cursor and fetch pass it; it
 * runs in its order all the same. Always from the front: what the ledger has of a conversation
 * comes first at the next start. */
#include "host/workspace.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/plural.h"

/* a conversation whose first message is older than this is not about to go on */
#define HELD_MS 5000
#define KEPT_MAXIMUM 20000 /* they stay in memory, too */
#define KEPT_BYTES_MAXIMUM ((size_t)256 << 20)
#define REASON "its conversation waits"

struct relief {
    struct workspace *workspace;
    int64_t now_ms; /* monotonic */
    size_t kept, bytes;
};

static void on_kept(struct workspace *workspace, struct inbox_entry *entry, void *context)
{
    (void)context;
    inbox_keep(workspace->inbox, entry);
    if (workspace_over(workspace))
        return;
    saver_request(workspace);
    poller_resume(workspace);
}

static bool has_room(const struct relief *relief)
{
    const struct inbox *inbox = relief->workspace->inbox;
    return inbox_kept(inbox) + relief->kept < KEPT_MAXIMUM &&
           inbox_kept_bytes(inbox) + relief->bytes < KEPT_BYTES_MAXIMUM;
}

/* false: what stands behind it must wait until its own outcome is recorded. */
static bool keep(struct inbox_entry *entry, void *context)
{
    struct relief *relief = context;
    struct workspace *workspace = relief->workspace;
    bool recording = (entry->state == INBOX_POSTING && !entry->parked) ||
                     entry->state == INBOX_SETTLED;
    if (recording || !has_room(relief))
        return false;
    relief->kept++;
    relief->bytes += entry->bytes;
    if (entry->state == INBOX_RUNNING) {
        journal_keep_running(workspace->journal, entry, REASON, on_kept);
    } else if (entry->state == INBOX_WAITING) {
        int64_t wait_ms = entry->not_before_ms - relief->now_ms;
        workspace_keep(workspace, entry, wait_ms > 0 ? wait_ms : 0, REASON);
    } else { /* its reply is stored */
        journal_keep(workspace->journal, entry, clock_steady_ms(), true, REASON, on_kept, NULL);
    }
    return true;
}

static size_t keep_held(struct workspace *workspace, int64_t before_ms)
{
    struct relief relief = {.workspace = workspace, .now_ms = clock_monotonic_ms()};
    if (!journal_problem(workspace->journal))
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
    size_t pending = inbox_pending(workspace->inbox),
           kept = keep_held(workspace, clock_steady_ms() - HELD_MS);
    if (kept > 0)
        log_warn(
            workspace->settings.id,
            "the inbox is full: %zu message%s pending, %zu of them in stalled conversations; those "
            "are kept in the ledger and do not block the others",
            pending, plural(pending), kept);
}
