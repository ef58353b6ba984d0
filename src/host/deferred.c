#include "host/deferred.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdlib.h>

struct deferred {
    json_t *rows; /* their ids are the keys */
    int64_t since_ms;
};

struct listing {
    json_t *rows;
    int64_t since_ms;
    bool more;
};

static void list_one(struct inbox_entry *entry, void *context)
{
    struct listing *listing = context;
    if (!entry->kept || !entry->row_id)
        return;
    int64_t us = 0, created_ms = entry->stamp && clock_parse(entry->stamp, &us) ? us / 1000 : entry->first_seen_ms;
    if (listing->since_ms == 0 || created_ms < listing->since_ms)
        listing->since_ms = created_ms;
    if (json_array_size(listing->rows) < DEFERRED_MAXIMUM)
        json_array_append_new(listing->rows, json_string(entry->row_id));
    else
        listing->more = true;
}

json_t *deferred_list(struct inbox *inbox)
{
    if (inbox_kept(inbox) == 0)
        return NULL;
    struct listing listing = {.rows = json_array()};
    inbox_each(inbox, list_one, &listing);
    json_t *list = json_object();
    json_object_set_new(list, "rows", listing.rows);
    json_object_set_new(list, "since_ms", json_integer(listing.since_ms));
    if (listing.more)
        json_object_set_new(list, "more", json_true());
    return list;
}

struct deferred *deferred_read(const json_t *members)
{
    const json_t *list = json_object_get(members, "deferred"), *rows = json_object_get(list, "rows");
    double since = json_number_value(json_object_get(list, "since_ms")); /* another client may write it as a float */
    int64_t since_ms = since >= 1 && since < 9e15 ? clock_bound_ms((int64_t)since) : 0;
    if (json_array_size(rows) == 0 || since_ms <= 0)
        return NULL;
    struct deferred *deferred = memory_allocate(sizeof *deferred);
    *deferred = (struct deferred){.rows = json_object(), .since_ms = since_ms};
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const char *id = json_string_value(json_array_get(rows, i));
        if (id)
            json_object_set_new(deferred->rows, id, json_true());
    }
    return deferred;
}

void deferred_free(struct deferred *deferred)
{
    if (!deferred)
        return;
    json_decref(deferred->rows);
    free(deferred);
}

int64_t deferred_since_ms(const struct deferred *deferred)
{
    return deferred->since_ms;
}

bool deferred_take(struct deferred *deferred, const char *row_id)
{
    return json_object_del(deferred->rows, row_id) == 0;
}

void deferred_put(struct deferred *deferred, const char *row_id)
{
    json_object_set_new(deferred->rows, row_id, json_true());
}

size_t deferred_left(const struct deferred *deferred)
{
    return json_object_size(deferred->rows);
}
