/* Fetches the inbox: a window at first and after a pruned cursor, else what follows the last row seen. No outcome ends
 * this loop: it waits and asks again. */
#include "host/workspace.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "wire/envelope.h"
#include "wire/page.h"

#include <stdlib.h>
#include <string.h>

#define LIMIT_MAXIMUM 500                    /* rows a page: the platform's own (contract §1.6) */
#define PAGE_MAXIMUM ((size_t)64 << 20)      /* bytes; beyond it the limit is halved */
#define PAGE_MAXIMUM_ONE ((size_t)256 << 20) /* of a page of one row, which cannot be halved */
#define PENDING_BYTES_MAXIMUM ((size_t)256 << 20)
#define WINDOW_ROWS_MAXIMUM 20000
#define TIMEOUT_MS 120000
#define STALL_MS 10000
#define BACKOFF_CAP_MS 60000
#define LOOKUP_FAILURES_MAXIMUM 3
#define NAMELESS_SAY_EVERY_MS 60000
#define WINDOW_SLACK_S 60                    /* clocks differ, and rows are committed late */

/* Rows that were committed late, or share the cursor's microsecond on T1, stand before the fetch position. They are
 * found by reading again from a row seen some time ago. */
#define OVERLAP_AGE_MS 10000
#define OVERLAP_EVERY_MS 15000
#define ANCHOR_EVERY_MS 2000
#define ANCHORS 16

struct overlap {
    struct { char *row_id; int64_t seen_ms; } anchors[ANCHORS]; /* ring */
    size_t next;
    int64_t last_new_ms, last_run_ms;
    char *position; /* since_id while an overlap is paged; NULL: none is */
};

/* A row on its way from the page into the inbox. */
struct fetched {
    struct message *message;
    char *row;
    size_t row_length;
    bool asked; /* the ledger was asked about it */
};

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

static bool is_full(const struct workspace *workspace)
{
    return inbox_pending(workspace->inbox) >= workspace->settings.max_pending ||
           inbox_bytes(workspace->inbox) >= PENDING_BYTES_MAXIMUM;
}

static void note_anchor(struct poller *poller, const char *row_id)
{
    struct overlap *overlap = poller->overlap;
    int64_t now = clock_monotonic_ms();
    overlap->last_new_ms = now;
    size_t latest = (overlap->next + ANCHORS - 1) % ANCHORS;
    if (overlap->anchors[latest].row_id && now - overlap->anchors[latest].seen_ms < ANCHOR_EVERY_MS)
        return;
    free(overlap->anchors[overlap->next].row_id);
    overlap->anchors[overlap->next].row_id = memory_copy_text(row_id);
    overlap->anchors[overlap->next].seen_ms = now;
    overlap->next = (overlap->next + 1) % ANCHORS;
}

/* What comes late may have been committed just after the last overlap, so the next one begins at a row that was old
 * enough then: the youngest such row, or the oldest known. NULL: no row is old enough even now. */
static const char *find_anchor(const struct overlap *overlap, int64_t now)
{
    size_t best = ANCHORS, oldest = ANCHORS;
    for (size_t i = 0; i < ANCHORS; i++) {
        int64_t seen_ms = overlap->anchors[i].seen_ms;
        if (!overlap->anchors[i].row_id)
            continue;
        if (oldest == ANCHORS || seen_ms < overlap->anchors[oldest].seen_ms)
            oldest = i;
        if (seen_ms <= overlap->last_run_ms - OVERLAP_AGE_MS &&
            (best == ANCHORS || seen_ms >= overlap->anchors[best].seen_ms))
            best = i;
    }
    if (oldest == ANCHORS || now - overlap->anchors[oldest].seen_ms < OVERLAP_AGE_MS)
        return NULL;
    return overlap->anchors[best < ANCHORS ? best : oldest].row_id;
}

static void forget_anchors(struct overlap *overlap)
{
    for (size_t i = 0; i < ANCHORS; i++) {
        free(overlap->anchors[i].row_id);
        overlap->anchors[i].row_id = NULL;
    }
}

static bool overlap_due(const struct poller *poller)
{
    const struct overlap *overlap = poller->overlap;
    int64_t now = clock_monotonic_ms();
    return now - overlap->last_run_ms >= OVERLAP_EVERY_MS && overlap->last_new_ms > 0 &&
           overlap->last_run_ms < overlap->last_new_ms + OVERLAP_AGE_MS + OVERLAP_EVERY_MS && find_anchor(overlap, now);
}

static int64_t window_seconds(const struct workspace *workspace)
{
    int64_t window = workspace->settings.since_secs;
    if (workspace->poller.last_poll_wall_ms > 0) {
        int64_t away = (clock_wall_ms() - workspace->poller.last_poll_wall_ms) / 1000 + WINDOW_SLACK_S;
        if (away > window)
            window = away;
    }
    return window;
}

/* A row without an id comes with every poll until another follows it. */
static void say_nameless(struct workspace *workspace, const struct message *message)
{
    struct poller *poller = &workspace->poller;
    int64_t now = clock_monotonic_ms();
    if (poller->nameless_said_ms && now - poller->nameless_said_ms < NAMELESS_SAY_EVERY_MS)
        return;
    poller->nameless_said_ms = now;
    log_error(workspace->settings.id, "row without an id cannot be read and is set aside: %s; the inbox goes on",
              message->problem ? message->problem : "?");
}

/* Every row becomes an entry; what is nothing to answer, or was answered before, is finished at once. */
static void admit(struct workspace *workspace, struct fetched *fetched, enum ledger_state state)
{
    const char *id = workspace->settings.id;
    struct message *message = fetched->message;
    bool in_order = !workspace->poller.overlapping;
    fetched->message = NULL;
    if (!message->row_id) {
        say_nameless(workspace, message);
        message_free(message);
        return;
    }
    enum envelope_kind kind = message->kind;
    if (message->repaired && kind == ENVELOPE_MESSAGE)
        log_debug(id, "row %s is not quite JSON; the script gets a repaired copy", message->row_id);
    struct inbox_entry *entry = inbox_admit(workspace->inbox, message, fetched->row, fetched->row_length, in_order);
    if (!entry)
        return;
    entry->first_seen_ms = clock_wall_ms();
    if (in_order)
        note_anchor(&workspace->poller, entry->row_id);
    else
        log_debug(id, "row %s came late", entry->row_id);
    if (state != LEDGER_UNKNOWN) {
        log_debug(id, "row %s is known already: %s", entry->row_id, ledger_state_text(state));
        inbox_finish(workspace->inbox, entry);
    } else if (kind == ENVELOPE_UNREADABLE) {
        log_error(id, "row %s cannot be read and is set aside: %s; the inbox goes on", entry->row_id,
                  message->problem ? message->problem : "?");
        inbox_start(workspace->inbox, entry);
        workspace_dead(workspace, entry, message->problem ? message->problem : "it cannot be read", NULL);
    } else if (kind != ENVELOPE_MESSAGE) {
        log_debug(id, "row %s skipped: %s", entry->row_id, envelope_kind_text(kind));
        inbox_finish(workspace->inbox, entry);
    } else if (!in_order) {
        workspace_keep(workspace, entry, "it was committed late");
    }
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
        log_info(workspace->settings.id, "poll: well again");
    poller->failing = false;
    poller->lookup_failures = 0;
    poller->last_poll_wall_ms = clock_wall_ms();
    retry_succeeded(&poller->backoff);
    token_accepted(workspace);
    if (poller->limit < LIMIT_MAXIMUM)
        poller->limit = poller->limit * 2 < LIMIT_MAXIMUM ? poller->limit * 2 : LIMIT_MAXIMUM;
}

static void drop_fetched(struct poller *poller)
{
    for (size_t i = 0; i < poller->fetched_count; i++) {
        message_free(poller->fetched[i].message);
        free(poller->fetched[i].row);
    }
    free(poller->fetched);
    poller->fetched = NULL;
    poller->fetched_count = poller->fetched_capacity = 0;
}

static bool has_fetched(const struct poller *poller, size_t count, const char *row_id)
{
    for (size_t i = 0; row_id && i < count; i++)
        if (poller->fetched[i].message->row_id && strcmp(poller->fetched[i].message->row_id, row_id) == 0)
            return true;
    return false;
}

/* Reads the rows of a page behind those fetched so far. */
static void collect(struct workspace *workspace, const struct page *page)
{
    struct poller *poller = &workspace->poller;
    size_t before = poller->fetched_count;
    for (size_t i = 0; i < page->count; i++) {
        struct message *message = envelope_read(page->rows[i], workspace->settings.id);
        /* only a further page of a window can repeat a row: T1 ignores before_ts */
        if (before > 0 && has_fetched(poller, before, message->row_id)) {
            message_free(message);
            continue;
        }
        if (poller->fetched_count == poller->fetched_capacity) {
            poller->fetched_capacity = poller->fetched_capacity ? poller->fetched_capacity * 2 : 16;
            poller->fetched = memory_resize(poller->fetched, poller->fetched_capacity * sizeof *poller->fetched);
        }
        poller->fetched[poller->fetched_count++] = (struct fetched){
            .message = message,
            .row = memory_copy(page->rows[i].bytes, page->rows[i].length),
            .row_length = page->rows[i].length,
        };
    }
}

/* A window comes newest first. true: an older page may exist and is to be fetched before anything is admitted. */
static bool window_goes_on(struct workspace *workspace, const struct page *page, size_t before)
{
    struct poller *poller = &workspace->poller;
    if ((int)page->count < poller->limit)
        return false;
    if (poller->fetched_count == before || poller->fetched_count >= WINDOW_ROWS_MAXIMUM) {
        log_warn(workspace->settings.id,
                 "poll: the first window holds more than %zu rows; older ones may be missing (this platform gives no way "
                 "to page back)", poller->fetched_count);
        return false;
    }
    return true;
}

static void reverse_fetched(struct poller *poller)
{
    for (size_t i = 0, j = poller->fetched_count; i + 1 < j; i++) {
        struct fetched moved = poller->fetched[i];
        poller->fetched[i] = poller->fetched[--j];
        poller->fetched[j] = moved;
    }
}

static void admit_fetched(struct workspace *workspace, const struct record_known *known)
{
    struct poller *poller = &workspace->poller;
    size_t asked = 0;
    for (size_t i = 0; i < poller->fetched_count; i++) {
        struct fetched *fetched = &poller->fetched[i];
        enum ledger_state state = LEDGER_UNKNOWN;
        struct record_loaded *loaded = NULL;
        if (known && fetched->asked) {
            state = known->states[asked];
            loaded = known->loaded[asked];
            known->loaded[asked++] = NULL;
        }
        if (loaded)
            workspace_resume(workspace, loaded, !poller->overlapping);
        else
            admit(workspace, fetched, state);
    }
    drop_fetched(poller);
    poller->checking = false;
    schedule(workspace, poller->more ? 0 : workspace->settings.interval_ms);
    workspace_dispatch(workspace);
    saver_request(workspace);
}

static void on_known(struct workspace *workspace, struct record_known *known)
{
    if (workspace->poller.checking)
        admit_fetched(workspace, known);
}

/* What an earlier process finished is not handled again, whatever brings it back: the ledger knows. */
static void check_fetched(struct workspace *workspace)
{
    struct poller *poller = &workspace->poller;
    size_t count = 0;
    const char **ids = memory_allocate((poller->fetched_count + 1) * sizeof *ids);
    for (size_t i = 0; i < poller->fetched_count; i++) {
        struct fetched *fetched = &poller->fetched[i];
        const char *row_id = fetched->message->row_id;
        fetched->asked = row_id && !inbox_known(workspace->inbox, row_id) &&
                         (fetched->message->kind == ENVELOPE_MESSAGE || fetched->message->kind == ENVELOPE_UNREADABLE);
        if (fetched->asked)
            ids[count++] = row_id;
    }
    poller->checking = true;
    if (count == 0 || !record_exists(workspace->record))
        admit_fetched(workspace, NULL);
    else
        /* only what stands behind our cursor can be ours again: a window, or an overlap, reaches before it */
        record_known(workspace->record, ids, count, !poller->window && !poller->overlapping, on_known);
    free(ids);
}

static void end_overlap(struct poller *poller)
{
    free(poller->overlap->position);
    poller->overlap->position = NULL;
    poller->overlap->last_run_ms = clock_monotonic_ms();
}

/* What a page holds; the next fetch is scheduled when it is admitted. */
static void take_page(struct workspace *workspace, const struct page *page)
{
    struct poller *poller = &workspace->poller;
    size_t before = poller->fetched_count;
    poller->overlapping = poller->overlap->position != NULL;
    poller->window = !poller->overlapping && !poller->position;
    collect(workspace, page);
    if (poller->window) {
        if (window_goes_on(workspace, page, before)) {
            schedule(workspace, 0);
            return;
        }
        reverse_fetched(poller);
    }
    poller->more = !poller->window && (int)page->count >= poller->limit;
    char **position = poller->overlapping ? &poller->overlap->position : &poller->position;
    for (size_t i = 0; i < poller->fetched_count; i++)
        set_position(position, poller->fetched[i].message->row_id);
    if (poller->overlapping && !poller->more)
        end_overlap(poller);
    check_fetched(workspace);
}

static void forget_cursor(struct workspace *workspace)
{
    struct poller *poller = &workspace->poller;
    if (poller->overlap->position) { /* only the old row is gone: no reason to forget the position */
        end_overlap(poller);
        schedule(workspace, workspace->settings.interval_ms);
        return;
    }
    log_warn(workspace->settings.id,
             "poll: the platform does not know our cursor any more (pruned, or its database was reset); fetching the "
             "last %lld s instead, what was answered is not answered again", (long long)window_seconds(workspace));
    free(poller->position);
    poller->position = NULL;
    poller->lookup_failures = 0;
    forget_anchors(poller->overlap);
    drop_fetched(poller);
    schedule(workspace, 0);
}

static void failed(struct workspace *workspace, const struct exchange_answer *answer)
{
    struct poller *poller = &workspace->poller;
    const struct retry_verdict *verdict = &answer->verdict;
    int64_t floor = verdict->floor_ms;
    drop_fetched(poller);
    if (verdict->cursor_lookup_failed && ++poller->lookup_failures >= LOOKUP_FAILURES_MAXIMUM) {
        forget_cursor(workspace);
        return;
    }
    if (verdict->tenant_guard && !workspace->token.mentioned_guard) {
        workspace->token.mentioned_guard = true;
        log_error(workspace->settings.id,
                  "%s: this is the tenant guard of a hosted platform; check that --api-url is the tenant's own address, "
                  "or set MOLECULE_ORG_ID (--org-id)", verdict->reason);
    } else if (verdict->class == RETRY_UNAUTHORIZED) {
        token_refused(workspace, answer);
        floor = token_floor_ms(workspace);
    } else if (verdict->class == RETRY_PERMANENT) {
        if (!poller->failing)
            log_error(workspace->settings.id, "%s; asking again every %d s", verdict->reason, BACKOFF_CAP_MS / 1000);
        floor = BACKOFF_CAP_MS;
    } else if (!poller->failing) {
        log_warn(workspace->settings.id, "%s; trying again", verdict->reason);
    } else {
        log_debug(workspace->settings.id, "%s; trying again", verdict->reason);
    }
    poller->failing = true;
    schedule(workspace, retry_next_delay(&poller->backoff, floor, host_random()));
}

static bool shrink_page(struct workspace *workspace, const struct exchange_answer *answer)
{
    struct poller *poller = &workspace->poller;
    if (!answer->too_large || poller->limit == 1)
        return false;
    poller->limit /= 2;
    log_warn(workspace->settings.id, "poll: a page is larger than %zu MiB; asking for %d rows at a time",
             PAGE_MAXIMUM >> 20, poller->limit);
    drop_fetched(poller);
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
    if (answer->verdict.class == RETRY_OK && !page_cut(answer->body, answer->body_length, &page, &problem)) {
        damaged.verdict.class = RETRY_TRANSIENT;
        snprintf(damaged.verdict.reason, sizeof damaged.verdict.reason, "poll: the answer is not a page of rows: %s",
                 problem);
    }
    if (damaged.verdict.class != RETRY_OK) {
        failed(workspace, &damaged);
        return;
    }
    recovered(workspace);
    take_page(workspace, &page);
    page_free(&page);
}

static void fetch(struct workspace *workspace)
{
    struct poller *poller = &workspace->poller;
    if (!poller->running || poller->checking || exchange_busy(&poller->exchange))
        return;
    poller->paused = is_full(workspace);
    if (poller->paused)
        return; /* poller_resume */
    if (poller->position && !poller->overlap->position && overlap_due(poller))
        poller->overlap->position = memory_copy_text(find_anchor(poller->overlap, clock_monotonic_ms()));
    struct platform_fetch wanted = {.limit = poller->limit};
    if (poller->overlap->position)
        wanted.since_id = poller->overlap->position;
    else if (poller->position)
        wanted.since_id = poller->position;
    else
        wanted.since_secs = window_seconds(workspace);
    if (!wanted.since_id && poller->fetched_count > 0)
        wanted.before_ts = poller->fetched[poller->fetched_count - 1].message->created_at;
    struct exchange_limits limits = {.timeout_ms = TIMEOUT_MS, .stall_ms = STALL_MS,
                                     .response_maximum = poller->limit == 1 ? PAGE_MAXIMUM_ONE : PAGE_MAXIMUM};
    exchange_start(&poller->exchange, workspace->host, workspace->host->client,
                   platform_activity(&workspace->platform, workspace->token.current, &wanted), &limits, on_answer,
                   workspace);
}

void poller_open(struct workspace *workspace, const char *cursor, const char *anchor, int64_t last_poll_wall_ms)
{
    struct poller *poller = &workspace->poller;
    poller->position = memory_copy_text(cursor);
    poller->last_poll_wall_ms = last_poll_wall_ms;
    poller->limit = LIMIT_MAXIMUM;
    poller->backoff = (struct retry_backoff){.base_ms = 500, .cap_ms = BACKOFF_CAP_MS};
    poller->overlap = memory_allocate(sizeof *poller->overlap);
    if (cursor)
        note_anchor(poller, anchor ? anchor : cursor);
    if (cursor && anchor) /* read again from there at once: rows may have been committed late while nobody looked */
        poller->overlap->anchors[0].seen_ms -= OVERLAP_AGE_MS;
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
    drop_fetched(poller);
    poller->checking = false;
    if (workspace->state < WORKSPACE_CLOSED)
        return;
    free(poller->position);
    poller->position = NULL;
    if (poller->overlap) {
        forget_anchors(poller->overlap);
        free(poller->overlap->position);
    }
    free(poller->overlap);
    poller->overlap = NULL;
}
