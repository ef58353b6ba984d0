/* From the pages of the poller's calls to its batch. */
#ifndef MOLECULE_LINK_COLLECT_H
#define MOLECULE_LINK_COLLECT_H

#include "link/poller.h"

/* Reads a page into the poller's batch and moves the fetch position. `platform_ms`: the platform's
 * clock, since the epoch; -1: unknown. true: the batch is complete; false: another page comes
 * first. */
bool collect_page(struct poller *poller, const struct page *page, int64_t platform_ms);
/* Forgets the batch. What it was to recover must still be found. */
void collect_drop(struct poller *poller);

#endif
