/* Re-reading the inbox. A row that was committed late, or shares the microsecond of the row before
 * it on T1, appears behind the fetch position, where no poll looks. So each stretch of the inbox is
 * read once more when it is some seconds old: from where the last such reading ended to the
 * youngest row that is old enough, never beyond the fetch position. A stretch that was already old
 * when it was first read (a backlog) is left out: nothing comes late there.
 *
 * What comes before the very first row has no row to read on from: a window is requested again.
 *
 * A reading is paged, a few pages at a time, and continues later. Pure: no I/O; times are monotonic
 * milliseconds. */
#ifndef MOLECULE_LINK_REREAD_H
#define MOLECULE_LINK_REREAD_H

#include <stdbool.h>
#include <stdint.h>

struct reread;

/* `position`: the fetch position; NULL: none. `anchor`: an older row, to re-read from at once; "":
 * the position is that of the very first row; NULL: what comes before the position is not known, or
 * not ours. */
struct reread *reread_open(const char *position, const char *anchor, int64_t now_ms);
void reread_close(struct reread *reread);
/* The fetch position is gone: starts over as if opened without one. */
void reread_forget(struct reread *reread);

/* The fetch position moved to `position` (its created_at: `stamp`, NULL: unknown) with a page that
 * begins with `first`. */
struct reread_page {
    const char *first, *position, *first_stamp, *stamp;
    bool old; /* all of it too old for anything still to be committed in between */
};
void reread_note(struct reread *reread, const struct reread_page *page, int64_t now_ms);

/* A reading has been due for long: no more waiting for a better time. */
bool reread_is_overdue(const struct reread *reread, int64_t now_ms);
/* Begins a reading if one is due. `idle`: nothing new waits to be fetched. */
void reread_begin(struct reread *reread, bool idle, int64_t now_ms);
/* A message was announced that no poll brought: begins a reading of the last seconds, or, if `all`,
 * of everything that may still have a late row, up to the fetch position. It does not replace a
 * regular one. */
void reread_recall(struct reread *reread, bool all, int64_t now_ms);
bool reread_is_reading(const struct reread *reread);
/* The reading's next page is a window, newest first: what stands before the first row. */
bool reread_wants_window(const struct reread *reread);
/* created_at of that row, where it is known: a platform that can (LATEST) leaves out what came
 * after it. NULL: unknown. */
const char *reread_window_before(const struct reread *reread);
/* The rows of that window in their order. true: it stands before the first row. */
bool reread_take_before(struct reread *reread, const char *row_id, const char *stamp);
void reread_window_end(struct reread *reread);
/* Otherwise since_id of the reading's next page; NULL: none. */
const char *reread_position(const struct reread *reread);
/* The rows of that page in order. false: this one and those after it are not part of the reading.
 */
bool reread_take(struct reread *reread, const char *row_id, const char *stamp);
/* The page's end; `last`: the last row taken, NULL: none; `more`: a page may follow. true: the
 * reading stopped before what the page held, so there may be something new. */
bool reread_page_end(struct reread *reread, const char *last, bool more, int64_t now_ms);
/* The platform no longer knows the row that the reading has reached: a window takes its place, up
 * to the fetch position. */
void reread_lost(struct reread *reread, int64_t now_ms);
/* Readings that had to leave rows out because more came than can be re-read. */
unsigned long reread_skips(const struct reread *reread);

#endif
