/* The rows of a poll, or of several that page through a window, on their way to whoever takes them
 * in. A row waits as bytes: parsed, it may be a hundred times as large. */
#ifndef MOLECULE_LINK_BATCH_H
#define MOLECULE_LINK_BATCH_H

#include "wire/envelope.h"
#include "wire/page.h"

#include <stdbool.h>
#include <stddef.h>

struct batch_row {
    struct message *message; /* NULL: taken */
    const char *row;         /* base/shared.h */
    size_t length;
};

struct batch {
    struct batch_row *rows; /* oldest first, once it is complete */
    size_t count, capacity;
    bool window; /* the rows are those of a window: of the start, or after the cursor was lost */
    bool again;  /* found behind the fetch position, out of order */
    bool newer;  /* they follow the inbox's end as this process saw it: new to any process */
};

/* Takes the message; copies the row. */
void batch_add(struct batch *batch, struct message *message, const struct page_row *row);
bool batch_has(const struct batch *batch, size_t first_count, const char *row_id);
void batch_reverse(struct batch *batch);
void batch_cut(struct batch *batch, size_t count); /* forgets what follows the first `count` */
void batch_clear(struct batch *batch);             /* forgets all rows */

#endif
