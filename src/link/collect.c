#include "link/collect.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/plural.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW_ROWS_MAXIMUM 20000
#define OLD_MS 30000 /* no transaction of the platform's takes so long */

static struct message *read_row(struct poller *poller, const struct page_row *row)
{
    struct message *message = envelope_read(*row, poller->link->options->id);
    if (message->message_id)
        announced_came(poller->stream->announced, message->message_id);
    if (message->seq >= 0)
        poller->link->numbered = true;
    return message;
}

static bool knows(struct poller *poller, const char *row_id)
{
    return poller->events.knows(poller->context, row_id);
}

void collect_drop(struct poller *poller)
{
    for (size_t i = 0; poller->deferred && i < poller->batch.count; i++)
        deferred_put(poller->deferred, poller->batch.rows[i].message->row_id);
    if (poller->deferred) {
        free(poller->recovered_to);
        poller->recovered_to = NULL;
    }
    batch_clear(&poller->batch);
}

/* --- what follows the fetch position, or a window --- */

static void collect_new(struct poller *poller, const struct page *page)
{
    struct batch *batch = &poller->batch;
    size_t before = batch->count;
    for (size_t i = 0; i < page->count; i++) {
        struct message *message = read_row(poller, &page->rows[i]);
        /* only a further page of a window can repeat a row: T1 ignores before_ts */
        if (before > 0 && batch_has(batch, before, message->row_id))
            message_free(message);
        else
            batch_add(batch, message, &page->rows[i]);
    }
}

/* A window comes newest first. true: an older page may exist and must be fetched before anything is
 * taken in. */
static bool window_goes_on(struct poller *poller, const struct page *page, size_t before)
{
    const struct batch *batch = &poller->batch;
    if ((int)page->count < poller->asked)
        return false;
    if (batch->count == before || batch->count >= WINDOW_ROWS_MAXIMUM) {
        log_warn(LOG_POLL_WINDOW_FULL, poller->link->options->id,
                 "poll: the first window holds more than %zu rows; older ones may be missing (this "
                 "platform cannot page back)",
                 batch->count);
        return false;
    }
    return true;
}

/* T1 orders by created_at alone, so a cursor hides later rows of its own microsecond. After a full
 * page the next one therefore starts after the last row of the microsecond before, and repeats the
 * rest. */
static const struct batch_row *last_of_full_page(const struct batch *batch,
                                                 const struct batch_row *last)
{
    for (const struct batch_row *each = last; each > batch->rows;) {
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

/* true: so old that no row can still be committed next to it. */
static bool is_old(const struct batch_row *row, int64_t platform_ms)
{
    int64_t created = stamp_ms(row->message->created_at);
    return created > 0 && created < (platform_ms > 0 ? platform_ms : clock_wall_ms()) - OLD_MS;
}

/* The batch is new, oldest first: the next fetch begins after it. */
static void move_position(struct poller *poller, int64_t platform_ms)
{
    struct batch *batch = &poller->batch;
    const struct batch_row *first = NULL, *last = NULL;
    for (size_t i = 0; i < batch->count; i++) {
        if (!batch->rows[i].message->row_id)
            continue;
        first = first ? first : &batch->rows[i];
        last = &batch->rows[i];
    }
    if (!last)
        return;
    bool old = is_old(last, platform_ms);
    if (poller->more) {
        last = last_of_full_page(batch, last);
        batch_cut(batch, (size_t)(last - batch->rows) + 1);
    }
    char *position = memory_copy_text(last->message->row_id);
    free(poller->position);
    poller->position = position;
    struct reread_page noted = {.first = first->message->row_id,
                                .position = last->message->row_id,
                                .first_stamp = first->message->created_at,
                                .stamp = last->message->created_at,
                                .old = old};
    reread_note(poller->reread, &noted, clock_monotonic_ms());
}

/* Up to when every row has been fetched once these are taken in: to now if the page reached the
 * end, else to the row that the next page starts after. */
static void note_covering(struct poller *poller, int64_t platform_ms)
{
    /* the stamps are by the platform's clock */
    int64_t ahead_ms = platform_ms > 0 ? platform_ms - clock_wall_ms() : 0;
    poller->covering_ms = poller->asked_wall_ms;
    if (!poller->more)
        return;
    poller->covering_ms = 0;
    for (size_t i = 0; i < poller->batch.count; i++) {
        const struct message *message = poller->batch.rows[i].message;
        int64_t stamp = stamp_ms(message->created_at);
        if (stamp > 0 && message->row_id && poller->position &&
            strcmp(message->row_id, poller->position) == 0)
            poller->covering_ms = stamp - ahead_ms;
    }
}

/* --- what a re-read brings --- */

static void collect_before_first(struct poller *poller, const struct page *page)
{
    for (size_t i = 0; i < page->count; i++) {
        struct message *message = read_row(poller, &page->rows[i]);
        if (reread_take_before(poller->reread, message->row_id, message->created_at) &&
            message->row_id && !knows(poller, message->row_id))
            batch_add(&poller->batch, message, &page->rows[i]);
        else
            message_free(message);
    }
    batch_reverse(&poller->batch);
    reread_window_end(poller->reread);
}

/* Unknown rows, up to where the re-read ends. true: the page held more. */
static bool collect_again(struct poller *poller, const struct page *page)
{
    if (reread_wants_window(poller->reread)) {
        collect_before_first(poller, page);
        return false;
    }
    char *last = NULL;
    bool inside = true;
    for (size_t i = 0; i < page->count && inside; i++) {
        struct message *message = read_row(poller, &page->rows[i]);
        inside = reread_take(poller->reread, message->row_id, message->created_at);
        if (inside && message->row_id) {
            free(last);
            last = memory_copy_text(message->row_id);
        }
        if (inside && message->row_id && !knows(poller, message->row_id))
            batch_add(&poller->batch, message, &page->rows[i]);
        else
            message_free(message);
    }
    bool cut = reread_page_end(poller->reread, last, (int)page->count >= poller->asked,
                               clock_monotonic_ms());
    free(last);
    return cut;
}

/* --- what a lost ledger held --- */

static void collect_deferred(struct poller *poller, const struct page *page)
{
    for (size_t i = 0; i < page->count; i++) {
        struct message *message = read_row(poller, &page->rows[i]);
        free(poller->recovered_to);
        poller->recovered_to = memory_copy_text(message->created_at);
        bool wanted = message->row_id && deferred_take(poller->deferred, message->row_id);
        if (wanted && !knows(poller, message->row_id))
            batch_add(&poller->batch, message, &page->rows[i]);
        else
            message_free(message);
    }
}

/* Goes back page by page, where the platform can (LATEST), until all are found or no more can
 * come. */
static bool recover_page(struct poller *poller, const struct page *page)
{
    char *before = memory_copy_text(poller->recovered_to);
    collect_deferred(poller, page);
    bool back = !before || !poller->recovered_to || strcmp(before, poller->recovered_to) != 0;
    free(before);
    poller->more = true; /* the inbox itself was not polled */
    size_t left = deferred_left(poller->deferred);
    if (left > 0 && (int)page->count >= poller->asked && back)
        return false;
    if (left > 0)
        log_error(LOG_ROWS_LOST, poller->link->options->id,
                  "poll: %zu message%s that waited in the lost ledger can no longer be found on "
                  "the platform and %s lost",
                  left, plural(left), left == 1 ? "is" : "are");
    deferred_free(poller->deferred);
    poller->deferred = NULL;
    batch_reverse(&poller->batch);
    poller->batch.again = true;
    return true;
}

bool collect_page(struct poller *poller, const struct page *page, int64_t platform_ms)
{
    struct batch *batch = &poller->batch;
    size_t before = batch->count;
    poller->covering_ms = 0;
    if (poller->deferred) {
        batch->window = false;
        return recover_page(poller, page);
    }
    batch->again = reread_is_reading(poller->reread);
    batch->window = !batch->again && !poller->position;
    if (batch->again) {
        bool more = collect_again(poller, page);
        poller->more = poller->more || more || reread_is_reading(poller->reread);
        return true;
    }
    collect_new(poller, page);
    if (batch->window) {
        if (window_goes_on(poller, page, before))
            return false;
        batch_reverse(batch);
    }
    poller->more = !batch->window && (int)page->count >= poller->asked;
    move_position(poller, platform_ms);
    note_covering(poller, platform_ms);
    return true;
}
