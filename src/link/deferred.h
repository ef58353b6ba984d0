/* Deferred messages that the cursor has passed are in the ledger alone. The cursor file lists their
 * rows, so that they can be found again if the ledger is lost:
 *
 *     "deferred": {"rows": ["<row id>", …], "since_ms": <since the epoch, when the first of them
 * was created>, "more": true}
 *
 * `more`: there are others that did not fit. */
#ifndef MOLECULE_LINK_DEFERRED_H
#define MOLECULE_LINK_DEFERRED_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEFERRED_MAXIMUM 1000

/* What is still to be found; NULL: nothing. */
struct deferred;
/* From a cursor file's members; NULL: no list. */
struct deferred *deferred_read(const json_t *members);
void deferred_free(struct deferred *deferred);
int64_t deferred_since_ms(const struct deferred *deferred);
/* Crosses off what `knows`. */
void deferred_leave_out(struct deferred *deferred, bool (*knows)(const char *row_id, void *context),
                        void *context);
/* true: it is one of them, and is crossed off. */
bool deferred_take(struct deferred *deferred, const char *row_id);
void deferred_put(struct deferred *deferred, const char *row_id); /* it must be found again */
size_t deferred_left(const struct deferred *deferred);

/* A list being built. A zeroed one is empty. */
struct deferred_list {
    json_t *rows;
    int64_t since_ms;
    bool more;
};
void deferred_list_add(struct deferred_list *list, const char *row_id, int64_t created_ms);
/* What is still to be found. */
void deferred_list_add_left(struct deferred_list *list, const struct deferred *deferred);
/* The file's member, yours; NULL: the list is empty. */
json_t *deferred_list_take(struct deferred_list *list);

#endif
