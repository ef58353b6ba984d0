/* The inboxes of the stand-in platform: rows that are written when they are asked for, and for each
 * row the times that are measured. Ids hold what they stand for (workspace, number of the row), so
 * nothing is looked up. */
#ifndef BENCH_INBOX_H
#define BENCH_INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INBOX_ID_SIZE 37
#define INBOX_ROW_MAXIMUM 1024 /* bytes of one row */
#define INBOX_PAGE_MAXIMUM 500 /* rows (platform contract 2.1: the platform's own clamp) */

struct inbox_mark {
    int64_t visible_ns, sent_ns, replied_ns; /* CLOCK_MONOTONIC; 0: not yet */
    uint32_t replies;
};

struct inbox {
    uint32_t workspace;
    uint32_t visible, capacity;      /* rows 1..visible can be fetched */
    uint32_t peers;                  /* row n is of peer n % peers; 0: all are of the canvas */
    struct inbox_mark *marks;        /* [row], from 1 */
    uint32_t *latest;                /* [peer] the last row answered */
    uint32_t page_first, page_count; /* the page under way */
};

/* What the replies were, over all inboxes. */
struct inbox_tally {
    uint64_t replies, distinct, duplicates, out_of_order, unknown;
    int64_t first_sent_ns, last_reply_ns;
};

void inbox_open(struct inbox *inbox, uint32_t workspace, uint32_t peers);
void inbox_close(struct inbox *inbox);
/* Makes rows visible as of now. */
void inbox_add(struct inbox *inbox, uint32_t count, int64_t now_ns);

void inbox_workspace_id(uint32_t workspace, char id[INBOX_ID_SIZE]);
/* The workspace of an id, or UINT32_MAX. */
uint32_t inbox_workspace_of(const char *id);
/* The number of a row's id in this inbox, 0 for the row before the first; -1: no such row. */
int64_t inbox_row_of(const struct inbox *inbox, const char *id);

/* Writes the page of at most `limit` rows after row `after` (oldest first), or, with `after` < 0,
 * of the newest rows (newest first), and makes it the page under way. `page` holds
 * INBOX_PAGE_MAXIMUM * INBOX_ROW_MAXIMUM bytes; returns how many were written. */
size_t inbox_page(struct inbox *inbox, int64_t after, uint32_t limit, char *page);
/* The page under way is being given to the kernel. */
void inbox_page_sent(struct inbox *inbox, int64_t now_ns, struct inbox_tally *tally);

/* Counts a reply by the mark "#<workspace>:<row>" of the row's text, which is the first "#" in
 * `body`. Returns false if there is none. */
bool inbox_replied(struct inbox *inboxes, uint32_t count, const char *body, size_t length,
                   int64_t now_ns, struct inbox_tally *tally);

#endif
