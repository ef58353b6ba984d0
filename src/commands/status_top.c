#include "commands/status_top.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdlib.h>

struct ranked {
    const json_t *status;
    int64_t amount; /* the more the worse; 0: nothing */
    size_t place;   /* in the list, for a steady order */
};

static int64_t by_pending(const json_t *status)
{
    return status_list_pending(status);
}

static int64_t by_age(const json_t *status)
{
    int64_t us;
    const char *since = json_string_value(json_object_get(status, "oldest_pending"));
    return since && clock_parse(since, &us) ? INT64_MAX - us : 0;
}

static int64_t by_dead(const json_t *status)
{
    return status_list_dead(status);
}

static const struct {
    const char *name;
    int64_t (*amount)(const json_t *status);
} measures[] = {{"pending", by_pending}, {"oldest_pending", by_age}, {"dead", by_dead}};

#define MEASURES (sizeof measures / sizeof *measures)

static int compare(const void *one, const void *other)
{
    const struct ranked *a = one, *b = other;
    if (a->amount != b->amount)
        return a->amount > b->amount ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

/* The statuses themselves, the worst first. */
static json_t *rank(const struct status_list *list, size_t measure, size_t limit)
{
    size_t i, count = json_array_size(list->statuses);
    struct ranked *ranked = memory_allocate((count + 1) * sizeof *ranked);
    json_t *status, *first = json_array();
    json_array_foreach (list->statuses, i, status)
        ranked[i] = (struct ranked){status, measures[measure].amount(status), i};
    qsort(ranked, count, sizeof *ranked, compare);
    for (i = 0; i < count && i < limit && ranked[i].amount > 0; i++)
        json_array_append(first, (json_t *)ranked[i].status);
    free(ranked);
    return first;
}

static json_t *summary(const json_t *status)
{
    json_t *oldest = json_object_get(status, "oldest_pending");
    return json_pack(
        "{s:O, s:O, s:I, s:O?, s:I}", "workspace", json_object_get(status, "workspace"), "state",
        json_object_get(status, "state"), "pending", status_list_pending(status), "oldest_pending",
        oldest ? oldest : json_null(), "dead", status_list_dead(status));
}

json_t *status_top(const struct status_list *list, size_t limit)
{
    json_t *top = json_pack("{s:I}", "workspaces", (json_int_t)json_array_size(list->statuses));
    for (size_t i = 0; i < MEASURES; i++) {
        json_t *first = rank(list, i, limit), *shown = json_array(), *status;
        size_t j;
        json_array_foreach (first, j, status)
            json_array_append_new(shown, summary(status));
        json_object_set_new(top, measures[i].name, shown);
        json_decref(first);
    }
    return top;
}

void status_top_keep(struct status_list *list, size_t limit)
{
    json_t *kept = json_array(), *seen = json_object();
    for (size_t i = 0; i < MEASURES; i++) {
        json_t *first = rank(list, i, limit), *status;
        size_t j;
        json_array_foreach (first, j, status) {
            const char *id = json_string_value(json_object_get(status, "workspace"));
            if (!json_object_get(seen, id))
                json_array_append(kept, status);
            json_object_set_new(seen, id, json_true());
        }
        json_decref(first);
    }
    json_decref(seen);
    json_decref(list->statuses);
    list->statuses = kept;
}
