/* Reading the inbox again. A row that was committed late, or shares the microsecond of the row before it on T1, appears
 * behind the fetch position, where no poll looks. So each stretch of the inbox is read once more when it is some seconds
 * old: from where the last such reading ended to the youngest row that is old enough, never beyond the fetch position. A
 * stretch that was old already when it was first read (a backlog) is left out: nothing comes late there.
 *
 * What stands before the very first row has no row to read on from: a window is asked for once more.
 *
 * A reading is paged, a few pages at a time, and goes on later. Pure: no I/O; times are monotonic milliseconds. */
#ifndef MOLECULE_HOST_OVERLAP_H
#define MOLECULE_HOST_OVERLAP_H

#include <stdbool.h>
#include <stdint.h>

struct overlap;

/* `position`: the fetch position; NULL: none. `anchor`: an older row, to read again from at once; "": the position is
 * that of the very first row; NULL: what stands before the position is not known, or not ours. */
struct overlap *overlap_open(const char *position, const char *anchor, int64_t now_ms);
void overlap_close(struct overlap *overlap);
/* The fetch position is gone: as newly opened without one. */
void overlap_forget(struct overlap *overlap);

/* The fetch position moved to `position` (its created_at: `stamp`, NULL: unknown) with a page that begins with `first`. */
struct overlap_page {
    const char *first, *position, *first_stamp, *stamp;
    bool old; /* too old, all of it, for anything to be committed among it still */
};
void overlap_note(struct overlap *overlap, const struct overlap_page *page, int64_t now_ms);

/* None could begin for long, though there is something to read again: no more waiting for a better time. */
bool overlap_is_overdue(const struct overlap *overlap, int64_t now_ms);
/* Begins a reading if one is due. `idle`: nothing new waits to be fetched. */
void overlap_begin(struct overlap *overlap, bool idle, int64_t now_ms);
/* A message was announced that no poll brought: begins a reading of the last seconds, or, if `all`, of everything that may
 * still have a late row, up to the fetch position. It does not stand for a regular one. */
void overlap_recall(struct overlap *overlap, bool all, int64_t now_ms);
bool overlap_is_reading(const struct overlap *overlap);
/* The reading's next page is a window, newest first: what stands before the first row. */
bool overlap_wants_window(const struct overlap *overlap);
/* The rows of that window in their order. true: it stands before the first row. */
bool overlap_take_before(struct overlap *overlap, const char *row_id, const char *stamp);
void overlap_window_end(struct overlap *overlap);
/* Otherwise since_id of the reading's next page; NULL: none. */
const char *overlap_position(const struct overlap *overlap);
/* The rows of that page in order. false: this one and those behind it are not part of the reading. */
bool overlap_take(struct overlap *overlap, const char *row_id, const char *stamp);
/* The page's end; `last`: the last row taken, NULL: none; `more`: a page may follow. true: the reading stopped before what
 * the page held, so there may be something new. */
bool overlap_page_end(struct overlap *overlap, const char *last, bool more, int64_t now_ms);
/* The platform does not know the row any more where the reading stands: a window takes its place, up to the fetch position. */
void overlap_lost(struct overlap *overlap, int64_t now_ms);
/* Readings that had to leave rows out because more came than can be read twice. */
unsigned long overlap_skips(const struct overlap *overlap);

#endif
