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

static void add(struct listing *listing, const char *row_id, int64_t created_ms)
{
    if (listing->since_ms == 0 || created_ms < listing->since_ms)
        listing->since_ms = created_ms;
    if (json_array_size(listing->rows) < DEFERRED_MAXIMUM)
        json_array_append_new(listing->rows, json_string(row_id));
    else
        listing->more = true;
}

/* Also those that came out of order, and are on their way into the ledger. */
static void list_one(struct inbox_entry *entry, void *context)
{
    int64_t us;
    if ((entry->kept || !entry->moves_cursor) && entry->row_id)
        add(context, entry->row_id,
            entry->stamp && clock_parse(entry->stamp, &us) ? us / 1000 : entry->first_seen_ms);
}

json_t *deferred_list(struct inbox *inbox, const struct deferred *deferred)
{
    struct listing listing = {.rows = json_array()};
    const char *row_id;
    json_t *value;
    if (deferred)
        json_object_foreach (deferred->rows, row_id, value)
            add(&listing, row_id, deferred->since_ms);
    inbox_each(inbox, list_one, &listing);
    if (json_array_size(listing.rows) == 0) {
        json_decref(listing.rows);
        return NULL;
    }
    json_t *list = json_object();
    json_object_set_new(list, "rows", listing.rows);
    json_object_set_new(list, "since_ms", json_integer(listing.since_ms));
    if (listing.more)
        json_object_set_new(list, "more", json_true());
    return list;
}

struct deferred *deferred_read(const json_t *members)
{
    const json_t *list = json_object_get(members, "deferred"),
                 *rows = json_object_get(list, "rows");
    /* another client may write it as a float */
    double since = json_number_value(json_object_get(list, "since_ms"));
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

void deferred_leave_out(struct deferred *deferred, bool (*knows)(const char *row_id, void *context),
                        void *context)
{
    const char *row_id;
    json_t *value;
    void *next;
    if (deferred)
        json_object_foreach_safe (deferred->rows, next, row_id, value)
            if (knows(row_id, context))
                json_object_del(deferred->rows, row_id);
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
