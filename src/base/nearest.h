/* "Did you mean …?": the known word that a mistyped one is closest to. Offer every word that is
 * known, then read `best`. */
#ifndef MOLECULE_BASE_NEAREST_H
#define MOLECULE_BASE_NEAREST_H

#include <stddef.h>

struct nearest {
    const char *word; /* the word as given; set this, and nothing else, before the first offer */
    const char *best; /* one of those offered; NULL: none is close */
    size_t distance;
};

/* The candidate is borrowed for as long as `best` is used. */
void nearest_offer(struct nearest *nearest, const char *candidate);

#endif
