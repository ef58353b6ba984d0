#include "link/poller.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/plural.h"
#include "base/random.h"
#include "base/timer.h"
#include "link/collect.h"
#include "link/poller_pace.h"
#include "wire/page.h"

#include <stdlib.h>
#include <stdio.h>

#define LIMIT_MAXIMUM 500 /* rows per page: the platform's own limit (contract §1.6) */
#define PAGE_MAXIMUM ((size_t)64 << 20)      /* bytes; beyond it the limit is halved */
#define PAGE_MAXIMUM_ONE ((size_t)256 << 20) /* of a page of one row, which cannot be halved */
#define TIMEOUT_MS 120000
#define STALL_MS 10000
#define BACKOFF_CAP_MS 60000
#define LOOKUP_FAILURES_MAXIMUM 3
#define FULL_LOOK_MS 1000 /* while the inbox is full */
/* the platform keeps rows no longer (contract §4.10) */
#define AWAY_MAXIMUM_MS ((int64_t)7 * 86400 * 1000)
#define WINDOW_SLACK_S 60 /* clocks differ, and rows are committed late */

static void fetch(struct poller *poller);

static void on_timer(uv_timer_t *timer)
{
    fetch(timer->data);
}

static void schedule(struct poller *poller, int64_t after_ms)
{
    if (poller->running)
        timer_arm(&poller->timer, on_timer, after_ms);
}

/* How long ago every earlier row had been fetched. Where only an earlier process's wall clock
 * tells, and it was ahead of ours: the maximum. */
static int64_t away_ms(const struct poller *poller)
{
    int64_t wall = clock_wall_ms() - poller->covered_ms;
    int64_t away = poller->covered_boot_ms > 0 ? clock_boot_ms() - poller->covered_boot_ms
                   : wall >= 0                 ? wall
                                               : AWAY_MAXIMUM_MS;
    away = away > wall ? away : wall;
    return away < AWAY_MAXIMUM_MS ? away : AWAY_MAXIMUM_MS;
}

static int64_t window_seconds(const struct poller *poller)
{
    int64_t window = poller->link->options->since_secs;
    if (poller->covered_ms > 0) {
        int64_t away = away_ms(poller) / 1000 + WINDOW_SLACK_S;
        if (away > window)
            window = away;
    }
    return window;
}

static void recovered(struct poller *poller)
{
    if (poller->failing)
        log_info(LOG_POLL_RECOVERED, poller->link->options->id, "poll: recovered");
    poller->failing = false;
    event_stream_come_back(poller->stream);
    link_away(poller->link, NULL);
    poller->lookup_failures = 0;
    poller->link->polls++;
    poller->last_poll_ms = clock_wall_ms();
    poller->polled_ms = clock_monotonic_ms();
    retry_succeeded(&poller->backoff);
    token_accepted(poller->link);
    event_stream_follow(poller->stream);
    if (poller->limit < LIMIT_MAXIMUM)
        poller->limit = poller->limit * 2 < LIMIT_MAXIMUM ? poller->limit * 2 : LIMIT_MAXIMUM;
}

/* What was announced is behind the position, like a row that was committed late: re-reads the inbox
 * at once. */
static void recall_missing(struct poller *poller)
{
    int64_t now = clock_monotonic_ms();
    bool all;
    if (poller->batch.again || poller->batch.window || poller->more ||
        !announced_look(poller->stream->announced, poller->asked_ms, now, &all))
        return;
    log_debug(LOG_POLL_REREAD, poller->link->options->id,
              "poll: an announced message did not arrive; re-reading the inbox");
    reread_recall(poller->reread, all, now);
    poller->more = reread_is_reading(poller->reread);
}

static void note_covered(struct poller *poller)
{
    int64_t now = clock_wall_ms();
    if (poller->covering_ms > 0 &&
        (poller->covering_ms > poller->covered_ms || poller->covered_ms > now)) {
        int64_t ago = now > poller->covering_ms ? now - poller->covering_ms : 0;
        poller->covered_ms = poller->covering_ms;
        poller->covered_boot_ms = clock_boot_ms() - ago;
    }
    poller->covering_ms = 0;
}

void poller_taken(struct poller *poller, bool found)
{
    check(poller->taking);
    collect_drop(poller);
    poller->taking = false;
    if (poller->batch.window)
        poller->seen_end = false;
    else if (!poller->batch.again && !poller->more)
        poller->seen_end = true;
    recall_missing(poller);
    note_covered(poller);
    if (found && !poller->expected && poller->watched && !poller->hinted)
        event_stream_doubt(poller->stream);
    int64_t pause = poller_pause_ms(poller);
    if (poller->by_hint)
        poller_note_hint_led(poller, found);
    if (poller->link->shared->fleet && !poller->spread)
        pause = link_phase(poller->link, pause);
    poller->spread = true;
    if (poller->hinted && !poller->more)
        pause = poller_hint_turn(poller);
    if (poller->wanted && poller_look_wait(poller) < pause)
        pause = poller_look_wait(poller);
    schedule(poller, poller->more ? 0 : pause);
}

static void hand_over(struct poller *poller)
{
    struct batch *batch = &poller->batch;
    check(!poller->taking);
    batch->newer = poller->seen_end && !batch->window && !batch->again;
    poller->taking = true;
    poller->events.arrived(poller->context, batch);
}

static void schedule_sooner(struct poller *poller, int64_t wait_ms)
{
    if (!uv_is_active((uv_handle_t *)&poller->timer) ||
        uv_timer_get_due_in(&poller->timer) > (uint64_t)wait_ms)
        schedule(poller, wait_ms);
}

void poller_hint(struct poller *poller)
{
    bool was_hinted = poller->hinted;
    poller->hinted = true;
    if (was_hinted || poller->paused || poller->failing || poller->taking ||
        call_busy(&poller->call))
        return; /* the next poll comes when it may */
    schedule_sooner(poller, poller_hint_turn(poller));
}

void poller_look(struct poller *poller)
{
    poller->wanted = true;
    if (!poller->paused && !poller->failing && !poller->taking && !call_busy(&poller->call))
        schedule_sooner(poller, poller_look_wait(poller));
}

static void forget_cursor(struct poller *poller)
{
    /* only an old row is gone: no reason to forget the position */
    if (reread_is_reading(poller->reread)) {
        reread_lost(poller->reread, clock_monotonic_ms());
        schedule(poller, 0);
        return;
    }
    log_warn(LOG_POLL_CURSOR_LOST, poller->link->options->id,
             "poll: the platform no longer knows our cursor (pruned, or its database was reset); "
             "fetching the last %lld s instead; answered messages are not answered again",
             (long long)window_seconds(poller));
    free(poller->position);
    poller->position = NULL;
    poller->lookup_failures = 0;
    poller->hinted = true; /* the stream announced these rows long ago */
    reread_forget(poller->reread);
    announced_forget(poller->stream->announced);
    collect_drop(poller);
    schedule(poller, 0);
}

static void failed(struct poller *poller, const struct call_answer *answer)
{
    const struct retry_verdict *verdict = &answer->verdict;
    int64_t floor = verdict->floor_ms;
    collect_drop(poller);
    if (verdict->cursor_lookup_failed && ++poller->lookup_failures >= LOOKUP_FAILURES_MAXIMUM) {
        forget_cursor(poller);
        return;
    }
    if (verdict->tenant_guard && !poller->link->token.mentioned_guard) {
        poller->link->token.mentioned_guard = true;
        log_error(LOG_POLL_FAILING, poller->link->options->id,
                  "%s: this is the tenant guard of a hosted platform; check that --api-url is the "
                  "tenant's own address, "
                  "or set MOLECULE_ORG_ID (--org-id)",
                  verdict->reason);
    } else if (verdict->class == RETRY_UNAUTHORIZED) {
        token_refused(poller->link, answer);
        floor = token_floor_ms(poller->link);
    } else if (verdict->class == RETRY_PERMANENT) {
        if (!poller->failing)
            log_error(LOG_POLL_FAILING, poller->link->options->id, "%s; retrying every %d s",
                      verdict->reason, BACKOFF_CAP_MS / 1000);
        floor = BACKOFF_CAP_MS;
    } else if (!poller->failing) {
        log_warn(LOG_POLL_FAILING, poller->link->options->id, "%s; retrying", verdict->reason);
    } else {
        log_debug(LOG_POLL_FAILING, poller->link->options->id, "%s; retrying", verdict->reason);
    }
    poller->failing = true;
    link_away(poller->link, verdict->reason);
    poller->hinted = poller->hinted || poller->expected;
    if (answer->status == 0)
        event_stream_let_go(poller->stream);
    schedule(poller, retry_next_delay(&poller->backoff, floor, random_number()));
}

static bool shrink_page(struct poller *poller, const struct call_answer *answer)
{
    if (!answer->too_large || poller->limit == 1)
        return false;
    poller->limit /= 2;
    log_warn(LOG_POLL_PAGE_LARGE, poller->link->options->id,
             "poll: a page is larger than %zu MiB; asking for %d rows at a time",
             PAGE_MAXIMUM >> 20, poller->limit);
    poller->hinted = poller->hinted || poller->expected;
    collect_drop(poller);
    schedule(poller, 0);
    return true;
}

static void on_answer(const struct call_answer *answer, void *context)
{
    struct poller *poller = context;
    if (!poller->running || shrink_page(poller, answer))
        return;
    if (answer->verdict.class == RETRY_GONE) {
        forget_cursor(poller);
        return;
    }
    struct page page = {0};
    const char *problem;
    struct call_answer damaged = *answer;
    if (answer->verdict.class == RETRY_OK &&
        !page_cut(answer->body, answer->body_length, &page, &problem)) {
        damaged.verdict.class = RETRY_TRANSIENT;
        snprintf(damaged.verdict.reason, sizeof damaged.verdict.reason,
                 "poll: the answer is not a page of rows: %s", problem);
    }
    if (damaged.verdict.class != RETRY_OK) {
        failed(poller, &damaged);
        return;
    }
    recovered(poller);
    bool complete = collect_page(poller, &page, answer->date_ms);
    page_free(&page);
    if (complete)
        hand_over(poller);
    else
        schedule(poller, 0);
}

/* Logs what it leaves out: a row that was committed late there is missed. */
static void begin_reread(struct poller *poller)
{
    unsigned long skips = reread_skips(poller->reread);
    reread_begin(poller->reread, !poller->more, clock_monotonic_ms());
    if (reread_skips(poller->reread) > skips)
        log_warn(
            LOG_POLL_BUSY, poller->link->options->id,
            "poll: inbox too busy to re-read; rows committed late some minutes ago may be missed");
}

static void name_rows(struct poller *poller, bool again, struct platform_fetch *wanted)
{
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
        wanted->since_secs = window_seconds(poller);
        if (poller->batch.count > 0)
            wanted->before_ts = poller->batch.rows[poller->batch.count - 1].message->created_at;
        poller->window_s = wanted->since_secs;
        poller->window_asked_ms = poller->asked_ms;
    }
}

static void fetch(struct poller *poller)
{
    if (!poller->running || poller->taking || call_busy(&poller->call))
        return;
    poller->paused = !poller->events.has_room(poller->context);
    if (poller->paused) { /* poller_resume */
        poller->events.make_room(poller->context);
        schedule(poller, FULL_LOOK_MS);
        return;
    }
    if (!poller->deferred && poller->position &&
        (!poller->hinted || reread_is_overdue(poller->reread, clock_monotonic_ms())))
        begin_reread(poller);
    bool again = !poller->deferred && poller->position && reread_is_reading(poller->reread);
    poller->by_hint = !again && poller->hinted;
    if (!again) {
        poller->expected = poller->hinted || poller->wanted || poller->more;
        poller->hinted = poller->wanted = false;
        poller->watched = event_stream_trusted(poller->stream);
    }
    poller->asked_ms = clock_monotonic_ms();
    if (poller->batch.count == 0) {
        poller->asked_wall_ms = clock_wall_ms();
        poller->began_ms = poller->asked_ms;
    }
    poller->asked = poller->limit;
    struct platform_fetch wanted = {.limit = poller->limit};
    name_rows(poller, again, &wanted);
    struct call_limits limits = {.timeout_ms = TIMEOUT_MS,
                                 .stall_ms = STALL_MS,
                                 .response_maximum = poller->limit == 1 ? PAGE_MAXIMUM_ONE
                                                                        : PAGE_MAXIMUM};
    link_call(poller->link, &poller->call,
              platform_activity(&poller->link->platform, poller->link->token.current, &wanted),
              &limits, on_answer, poller);
}

void poller_open(struct poller *poller, const char *cursor, const char *anchor, int64_t covered_ms)
{
    poller->position = memory_copy_text(cursor);
    poller->last_poll_ms = poller->covered_ms = covered_ms;
    poller->limit = LIMIT_MAXIMUM;
    poller->backoff = (struct retry_backoff){.base_ms = 500, .cap_ms = BACKOFF_CAP_MS};
    poller->reread = reread_open(cursor, anchor, clock_monotonic_ms());
    /* in case a window must replace rows that are gone */
    poller->window_s = window_seconds(poller);
    poller->window_asked_ms = clock_monotonic_ms();
}

void poller_recover(struct poller *poller, struct deferred *deferred)
{
    if (!deferred || deferred_left(deferred) == 0) {
        deferred_free(deferred);
        return;
    }
    log_warn(LOG_ROWS_FETCHED_AGAIN, poller->link->options->id,
             "state: %zu message%s waited in the lost ledger; fetching %s from the platform again",
             deferred_left(deferred), plural(deferred_left(deferred)),
             deferred_left(deferred) == 1 ? "it" : "them");
    poller->deferred = deferred;
}

void poller_start(struct poller *poller)
{
    poller->running = true;
    fetch(poller);
}

void poller_resume(struct poller *poller)
{
    if (poller->paused && poller->events.has_room(poller->context))
        schedule(poller, 0);
}

void poller_close(struct poller *poller)
{
    poller->running = false;
    call_cancel(&poller->call);
    uv_timer_stop(&poller->timer);
    collect_drop(poller);
    poller->taking = false;
}

void poller_free(struct poller *poller)
{
    collect_drop(poller);
    free(poller->position);
    poller->position = NULL;
    reread_close(poller->reread);
    poller->reread = NULL;
    deferred_free(poller->deferred);
    poller->deferred = NULL;
    free(poller->recovered_to);
    poller->recovered_to = NULL;
}
