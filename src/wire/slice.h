/* JSON read in place: slices of bytes that were checked once and then need no tree. What it takes
 * is a part of what wire/jsontext.h takes without repair; of that part both read the same values.
 * The rest (numbers near the ends of their ranges, escapes in keys, deep nesting, anything broken)
 * is left to jansson. */
#ifndef MOLECULE_WIRE_SLICE_H
#define MOLECULE_WIRE_SLICE_H

#include "wire/page.h"

#include <stdbool.h>
#include <stddef.h>

#define SLICE_DEPTH_MAXIMUM 64 /* of a sound slice; what reads it may recurse */

/* It is one JSON value that the functions below, and page.h's, may read. Linear. */
bool slice_sound(struct page_row value);

/* The remaining functions take a sound slice, without spaces around it, or one of no bytes. */

bool slice_is_string(struct page_row value);
bool slice_is_object(struct page_row value);
bool slice_is_array(struct page_row value);
bool slice_is_number(struct page_row value);
/* A string without escapes. */
bool slice_is_plain(struct page_row value);
/* A plain string of this text. */
bool slice_says(struct page_row value, const char *text);

/* The text of a string into `to`, which has room for `value.length` bytes. Returns its length;
 * U+0000 is kept, and no NUL is put behind it. */
size_t slice_decode(struct page_row value, char *to);
/* A copy of it, NUL-terminated; yours to free. */
char *slice_text(struct page_row value, size_t *length);

/* Of a number; true: it is an integer. The other value is left alone. */
bool slice_number(struct page_row value, long long *integer, double *real);

/* The position after spaces, a comma or a colon, inside of an object or array. */
const char *slice_gap(const char *at);
/* The string, number or word at `at`, inside of an object or array. */
struct page_row slice_scalar(const char *at);
/* The position after the value at `at`, inside of an object or array, or itself one of these. */
const char *slice_after(const char *at);
/* The next item of an array; `*at` starts as NULL. false: there is none. */
bool slice_item(struct page_row array, const char **at, struct page_row *item);

#endif
