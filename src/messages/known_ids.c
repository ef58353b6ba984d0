#include "messages/known_ids.h"

#include "base/memory.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

/* In the tree of all; also a place in the ring of finished ones. */
struct known_id {
    const char *key; /* owned */
};

static int compare(const void *left, const void *right)
{
    return strcmp(((const struct known_id *)left)->key, ((const struct known_id *)right)->key);
}

static void free_id(void *node)
{
    struct known_id *id = node;
    free((char *)id->key);
    free(id);
}

bool known_ids_has(const struct known_ids *ids, const char *row_id)
{
    struct known_id wanted = {.key = row_id};
    return tfind(&wanted, &ids->tree, compare) != NULL;
}

bool known_ids_add(struct known_ids *ids, const char *row_id)
{
    struct known_id *id = memory_allocate(sizeof *id);
    id->key = memory_copy_text(row_id);
    struct known_id **place = tsearch(id, &ids->tree, compare);
    if (!place)
        abort(); /* no memory, as base/memory.h */
    if (*place == id)
        return true;
    free_id(id);
    return false;
}

static void grow(struct known_ids *ids)
{
    size_t size = ids->size ? ids->size * 2 : 64;
    size = size < KNOWN_IDS_MAXIMUM ? size : KNOWN_IDS_MAXIMUM;
    ids->finished = memory_resize(ids->finished, size * sizeof *ids->finished);
    memset(ids->finished + ids->size, 0, (size - ids->size) * sizeof *ids->finished);
    ids->size = size;
}

void known_ids_finish(struct known_ids *ids, const char *row_id)
{
    struct known_id wanted = {.key = row_id};
    struct known_id **found = tfind(&wanted, &ids->tree, compare);
    if (ids->next == ids->size && ids->size < KNOWN_IDS_MAXIMUM)
        grow(ids);
    struct known_id *oldest = ids->finished[ids->next];
    ids->finished[ids->next] = *found;
    ids->next++;
    if (ids->next == KNOWN_IDS_MAXIMUM)
        ids->next = 0;
    if (oldest) {
        tdelete(oldest, &ids->tree, compare);
        free_id(oldest);
    }
}

void known_ids_forget(struct known_ids *ids, const char *row_id)
{
    for (size_t i = 0; i < ids->size; i++) {
        struct known_id *id = ids->finished[i];
        if (!id || strcmp(id->key, row_id) != 0)
            continue;
        tdelete(id, &ids->tree, compare);
        free_id(id);
        ids->finished[i] = NULL;
        return;
    }
}

void known_ids_free(struct known_ids *ids)
{
    tdestroy(ids->tree, free_id);
    free(ids->finished);
    *ids = (struct known_ids){0};
}
