#include "link/deferred.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdlib.h>

struct deferred {
    json_t *rows; /* their ids are the keys */
    int64_t since_ms;
};

void deferred_list_add(struct deferred_list *list, const char *row_id, int64_t created_ms)
{
    if (!list->rows)
        list->rows = json_array();
    if (list->since_ms == 0 || created_ms < list->since_ms)
        list->since_ms = created_ms;
    if (json_array_size(list->rows) < DEFERRED_MAXIMUM)
        json_array_append_new(list->rows, json_string(row_id));
    else
        list->more = true;
}

void deferred_list_add_left(struct deferred_list *list, const struct deferred *deferred)
{
    const char *row_id;
    json_t *value;
    if (deferred)
        json_object_foreach (deferred->rows, row_id, value)
            deferred_list_add(list, row_id, deferred->since_ms);
}

json_t *deferred_list_take(struct deferred_list *list)
{
    if (!list->rows)
        return NULL;
    json_t *member = json_object();
    json_object_set_new(member, "rows", list->rows);
    json_object_set_new(member, "since_ms", json_integer(list->since_ms));
    if (list->more)
        json_object_set_new(member, "more", json_true());
    *list = (struct deferred_list){0};
    return member;
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
