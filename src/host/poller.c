/* Fetches the inbox: a window at first and after a pruned cursor, else what follows the last row
 * seen. No outcome ends this loop: it waits and asks again. */
#include "host/workspace.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/plural.h"
#include "host/arrival.h"
#include "host/reread.h"
#include "wire/page.h"

#include <stdlib.h>
#include <string.h>

#define LIMIT_MAXIMUM 500                    /* rows a page: the platform's own (contract §1.6) */
#define PAGE_MAXIMUM ((size_t)64 << 20)      /* bytes; beyond it the limit is halved */
#define PAGE_MAXIMUM_ONE ((size_t)256 << 20) /* of a page of one row, which cannot be halved */
#define PROCESS_BYTES_MAXIMUM ((size_t)512 << 20) /* of the messages of all workspaces */
#define WINDOW_ROWS_MAXIMUM 20000
#define TIMEOUT_MS 120000
#define STALL_MS 10000
#define BACKOFF_CAP_MS 60000
#define LOOKUP_FAILURES_MAXIMUM 3
#define FULL_LOOK_MS 1000 /* while the inbox is full */
/* the platform keeps rows no longer (contract §4.10) */
#define AWAY_MAXIMUM_MS ((int64_t)7 * 86400 * 1000)
#define WINDOW_SLACK_S 60 /* clocks differ, and rows are committed late */
/* so many intervals between polls while the event stream tells */
#define WATCHED_TIMES 5
#define WATCHED_MAXIMUM_MS 5000
#define HINT_GAP_MS 20 /* between two polls that hints led to */
/* while a message is announced that no poll has brought */
#define MISSING_PAUSE_MS 500
#define OLD_MS 30000 /* no transaction of the platform's takes so long */

static void fetch(struct workspace *workspace);

static void on_timer(uv_timer_t *timer)
{
    fetch(timer->data);
}

static void schedule(struct workspace *workspace, int64_t after_ms)
{
    if (workspace->poller.running)
        workspace_arm(&workspace->poller.timer, on_timer, after_ms);
}

/* Until the next poll when nothing says that there is something new. */
static int64_t pause_ms(const struct workspace *workspace)
{
    int64_t interval = workspace->settings.interval_ms;
    if (announced_any(workspace->poller.announced) && interval > MISSING_PAUSE_MS)
        return MISSING_PAUSE_MS;
    if (!event_stream_trusted(workspace) || interval >= WATCHED_MAXIMUM_MS)
        return interval;
    int64_t stretched = interval * WATCHED_TIMES;
    return stretched < WATCHED_MAXIMUM_MS ? stretched : WATCHED_MAXIMUM_MS;
}

/* When a hint may lead to a poll. Hints in a burst lead to few, and those that the platform's rate
 * budget has no room for to none of their own: where it is low, the workspaces take turns, and the
 * turn is taken by asking. */
static int64_t take_hint_turn(struct workspace *workspace)
{
    struct host *host = workspace->host;
    int64_t now = clock_monotonic_ms(), pause = pause_ms(workspace),
            free_ms = workspace->poller.hint_free_ms;
    if (now < workspace->budget.quiet_until_ms)
        return pause;
    if (workspace->budget.hint_gap_ms > 0) {
        free_ms = host->hint_free_ms > free_ms ? host->hint_free_ms : free_ms;
        if (free_ms - now < pause)
            host->hint_free_ms = (free_ms > now ? free_ms : now) + workspace->budget.hint_gap_ms;
    }
    int64_t wait = free_ms - now;
    return wait > pause ? pause : wait > 0 ? wait : 0;
}

/* Hints that lead to nothing come less and less often to a poll of their own. */
static void note_hint_led(struct workspace *workspace, bool somewhere)
{
    struct poller *poller = &workspace->poller;
    int64_t wait = somewhere || poller->hint_wait_ms == 0 ? HINT_GAP_MS : poller->hint_wait_ms * 2;
    poller->hint_wait_ms = wait < workspace->settings.interval_ms ? wait
                                                                  : workspace->settings.interval_ms;
    poller->hint_free_ms = clock_monotonic_ms() + poller->hint_wait_ms;
}

static bool is_full(const struct workspace *workspace)
{
    size_t pending = inbox_pending(workspace->inbox);
    return pending >= workspace->settings.max_pending ||
           (pending > 0 &&
            (inbox_bytes(workspace->inbox) >= workspace->settings.max_pending_bytes ||
             workspace->host->pending_bytes >= PROCESS_BYTES_MAXIMUM));
}

/* Since every row of before was fetched. Where only an earlier process's wall clock tells, and that
 * was ahead of ours, as long as can be. */
static int64_t away_ms(const struct poller *poller)
{
    int64_t wall = clock_wall_ms() - poller->covered_ms;
    int64_t away = poller->covered_boot_ms > 0 ? clock_boot_ms() - poller->covered_boot_ms
                   : wall >= 0                 ? wall
                                               : AWAY_MAXIMUM_MS;
    away = away > wall ? away : wall;
    return away < AWAY_MAXIMUM_MS ? away : AWAY_MAXIMUM_MS;
}

static int64_t window_seconds(const struct workspace *workspace)
{
    int64_t window = workspace->settings.since_secs;
    if (workspace->poller.covered_ms > 0) {
        int64_t away = away_ms(&workspace->poller) / 1000 + WINDOW_SLACK_S;
        if (away > window)
            window = away;
    }
    return window;
}

static void set_position(char **position, const char *row_id)
{
    if (!row_id)
        return;
    char *copy = memory_copy_text(row_id);
    free(*position);
    *position = copy;
}

static void recovered(struct workspace *workspace)
{
    struct poller *poller = &workspace->poller;
    if (poller->failing)
        log_info(workspace->settings.id, "poll: recovered");
    poller->failing = false;
    event_stream_come_back(workspace);
    workspace_away(workspace, NULL);
    poller->lookup_failures = 0;
    poller->successes++;
    poller->last_poll_wall_ms = clock_wall_ms();
    retry_succeeded(&poller->backoff);
    token_accepted(workspace);
    event_stream_follow(workspace);
    if (poller->limit < LIMIT_MAXIMUM)
        poller->limit = poller->limit * 2 < LIMIT_MAXIMUM ? poller->limit * 2 : LIMIT_MAXIMUM;
}

/* A window comes newest first. true: an older page may exist and is to be fetched before anything
 * is admitted. */
static bool window_goes_on(struct workspace *workspace, const struct page *page, size_t before)
{
    struct poller *poller = &workspace->poller;
    if ((int)page->count < poller->asked)
        return false;
    if (poller->fetched_count == before || poller->fetched_count >= WINDOW_ROWS_MAXIMUM) {
        log_warn(workspace->settings.id,
                 "poll: the first window holds more than %zu rows; older ones may be missing (this "
                 "platform gives no way "
                 "to page back)",
                 poller->fetched_count);
        return false;
    }
    return true;
}

/* T1 orders by created_at alone, so a cursor hides later rows of its own microsecond. After a full
 * page the next one therefore starts after the last row of the microsecond before, and repeats the
 * rest. */
static const struct fetched *last_of_full_page(const struct poller *poller,
                                               const struct fetched *last)
{
    for (const struct fetched *each = last; each > poller->fetched;) {
        each--;
        if (!each->message->row_id || !each->message->created_at || !last->message->created_at)
            break;
        if (strcmp(each->message->created_at, last->message->created_at) != 0)
            return each;
    }
    return last;
}

static int64_t stamp_ms(const char *created_at)
{
    int64_t us;
    return created_at && clock_parse(created_at, &us) ? us / 1000 : 0;
}

/* true: so long ago that no row can be committed any more beside it. */
static bool is_old(const struct fetched *fetched, int64_t platform_ms)
{
    int64_t created = stamp_ms(fetched->message->created_at);
    return created > 0 && created < (platform_ms > 0 ? platform_ms : clock_wall_ms()) - OLD_MS;
}

/* The rows that wait are new, oldest first: the next fetch begins behind them. */
static void move_position(struct workspace *workspace, int64_t platform_ms)
{
    struct poller *poller = &workspace->poller;
    const struct fetched *first = NULL, *last = NULL;
    for (size_t i = 0; i < poller->fetched_count; i++) {
        if (!poller->fetched[i].message->row_id)
            continue;
        first = first ? first : &poller->fetched[i];
        last = &poller->fetched[i];
    }
    if (!last)
        return;
    bool old = is_old(last, platform_ms);
    if (poller->more) {
        last = last_of_full_page(poller, last);
        arrival_cut(poller, (size_t)(last - poller->fetched) + 1);
    }
    set_position(&poller->position, last->message->row_id);
    struct reread_page noted = {.first = first->message->row_id,
                                .position = last->message->row_id,
                                .first_stamp = first->message->created_at,
                                .stamp = last->message->created_at,
                                .old = old};
    reread_note(poller->reread, &noted, clock_monotonic_ms());
}

/* Up to when every row has been fetched once these are admitted: to now if the page reached the
 * end, else to the row from which the next one follows. */
static void note_covering(struct poller *poller, int64_t platform_ms)
{
    /* the stamps are by the platform's clock */
    int64_t ahead_ms = platform_ms > 0 ? platform_ms - clock_wall_ms() : 0;
    poller->covering_ms = poller->asked_wall_ms;
    if (!poller->more)
        return;
    poller->covering_ms = 0;
    for (size_t i = 0; i < poller->fetched_count; i++) {
        const struct message *message = poller->fetched[i].message;
        int64_t stamp = stamp_ms(message->created_at);
        if (stamp > 0 && message->row_id && poller->position &&
            strcmp(message->row_id, poller->position) == 0)
            poller->covering_ms = stamp - ahead_ms;
    }
}

int64_t poller_covered_ms(const struct workspace *workspace)
{
    int64_t covered = workspace->poller.covered_ms;
    const struct inbox_entry *oldest = inbox_oldest_pending(workspace->inbox);
    if (!oldest || covered == 0)
        return covered;
    int64_t created = stamp_ms(oldest->stamp), seen = oldest->first_seen_ms;
    int64_t since = created > 0 && (seen == 0 || created < seen) ? created : seen;
    return since > 0 && since < covered ? since : covered;
}

/* What a page holds; the next fetch is scheduled when it is admitted. */
/* Goes back page by page, where the platform can (LATEST), until all are found or none can come any
 * more. */
static void take_recovered(struct workspace *workspace, const struct page *page)
{
    struct poller *poller = &workspace->poller;
    char *before = memory_copy_text(poller->recovered_to);
    arrival_collect_deferred(workspace, page);
    bool back = !before || !poller->recovered_to || strcmp(before, poller->recovered_to) != 0;
    free(before);
    poller->more = true; /* the inbox itself was not looked at */
    if (deferred_left(poller->deferred) > 0 && (int)page->count >= poller->asked && back) {
        schedule(workspace, 0);
        return;
    }
    if (deferred_left(poller->deferred) > 0)
        log_error(workspace->settings.id,
                  "poll: %zu message%s that waited in the lost ledger cannot be found on the "
                  "platform any more and %s lost",
                  deferred_left(poller->deferred), plural(deferred_left(poller->deferred)),
                  deferred_left(poller->deferred) == 1 ? "is" : "are");
    deferred_free(poller->deferred);
    poller->deferred = NULL;
    arrival_reverse(poller);
    poller->rereading = true;
    arrival_admit(workspace);
}

static void take_page(struct workspace *workspace, const struct page *page, int64_t platform_ms)
{
    struct poller *poller = &workspace->poller;
    size_t before = poller->fetched_count;
    if (poller->deferred) {
        poller->window = false;
        poller->covering_ms = 0;
        take_recovered(workspace, page);
        return;
    }
    poller->rereading = reread_is_reading(poller->reread);
    poller->window = !poller->rereading && !poller->position;
    poller->covering_ms = 0;
    if (poller->rereading) {
        bool more = arrival_collect_again(workspace, page);
        poller->more = poller->more || more || reread_is_reading(poller->reread);
        arrival_admit(workspace);
        return;
    }
    arrival_collect(workspace, page);
    if (poller->window) {
        if (window_goes_on(workspace, page, before)) {
            schedule(workspace, 0);
            return;
        }
        arrival_reverse(poller);
    }
    poller->more = !poller->window && (int)page->count >= poller->asked;
    move_position(workspace, platform_ms);
    note_covering(poller, platform_ms);
    arrival_admit(workspace);
}

/* What was announced stands behind the position, where rows that were committed late do: the inbox
 * is read again at once. */
static void recall_missing(struct workspace *workspace)
{
    struct poller *poller = &workspace->poller;
    int64_t now = clock_monotonic_ms();
    bool all;
    if (poller->rereading || poller->window || poller->more ||
        !announced_look(poller->announced, poller->asked_ms, now, &all))
        return;
    log_debug(workspace->settings.id,
              "poll: a message was announced and did not come; reading the inbox again");
    reread_recall(poller->reread, all, now);
    poller->more = reread_is_reading(poller->reread);
}

void poller_admitted(struct workspace *workspace)
{
    struct poller *poller = &workspace->poller;
    int64_t now = clock_wall_ms();
    recall_missing(workspace);
    if (poller->covering_ms > 0 &&
        (poller->covering_ms > poller->covered_ms || poller->covered_ms > now)) {
        poller->covered_ms = poller->covering_ms;
        poller->covered_boot_ms = clock_boot_ms() -
                                  (now > poller->covering_ms ? now - poller->covering_ms : 0);
    }
    poller->covering_ms = 0;
    if (poller->found && !poller->expected && poller->watched && !poller->hinted)
        event_stream_doubt(workspace);
    overflow_follow(workspace);
    int64_t pause = pause_ms(workspace);
    if (poller->by_hint)
        note_hint_led(workspace, poller->found);
    if (workspace->host->options.fleet && !poller->spread)
        pause = workspace_phase(workspace, pause);
    poller->spread = true;
    schedule(workspace, poller->more ? 0 : poller->hinted ? take_hint_turn(workspace) : pause);
}

void poller_hint(struct workspace *workspace)
{
    struct poller *poller = &workspace->poller;
    bool was_hinted = poller->hinted;
    poller->hinted = true;
    if (was_hinted || poller->paused || poller->failing || poller->checking ||
        exchange_busy(&poller->exchange))
        return; /* the next poll comes when it may */
    int64_t wait = take_hint_turn(workspace);
    if (!uv_is_active((uv_handle_t *)&poller->timer) ||
        uv_timer_get_due_in(&poller->timer) > (uint64_t)wait)
        schedule(workspace, wait);
}

static void forget_cursor(struct workspace *workspace)
{
    struct poller *poller = &workspace->poller;
    /* only an old row is gone: no reason to forget the position */
    if (reread_is_reading(poller->reread)) {
        reread_lost(poller->reread, clock_monotonic_ms());
        schedule(workspace, 0);
        return;
    }
    log_warn(workspace->settings.id,
             "poll: the platform no longer knows our cursor (pruned, or its database was reset); "
             "fetching the "
             "last %lld s instead, what was answered is not answered again",
             (long long)window_seconds(workspace));
    free(poller->position);
    poller->position = NULL;
    poller->lookup_failures = 0;
    poller->hinted = true; /* the stream announced these rows long ago */
    reread_forget(poller->reread);
    announced_forget(poller->announced);
    arrival_drop(poller);
    schedule(workspace, 0);
}

static void failed(struct workspace *workspace, const struct exchange_answer *answer)
{
    struct poller *poller = &workspace->poller;
    const struct retry_verdict *verdict = &answer->verdict;
    int64_t floor = verdict->floor_ms;
    arrival_drop(poller);
    if (verdict->cursor_lookup_failed && ++poller->lookup_failures >= LOOKUP_FAILURES_MAXIMUM) {
        forget_cursor(workspace);
        return;
    }
    if (verdict->tenant_guard && !workspace->token.mentioned_guard) {
        workspace->token.mentioned_guard = true;
        log_error(workspace->settings.id,
                  "%s: this is the tenant guard of a hosted platform; check that --api-url is the "
                  "tenant's own address, "
                  "or set MOLECULE_ORG_ID (--org-id)",
                  verdict->reason);
    } else if (verdict->class == RETRY_UNAUTHORIZED) {
        token_refused(workspace, answer);
        floor = token_floor_ms(workspace);
    } else if (verdict->class == RETRY_PERMANENT) {
        if (!poller->failing)
            log_error(workspace->settings.id, "%s; asking again every %d s", verdict->reason,
                      BACKOFF_CAP_MS / 1000);
        floor = BACKOFF_CAP_MS;
    } else if (!poller->failing) {
        log_warn(workspace->settings.id, "%s; retrying", verdict->reason);
    } else {
        log_debug(workspace->settings.id, "%s; retrying", verdict->reason);
    }
    poller->failing = true;
    workspace_away(workspace, verdict->reason);
    poller->hinted = poller->hinted || poller->expected;
    if (answer->status == 0)
        event_stream_let_go(workspace);
    schedule(workspace, retry_next_delay(&poller->backoff, floor, host_random()));
}

static bool shrink_page(struct workspace *workspace, const struct exchange_answer *answer)
{
    struct poller *poller = &workspace->poller;
    if (!answer->too_large || poller->limit == 1)
        return false;
    poller->limit /= 2;
    log_warn(workspace->settings.id,
             "poll: a page is larger than %zu MiB; asking for %d rows at a time",
             PAGE_MAXIMUM >> 20, poller->limit);
    poller->hinted = poller->hinted || poller->expected;
    arrival_drop(poller);
    schedule(workspace, 0);
    return true;
}

static void on_answer(const struct exchange_answer *answer, void *context)
{
    struct workspace *workspace = context;
    struct poller *poller = &workspace->poller;
    if (!poller->running || shrink_page(workspace, answer))
        return;
    if (answer->verdict.class == RETRY_GONE) {
        forget_cursor(workspace);
        return;
    }
    struct page page = {0};
    const char *problem;
    struct exchange_answer damaged = *answer;
    if (answer->verdict.class == RETRY_OK &&
        !page_cut(answer->body, answer->body_length, &page, &problem)) {
        damaged.verdict.class = RETRY_TRANSIENT;
        snprintf(damaged.verdict.reason, sizeof damaged.verdict.reason,
                 "poll: the answer is not a page of rows: %s", problem);
    }
    if (damaged.verdict.class != RETRY_OK) {
        failed(workspace, &damaged);
        return;
    }
    recovered(workspace);
    take_page(workspace, &page, answer->date_ms);
    page_free(&page);
}

/* Says what it leaves out: a row that was committed late there is missed. */
static void begin_reread(struct workspace *workspace)
{
    struct poller *poller = &workspace->poller;
    unsigned long skips = reread_skips(poller->reread);
    reread_begin(poller->reread, !poller->more, clock_monotonic_ms());
    if (reread_skips(poller->reread) > skips)
        log_warn(
            workspace->settings.id,
            "poll: inbox too busy to re-read; rows committed late some minutes ago may be missed");
}

static void name_rows(struct workspace *workspace, bool again, struct platform_fetch *wanted)
{
    struct poller *poller = &workspace->poller;
    if (poller->deferred) {
        wanted->since_secs = (clock_wall_ms() - deferred_since_ms(poller->deferred)) / 1000 +
                             WINDOW_SLACK_S;
        if (wanted->since_secs < WINDOW_SLACK_S)
            wanted->since_secs = WINDOW_SLACK_S;
        wanted->before_ts = poller->recovered_to;
        /* as far back as the one that the first row came with */
    } else if (again && reread_wants_window(poller->reread)) {
        wanted->since_secs = poller->window_s +
                             (poller->asked_ms - poller->window_asked_ms) / 1000 + 1;
        wanted->before_ts = reread_window_before(poller->reread);
    } else if (poller->position) {
        wanted->since_id = again ? reread_position(poller->reread) : poller->position;
    } else {
        wanted->since_secs = window_seconds(workspace);
        if (poller->fetched_count > 0)
            wanted->before_ts = poller->fetched[poller->fetched_count - 1].message->created_at;
        poller->window_s = wanted->since_secs;
        poller->window_asked_ms = poller->asked_ms;
    }
}

static void fetch(struct workspace *workspace)
{
    struct poller *poller = &workspace->poller;
    if (!poller->running || poller->checking || exchange_busy(&poller->exchange))
        return;
    poller->paused = is_full(workspace);
    if (poller->paused) { /* poller_resume */
        overflow_relieve(workspace);
        schedule(workspace, FULL_LOOK_MS);
        return;
    }
    if (!poller->deferred && poller->position &&
        (!poller->hinted || reread_is_overdue(poller->reread, clock_monotonic_ms())))
        begin_reread(workspace);
    bool again = !poller->deferred && poller->position && reread_is_reading(poller->reread);
    poller->by_hint = !again && poller->hinted;
    if (!again) {
        poller->expected = poller->hinted || poller->more;
        poller->hinted = false;
        poller->watched = event_stream_trusted(workspace);
    }
    poller->found = false;
    poller->asked_ms = clock_monotonic_ms();
    if (poller->fetched_count == 0)
        poller->asked_wall_ms = clock_wall_ms();
    poller->asked = poller->limit;
    struct platform_fetch wanted = {.limit = poller->limit};
    name_rows(workspace, again, &wanted);
    struct exchange_limits limits = {.timeout_ms = TIMEOUT_MS,
                                     .stall_ms = STALL_MS,
                                     .response_maximum = poller->limit == 1 ? PAGE_MAXIMUM_ONE
                                                                            : PAGE_MAXIMUM};
    exchange_start(&poller->exchange, &workspace->budget, workspace->host->client,
                   platform_activity(&workspace->platform, workspace->token.current, &wanted),
                   &limits, on_answer, workspace);
}

void poller_open(struct workspace *workspace, const char *cursor, const char *anchor,
                 int64_t covered_ms)
{
    struct poller *poller = &workspace->poller;
    poller->position = memory_copy_text(cursor);
    poller->last_poll_wall_ms = poller->covered_ms = covered_ms;
    poller->limit = LIMIT_MAXIMUM;
    poller->backoff = (struct retry_backoff){.base_ms = 500, .cap_ms = BACKOFF_CAP_MS};
    poller->reread = reread_open(cursor, anchor, clock_monotonic_ms());
    /* should one be asked for in place of rows that are gone */
    poller->window_s = window_seconds(workspace);
    poller->window_asked_ms = clock_monotonic_ms();
}

void poller_recover(struct workspace *workspace, struct deferred *deferred)
{
    if (!deferred || deferred_left(deferred) == 0) {
        deferred_free(deferred);
        return;
    }
    log_warn(workspace->settings.id,
             "state: %zu message%s waited in the lost ledger; fetching %s from the platform again",
             deferred_left(deferred), plural(deferred_left(deferred)),
             deferred_left(deferred) == 1 ? "it" : "them");
    workspace->poller.deferred = deferred;
}

void poller_start(struct workspace *workspace)
{
    workspace->poller.running = true;
    fetch(workspace);
}

void poller_resume(struct workspace *workspace)
{
    if (workspace->poller.paused && !is_full(workspace))
        schedule(workspace, 0);
}

void poller_close(struct workspace *workspace)
{
    struct poller *poller = &workspace->poller;
    poller->running = false;
    exchange_cancel(&poller->exchange);
    uv_timer_stop(&poller->timer);
    arrival_drop(poller);
    poller->checking = false;
    if (workspace->state < WORKSPACE_CLOSED)
        return;
    free(poller->position);
    poller->position = NULL;
    reread_close(poller->reread);
    poller->reread = NULL;
    deferred_free(poller->deferred);
    poller->deferred = NULL;
    free(poller->recovered_to);
    poller->recovered_to = NULL;
    free(poller->announced);
    poller->announced = NULL;
}
