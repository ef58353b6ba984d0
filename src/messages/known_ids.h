/* Which rows are known: pending, or finished not long ago. Pure. */
#ifndef MOLECULE_MESSAGES_KNOWN_IDS_H
#define MOLECULE_MESSAGES_KNOWN_IDS_H

#include <stdbool.h>
#include <stddef.h>

#define KNOWN_IDS_MAXIMUM 20000 /* finished ones, kept to recognize redelivered rows */

struct known_id;

/* A zeroed one knows none. */
struct known_ids {
    void *tree;                 /* of tsearch(3) */
    struct known_id **finished; /* ring, which grows to KNOWN_IDS_MAXIMUM */
    size_t size, next;
};

bool known_ids_has(const struct known_ids *ids, const char *row_id);
/* Pending from now on. false: it was known. */
bool known_ids_add(struct known_ids *ids, const char *row_id);
/* A pending one is finished: it takes the place of the oldest finished one. */
void known_ids_finish(struct known_ids *ids, const char *row_id);
/* A finished one is no longer known. */
void known_ids_forget(struct known_ids *ids, const char *row_id);
void known_ids_free(struct known_ids *ids);

#endif
