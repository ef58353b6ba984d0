/* Cuts the body of GET /workspaces/:id/activity (a bare JSON array, contract §1.6) into its rows without parsing them,
 * so that one unreadable row spoils nothing but itself. No I/O, no allocation but the list; linear in the input. */
#ifndef MOLECULE_WIRE_PAGE_H
#define MOLECULE_WIRE_PAGE_H

#include <stdbool.h>
#include <stddef.h>

struct page_row {
    const char *bytes; /* points into the body */
    size_t length;
};

struct page {
    struct page_row *rows;
    size_t count;
};

/* false: the body is not one whole JSON array (truncated, HTML, an object, bytes after its end); `*problem` says
 * which, a static text, and the page is empty. Rows themselves are not validated beyond what cutting needs: balanced
 * brackets, terminated strings. */
bool page_cut(const char *body, size_t length, struct page *page, const char **problem);
void page_free(struct page *page);

/* The exact bytes of a top-level member of the JSON object `object`, or false where there is none. The last one wins
 * when a key stands twice, as everywhere in JSON practice; keys with escapes are compared unescaped only if plain. */
bool page_member(struct page_row object, const char *key, struct page_row *value);

#endif
