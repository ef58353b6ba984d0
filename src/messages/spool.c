#include "messages/spool.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/plural.h"
#include "journal/journal.h"
#include "link/link.h"
#include "messages/outcome.h"

#define PROCESS_BYTES_MAXIMUM ((size_t)512 << 20) /* of the messages of all workspaces */
/* a conversation whose first message is older than this counts as blocked */
#define BLOCKED_MS 5000
#define DEFERRED_MAXIMUM 20000 /* they stay in memory, too */
#define DEFERRED_BYTES_MAXIMUM ((size_t)256 << 20)
#define REASON "its conversation waits"

struct relief {
    struct dispatch *dispatch;
    int64_t now_ms; /* monotonic */
    size_t deferred, bytes;
};

static bool may_defer(const struct relief *relief)
{
    const struct inbox *inbox = relief->dispatch->inbox;
    return inbox_deferred(inbox) + relief->deferred < DEFERRED_MAXIMUM &&
           inbox_deferred_bytes(inbox) + relief->bytes < DEFERRED_BYTES_MAXIMUM;
}

/* false: what follows it must wait until its own outcome is recorded. */
static bool defer(struct inbox_entry *entry, void *context)
{
    struct relief *relief = context;
    if (!may_defer(relief) ||
        !outcome_defer_blocked(relief->dispatch, entry, relief->now_ms, REASON))
        return false;
    relief->deferred++;
    relief->bytes += entry->bytes;
    return true;
}

static size_t defer_blocked(struct dispatch *dispatch, int64_t before_ms)
{
    struct relief relief = {.dispatch = dispatch, .now_ms = clock_monotonic_ms()};
    if (!journal_problem(dispatch->journal))
        inbox_each_blocked(dispatch->inbox, before_ms, defer, &relief);
    return relief.deferred;
}

bool spool_has_room(const struct dispatch *dispatch)
{
    const struct inbox *inbox = dispatch->inbox;
    const struct molecule_workspace_options *options = dispatch->link->options;
    size_t pending = inbox_pending(inbox);
    bool too_large = inbox_bytes(inbox) >= options->max_pending_bytes ||
                     inbox_total_bytes(inbox) >= PROCESS_BYTES_MAXIMUM;
    return pending < options->max_pending && (pending == 0 || !too_large);
}

void spool_follow(struct dispatch *dispatch)
{
    if (inbox_deferred(dispatch->inbox) > 0)
        defer_blocked(dispatch, 0);
}

void spool_make_room(struct dispatch *dispatch)
{
    size_t pending = inbox_pending(dispatch->inbox);
    size_t deferred = defer_blocked(dispatch, clock_steady_ms() - BLOCKED_MS);
    if (deferred > 0)
        log_warn(LOG_INBOX_FULL, dispatch->link->options->id,
                 "the inbox is full: %zu message%s pending, %zu of them in stalled conversations; "
                 "those are kept in the ledger and do not block the others",
                 pending, plural(pending), deferred);
}
