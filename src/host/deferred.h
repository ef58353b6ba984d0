/* Messages that the cursor has passed while they wait stand in the ledger alone. The cursor file
 * lists their rows, so that they are found again where the ledger was lost:
 *
 *     "deferred": {"rows": ["<row id>", …], "since_ms": <since the epoch, when the first of them
 * was created>, "more": true}
 *
 * `more`: there are others, for which there was no room. */
#ifndef MOLECULE_HOST_DEFERRED_H
#define MOLECULE_HOST_DEFERRED_H

#include "host/inbox.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define DEFERRED_MAXIMUM 1000

/* What is left to be found; NULL is fine, and nothing. */
struct deferred;
/* Of what the inbox holds now, and of what is still to be found; NULL: there is nothing. Yours. */
json_t *deferred_list(struct inbox *inbox, const struct deferred *deferred);
/* Of a cursor file's members. */
struct deferred *deferred_read(const json_t *members);
void deferred_free(struct deferred *deferred);
int64_t deferred_since_ms(const struct deferred *deferred);
/* Crosses off what `knows`. */
void deferred_leave_out(struct deferred *deferred, bool (*knows)(const char *row_id, void *context),
                        void *context);
/* true: it is one of them, and is crossed off. */
bool deferred_take(struct deferred *deferred, const char *row_id);
void deferred_put(struct deferred *deferred, const char *row_id); /* it is to be found once more */
size_t deferred_left(const struct deferred *deferred);

#endif
