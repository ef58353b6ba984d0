/* Cuts the body of GET /workspaces/:id/activity (a bare JSON array, contract §1.6) into its rows
 * without parsing them, so that one unreadable row spoils only itself. No I/O, no allocation except
 * the list; linear in the input. */
#ifndef MOLECULE_WIRE_PAGE_H
#define MOLECULE_WIRE_PAGE_H

#include <stdbool.h>
#include <stddef.h>

struct page_row {
    const char *bytes; /* points into the body */
    size_t length;
};

#define PAGE_ROWS_MAXIMUM 65536 /* the platform sends at most 500 */

struct page {
    struct page_row *rows;
    size_t count;
};

/* false: the body is not one whole JSON array (truncated, HTML, an object, bytes after its end, too
 * many rows);
 * `*problem` says which, a static text, and the page is empty. true: `*problem` is NULL. Rows
 * themselves are not validated beyond what cutting needs: balanced brackets (counted, not matched
 * by kind), terminated strings. */
bool page_cut(const char *body, size_t length, struct page *page, const char **problem);
void page_free(struct page *page);

/* The exact bytes of a top-level member of the JSON object `object`, or false if there is none. Of
 * duplicate keys the last one wins, as is common in JSON; escapes in keys are resolved (`key` is
 * printable ASCII, not empty). In an object that is not JSON it finds what precedes the first thing
 * it cannot cut. */
bool page_member(struct page_row object, const char *key, struct page_row *value);

/* The same for several members, in one pass. values[i] is keys[i]'s, its bytes NULL if it is
 * missing. false: the object could not be cut to its end. */
bool page_members(struct page_row object, const char *const *keys, size_t count,
                  struct page_row *values);

#endif
