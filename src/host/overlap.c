#include "host/overlap.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define AGE_MS 10000        /* so long a transaction may take */
#define EVERY_MS 15000
#define OVERDUE_MS 20000
#define GO_ON_MS 1000       /* when there is more to read again, and nothing new to fetch */
#define PAGES_MAXIMUM 4     /* at a time */
#define BEHIND_MAXIMUM_MS 120000
#define ANCHOR_EVERY_MS 2000
#define ANCHORS 16
#define RECALL_MS 3000      /* a late row is seldom later */
#define LATEST_US 30000000  /* and none stands further before the first one */
#define UNKNOWN INT64_MIN

struct place {
    char *row_id;
    int64_t stamp_us;
    int64_t seen_ms;   /* all rows up to this one had been seen by then */
    int64_t behind_ms; /* when the first one behind it was seen */
};

struct overlap {
    struct place anchors[ANCHORS]; /* ring: where a page began */
    size_t next;
    struct place head;             /* the fetch position */
    char *from;                    /* up to here everything was read again; NULL: there is nothing yet */
    int64_t waiting_since_ms;      /* the first row behind `from` */
    struct place first;            /* where all began, until a window was read again; else without a row */
    bool window, first_met;        /* that is under way; it has come to that row */
    bool window_whole;             /* and goes on to its end, however old */
    bool recall;                   /* the reading under way is an additional one */
    char *position;                /* of a reading under way */
    struct place end;              /* its last row */
    bool passed, cut;              /* `end` was met; a row behind it, too */
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

struct overlap *overlap_open(const char *position, const char *anchor, int64_t now_ms)
{
    struct overlap *overlap = memory_allocate(sizeof *overlap);
    overlap->last_run_ms = now_ms - EVERY_MS;
    overlap->first.stamp_us = UNKNOWN;
    if (!position)
        return overlap;
    overlap->from = memory_copy_text(anchor && *anchor ? anchor : position);
    overlap->waiting_since_ms = now_ms;
    set_place(&overlap->head, position, UNKNOWN, now_ms - AGE_MS);
    if (anchor && !*anchor)
        set_place(&overlap->first, position, UNKNOWN, now_ms - AGE_MS);
    return overlap;
}

void overlap_forget(struct overlap *overlap)
{
    for (size_t i = 0; i < ANCHORS; i++)
        clear_place(&overlap->anchors[i]);
    clear_place(&overlap->head);
    clear_place(&overlap->end);
    clear_place(&overlap->first);
    set_text(&overlap->from, NULL);
    set_text(&overlap->position, NULL);
    overlap->window = overlap->window_whole = overlap->first_met = overlap->recall = false;
    overlap->unfinished = false;
}

void overlap_close(struct overlap *overlap)
{
    if (!overlap)
        return;
    overlap_forget(overlap);
    free(overlap);
}

static void drop_anchors(struct overlap *overlap, int64_t until_ms)
{
    for (size_t i = 0; i < ANCHORS; i++)
        if (overlap->anchors[i].row_id && overlap->anchors[i].behind_ms <= until_ms)
            clear_place(&overlap->anchors[i]);
}

static void add_anchor(struct overlap *overlap, const char *row_id, int64_t stamp_us, int64_t seen_ms, int64_t now_ms)
{
    const struct place *latest = &overlap->anchors[(overlap->next + ANCHORS - 1) % ANCHORS];
    if (latest->row_id && now_ms - latest->behind_ms < ANCHOR_EVERY_MS)
        return;
    set_place(&overlap->anchors[overlap->next], row_id, stamp_us, seen_ms);
    overlap->anchors[overlap->next].behind_ms = now_ms;
    overlap->next = (overlap->next + 1) % ANCHORS;
}

void overlap_note(struct overlap *overlap, const struct overlap_page *page, int64_t now_ms)
{
    const char *before = overlap->head.row_id ? overlap->head.row_id : page->first;
    int64_t before_us = overlap->head.row_id ? overlap->head.stamp_us : UNKNOWN;
    if (!overlap->head.row_id && !page->old)
        set_place(&overlap->first, page->first, parse(page->first_stamp), now_ms);
    if (!overlap->from)
        overlap->from = memory_copy_text(before);
    bool nothing_waits = is_same(overlap->from, before) && !overlap->position;
    if (nothing_waits && page->old) {
        set_text(&overlap->from, page->position);
    } else {
        if (nothing_waits)
            overlap->waiting_since_ms = now_ms;
        add_anchor(overlap, before, before_us, overlap->head.row_id ? overlap->head.seen_ms : now_ms, now_ms);
    }
    set_place(&overlap->head, page->position, parse(page->stamp), now_ms);
}

/* The youngest row that is old enough; NULL: none behind `from` is. */
static const struct place *find_end(const struct overlap *overlap, int64_t now_ms)
{
    const struct place *found = NULL;
    if (overlap->head.seen_ms <= now_ms - AGE_MS)
        found = &overlap->head;
    for (size_t i = 0; i < ANCHORS && found != &overlap->head; i++) {
        const struct place *each = &overlap->anchors[i];
        if (each->row_id && each->seen_ms <= now_ms - AGE_MS && (!found || each->behind_ms > found->behind_ms))
            found = each;
    }
    return found && !is_same(found->row_id, overlap->from) ? found : NULL;
}

/* More comes than can be read twice: the oldest of it is left out. */
static void catch_up(struct overlap *overlap, int64_t now_ms)
{
    const struct place *oldest = NULL;
    for (size_t i = 0; i < ANCHORS; i++) {
        const struct place *each = &overlap->anchors[i];
        if (each->row_id && (!oldest || each->behind_ms < oldest->behind_ms))
            oldest = each;
    }
    if (now_ms - overlap->waiting_since_ms < BEHIND_MAXIMUM_MS || !oldest || oldest->behind_ms <= overlap->waiting_since_ms)
        return;
    set_text(&overlap->from, oldest->row_id);
    overlap->waiting_since_ms = oldest->behind_ms;
    overlap->skips++;
}

bool overlap_is_overdue(const struct overlap *overlap, int64_t now_ms)
{
    return !overlap_is_reading(overlap) && now_ms - overlap->last_run_ms > OVERDUE_MS;
}

void overlap_begin(struct overlap *overlap, bool idle, int64_t now_ms)
{
    if (overlap_is_reading(overlap))
        return;
    if (overlap->first.row_id && overlap->first.seen_ms <= now_ms - AGE_MS)
        overlap->window = true;
    if (!overlap->from || !overlap->head.row_id ||
        now_ms - overlap->last_run_ms < (overlap->unfinished && idle ? GO_ON_MS : EVERY_MS))
        return;
    if (!idle)
        catch_up(overlap, now_ms);
    const struct place *end = find_end(overlap, now_ms);
    if (!end)
        return;
    set_place(&overlap->end, end->row_id, end->stamp_us, end->seen_ms);
    overlap->end.behind_ms = end == &overlap->head ? now_ms : end->behind_ms;
    set_text(&overlap->position, overlap->from);
    overlap->passed = overlap->cut = false;
    overlap->pages = 0;
}

/* The anchor behind which the rows of the last seconds stand; NULL: there is none. */
static const struct place *find_recent(const struct overlap *overlap, int64_t now_ms)
{
    const struct place *found = NULL;
    for (size_t i = 0; i < ANCHORS; i++) {
        const struct place *each = &overlap->anchors[i];
        if (each->row_id && each->behind_ms <= now_ms - RECALL_MS && (!found || each->behind_ms > found->behind_ms))
            found = each;
    }
    return found;
}

void overlap_recall(struct overlap *overlap, bool all, int64_t now_ms)
{
    if (overlap_is_reading(overlap) || !overlap->from || !overlap->head.row_id)
        return;
    const struct place *recent = all ? NULL : find_recent(overlap, now_ms);
    const char *from = recent ? recent->row_id : overlap->from;
    overlap->recall = true;
    overlap->window = !recent && overlap->first.row_id;
    overlap->passed = overlap->cut = false;
    overlap->pages = 0;
    if (is_same(from, overlap->head.row_id))
        return;
    set_place(&overlap->end, overlap->head.row_id, overlap->head.stamp_us, overlap->head.seen_ms);
    set_text(&overlap->position, from);
}

bool overlap_is_reading(const struct overlap *overlap)
{
    return overlap->window || overlap->position;
}

bool overlap_wants_window(const struct overlap *overlap)
{
    return overlap->window;
}

bool overlap_take_before(struct overlap *overlap, const char *row_id, const char *stamp)
{
    int64_t us = parse(stamp), first_us = overlap->first.stamp_us;
    bool stamped = us != UNKNOWN && first_us != UNKNOWN;
    if (is_same(row_id, overlap->first.row_id)) {
        overlap->first_met = true;
        overlap->first.stamp_us = us;
        return false;
    }
    if (stamped && us < first_us - LATEST_US && !overlap->window_whole)
        return false;
    return overlap->first_met || (stamped && us <= first_us);
}

void overlap_window_end(struct overlap *overlap)
{
    overlap->window = overlap->window_whole = overlap->first_met = false;
    if (!overlap->recall)
        clear_place(&overlap->first);
    if (!overlap->position)
        overlap->recall = false;
}

const char *overlap_position(const struct overlap *overlap)
{
    return overlap->position;
}

bool overlap_take(struct overlap *overlap, const char *row_id, const char *stamp)
{
    int64_t us = parse(stamp);
    bool same_moment = us != UNKNOWN && us == overlap->end.stamp_us;
    bool later = us != UNKNOWN && overlap->end.stamp_us != UNKNOWN && us > overlap->end.stamp_us;
    /* what shares the microsecond of the end belongs to it: T1 shows it to no poll from there */
    if (overlap->cut || later || (overlap->passed && !same_moment)) {
        overlap->cut = true;
        return false;
    }
    if (is_same(row_id, overlap->end.row_id)) {
        overlap->passed = true;
        overlap->end.stamp_us = us;
    }
    return true;
}

static void end_run(struct overlap *overlap, int64_t now_ms)
{
    set_text(&overlap->position, NULL);
    if (!overlap->recall)
        overlap->last_run_ms = now_ms;
    overlap->recall = false;
}

bool overlap_page_end(struct overlap *overlap, const char *last, bool more, int64_t now_ms)
{
    if (overlap->recall) {
        bool ends = overlap->cut || !more || !last || ++overlap->pages >= PAGES_MAXIMUM;
        set_text(&overlap->position, last);
        if (ends)
            end_run(overlap, now_ms);
        return overlap->cut;
    }
    if (overlap->cut || !more || !last) {
        set_text(&overlap->from, overlap->end.row_id);
        overlap->waiting_since_ms = overlap->end.behind_ms;
        drop_anchors(overlap, overlap->end.behind_ms);
        overlap->unfinished = false;
        end_run(overlap, now_ms);
        return overlap->cut;
    }
    set_text(&overlap->position, last);
    if (++overlap->pages >= PAGES_MAXIMUM) {
        set_text(&overlap->from, last);
        overlap->unfinished = true;
        end_run(overlap, now_ms);
    }
    return false;
}

void overlap_lost(struct overlap *overlap, int64_t now_ms)
{
    if (overlap->window) {
        overlap_window_end(overlap);
        return;
    }
    set_place(&overlap->first, overlap->head.row_id, overlap->head.stamp_us, overlap->head.seen_ms);
    overlap_page_end(overlap, NULL, false, now_ms);
    overlap->window = overlap->window_whole = true;
}

unsigned long overlap_skips(const struct overlap *overlap)
{
    return overlap->skips;
}
