#include "link/reread.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define AGE_MS 10000 /* how long a transaction may take */
#define EVERY_MS 15000
#define OVERDUE_MS 20000
#define GO_ON_MS 1000   /* when there is more to re-read, and nothing new to fetch */
#define PAGES_MAXIMUM 4 /* at a time */
#define BEHIND_MAXIMUM_MS 120000
#define ANCHOR_EVERY_MS 2000
#define ANCHORS 16
#define RECALL_MS 3000     /* rows are rarely later than this */
#define LATEST_US 30000000 /* and none is further before the first one */
#define UNKNOWN INT64_MIN

struct place {
    char *row_id;
    int64_t stamp_us;
    int64_t seen_ms; /* all rows up to this one had been seen by then */
    int64_t next_ms; /* when the first one after it was seen */
};

struct reread {
    struct place anchors[ANCHORS]; /* ring: where a page began */
    size_t next;
    struct place head; /* the fetch position */
    /* everything up to here was re-read; NULL: nothing yet */
    char *from;
    int64_t waiting_since_ms; /* when the first row after `from` was seen */
    /* where all began, until a window was re-read; then without a row */
    struct place first;
    char *first_stamp;      /* its created_at; NULL: unknown */
    bool window, first_met; /* that is under way; it has come to that row */
    bool window_whole;      /* and continues to its end, however old */
    bool recall;            /* the reading under way is an additional one */
    char *position;         /* of a reading under way */
    struct place end;       /* its last row */
    bool passed, cut;       /* `end` was met; a row after it, too */
    int pages;
    bool unfinished;
    int64_t last_run_ms;
    unsigned long skips;
};

static int64_t parse(const char *stamp)
{
    int64_t us;
    return stamp && clock_parse(stamp, &us) ? us : UNKNOWN;
}

static void set_text(char **text, const char *value)
{
    char *copy = memory_copy_text(value);
    free(*text);
    *text = copy;
}

static void set_place(struct place *place, const char *row_id, int64_t stamp_us, int64_t seen_ms)
{
    set_text(&place->row_id, row_id);
    place->stamp_us = stamp_us;
    place->seen_ms = seen_ms;
}

static void clear_place(struct place *place)
{
    free(place->row_id);
    *place = (struct place){.stamp_us = UNKNOWN};
}

static bool is_same(const char *one, const char *other)
{
    return one && other && strcmp(one, other) == 0;
}

struct reread *reread_open(const char *position, const char *anchor, int64_t now_ms)
{
    struct reread *reread = memory_allocate(sizeof *reread);
    reread->last_run_ms = now_ms - EVERY_MS;
    reread->first.stamp_us = UNKNOWN;
    if (!position)
        return reread;
    reread->from = memory_copy_text(anchor && *anchor ? anchor : position);
    reread->waiting_since_ms = now_ms;
    set_place(&reread->head, position, UNKNOWN, now_ms - AGE_MS);
    if (anchor && !*anchor)
        set_place(&reread->first, position, UNKNOWN, now_ms - AGE_MS);
    return reread;
}

void reread_forget(struct reread *reread)
{
    for (size_t i = 0; i < ANCHORS; i++)
        clear_place(&reread->anchors[i]);
    clear_place(&reread->head);
    clear_place(&reread->end);
    clear_place(&reread->first);
    set_text(&reread->first_stamp, NULL);
    set_text(&reread->from, NULL);
    set_text(&reread->position, NULL);
    reread->window = reread->window_whole = reread->first_met = reread->recall = false;
    reread->unfinished = false;
}

void reread_close(struct reread *reread)
{
    if (!reread)
        return;
    reread_forget(reread);
    free(reread);
}

static void drop_anchors(struct reread *reread, int64_t until_ms)
{
    for (size_t i = 0; i < ANCHORS; i++)
        if (reread->anchors[i].row_id && reread->anchors[i].next_ms <= until_ms)
            clear_place(&reread->anchors[i]);
}

static void add_anchor(struct reread *reread, const char *row_id, int64_t stamp_us, int64_t seen_ms,
                       int64_t now_ms)
{
    const struct place *latest = &reread->anchors[(reread->next + ANCHORS - 1) % ANCHORS];
    if (latest->row_id && now_ms - latest->next_ms < ANCHOR_EVERY_MS)
        return;
    set_place(&reread->anchors[reread->next], row_id, stamp_us, seen_ms);
    reread->anchors[reread->next].next_ms = now_ms;
    reread->next = (reread->next + 1) % ANCHORS;
}

void reread_note(struct reread *reread, const struct reread_page *page, int64_t now_ms)
{
    const char *before = reread->head.row_id ? reread->head.row_id : page->first;
    int64_t before_us = reread->head.row_id ? reread->head.stamp_us : UNKNOWN;
    if (!reread->head.row_id && !page->old) {
        set_place(&reread->first, page->first, parse(page->first_stamp), now_ms);
        set_text(&reread->first_stamp, page->first_stamp);
    }
    if (!reread->from)
        reread->from = memory_copy_text(before);
    bool nothing_waits = is_same(reread->from, before) && !reread->position;
    if (nothing_waits && page->old) {
        set_text(&reread->from, page->position);
    } else {
        if (nothing_waits)
            reread->waiting_since_ms = now_ms;
        add_anchor(reread, before, before_us, reread->head.row_id ? reread->head.seen_ms : now_ms,
                   now_ms);
    }
    set_place(&reread->head, page->position, parse(page->stamp), now_ms);
}

/* The youngest row that is old enough; NULL: none after `from` is. */
static const struct place *find_end(const struct reread *reread, int64_t now_ms)
{
    const struct place *found = NULL;
    if (reread->head.seen_ms <= now_ms - AGE_MS)
        found = &reread->head;
    for (size_t i = 0; i < ANCHORS && found != &reread->head; i++) {
        const struct place *each = &reread->anchors[i];
        if (each->row_id && each->seen_ms <= now_ms - AGE_MS &&
            (!found || each->next_ms > found->next_ms))
            found = each;
    }
    return found && !is_same(found->row_id, reread->from) ? found : NULL;
}

/* More arrives than can be re-read: the oldest is left out. */
static void catch_up(struct reread *reread, int64_t now_ms)
{
    const struct place *oldest = NULL;
    for (size_t i = 0; i < ANCHORS; i++) {
        const struct place *each = &reread->anchors[i];
        if (each->row_id && (!oldest || each->next_ms < oldest->next_ms))
            oldest = each;
    }
    if (now_ms - reread->waiting_since_ms < BEHIND_MAXIMUM_MS || !oldest ||
        oldest->next_ms <= reread->waiting_since_ms)
        return;
    set_text(&reread->from, oldest->row_id);
    reread->waiting_since_ms = oldest->next_ms;
    reread->skips++;
}

bool reread_is_overdue(const struct reread *reread, int64_t now_ms)
{
    return !reread_is_reading(reread) && now_ms - reread->last_run_ms > OVERDUE_MS;
}

void reread_begin(struct reread *reread, bool idle, int64_t now_ms)
{
    if (reread_is_reading(reread))
        return;
    if (reread->first.row_id && reread->first.seen_ms <= now_ms - AGE_MS)
        reread->window = true;
    if (!reread->from || !reread->head.row_id ||
        now_ms - reread->last_run_ms < (reread->unfinished && idle ? GO_ON_MS : EVERY_MS))
        return;
    if (!idle)
        catch_up(reread, now_ms);
    const struct place *end = find_end(reread, now_ms);
    if (!end)
        return;
    set_place(&reread->end, end->row_id, end->stamp_us, end->seen_ms);
    reread->end.next_ms = end == &reread->head ? now_ms : end->next_ms;
    set_text(&reread->position, reread->from);
    reread->passed = reread->cut = false;
    reread->pages = 0;
}

/* The anchor that precedes the rows of the last seconds; NULL: none. */
static const struct place *find_recent(const struct reread *reread, int64_t now_ms)
{
    const struct place *found = NULL;
    for (size_t i = 0; i < ANCHORS; i++) {
        const struct place *each = &reread->anchors[i];
        if (each->row_id && each->next_ms <= now_ms - RECALL_MS &&
            (!found || each->next_ms > found->next_ms))
            found = each;
    }
    return found;
}

void reread_recall(struct reread *reread, bool all, int64_t now_ms)
{
    if (reread_is_reading(reread) || !reread->from || !reread->head.row_id)
        return;
    const struct place *recent = all ? NULL : find_recent(reread, now_ms);
    const char *from = recent ? recent->row_id : reread->from;
    reread->recall = true;
    reread->window = !recent && reread->first.row_id;
    reread->passed = reread->cut = false;
    reread->pages = 0;
    if (is_same(from, reread->head.row_id))
        return;
    set_place(&reread->end, reread->head.row_id, reread->head.stamp_us, reread->head.seen_ms);
    set_text(&reread->position, from);
}

bool reread_is_reading(const struct reread *reread)
{
    return reread->window || reread->position;
}

bool reread_wants_window(const struct reread *reread)
{
    return reread->window;
}

const char *reread_window_before(const struct reread *reread)
{
    return reread->first_stamp;
}

bool reread_take_before(struct reread *reread, const char *row_id, const char *stamp)
{
    int64_t us = parse(stamp), first_us = reread->first.stamp_us;
    bool stamped = us != UNKNOWN && first_us != UNKNOWN;
    if (is_same(row_id, reread->first.row_id)) {
        reread->first_met = true;
        reread->first.stamp_us = us;
        return false;
    }
    if (stamped && us < first_us - LATEST_US && !reread->window_whole)
        return false;
    return reread->first_met || (stamped && us <= first_us);
}

void reread_window_end(struct reread *reread)
{
    reread->window = reread->window_whole = reread->first_met = false;
    if (!reread->recall)
        clear_place(&reread->first);
    if (!reread->position)
        reread->recall = false;
}

const char *reread_position(const struct reread *reread)
{
    return reread->position;
}

bool reread_take(struct reread *reread, const char *row_id, const char *stamp)
{
    int64_t us = parse(stamp);
    bool same_moment = us != UNKNOWN && us == reread->end.stamp_us;
    bool later = us != UNKNOWN && reread->end.stamp_us != UNKNOWN && us > reread->end.stamp_us;
    /* what shares the microsecond of the end belongs to it: T1 shows it to no poll from there */
    if (reread->cut || later || (reread->passed && !same_moment)) {
        reread->cut = true;
        return false;
    }
    if (is_same(row_id, reread->end.row_id)) {
        reread->passed = true;
        reread->end.stamp_us = us;
    }
    return true;
}

static void end_run(struct reread *reread, int64_t now_ms)
{
    set_text(&reread->position, NULL);
    if (!reread->recall)
        reread->last_run_ms = now_ms;
    reread->recall = false;
}

bool reread_page_end(struct reread *reread, const char *last, bool more, int64_t now_ms)
{
    if (reread->recall) {
        bool ends = reread->cut || !more || !last || ++reread->pages >= PAGES_MAXIMUM;
        set_text(&reread->position, last);
        if (ends)
            end_run(reread, now_ms);
        return reread->cut;
    }
    if (reread->cut || !more || !last) {
        set_text(&reread->from, reread->end.row_id);
        reread->waiting_since_ms = reread->end.next_ms;
        drop_anchors(reread, reread->end.next_ms);
        reread->unfinished = false;
        end_run(reread, now_ms);
        return reread->cut;
    }
    set_text(&reread->position, last);
    if (++reread->pages >= PAGES_MAXIMUM) {
        set_text(&reread->from, last);
        reread->unfinished = true;
        end_run(reread, now_ms);
    }
    return false;
}

void reread_lost(struct reread *reread, int64_t now_ms)
{
    if (reread->window) {
        reread_window_end(reread);
        return;
    }
    set_place(&reread->first, reread->head.row_id, reread->head.stamp_us, reread->head.seen_ms);
    set_text(&reread->first_stamp, NULL);
    reread_page_end(reread, NULL, false, now_ms);
    reread->window = reread->window_whole = true;
}

unsigned long reread_skips(const struct reread *reread)
{
    return reread->skips;
}
