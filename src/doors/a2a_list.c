/* ListTasks [1.0 §3.1.4]: those that have not ended, from memory, and the others, from the ledger,
 * as one list by the time of their status, newest first. */
#include "doors/a2a_private.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_DEFAULT 50
#define PAGE_BYTES ((size_t)4 << 20)

struct a2a_listing {
    struct ledger_task_query query; /* its texts are those of the request, or `token` */
    char *token;                    /* of the page: where the id stands in it */
    json_int_t size;
};

void a2a_listing_free(struct a2a_listing *listing)
{
    if (listing)
        free(listing->token);
    free(listing);
}

/* The list behind one page begins after this task. */
struct item {
    json_t *task;
    int64_t updated_ms;
    const char *id;
    size_t bytes; /* that the list has of it, about */
};

static bool follows(const struct ledger_task_query *query, int64_t updated_ms, const char *id)
{
    return !query->after_id || updated_ms < query->after_ms ||
           (updated_ms == query->after_ms && strcmp(id, query->after_id) < 0);
}

static int compare(const void *one, const void *other)
{
    const struct item *first = one, *second = other;
    if (first->updated_ms != second->updated_ms)
        return first->updated_ms > second->updated_ms ? -1 : 1;
    return strcmp(second->id, first->id);
}

/* "milliseconds.id" */
static bool read_token(struct a2a_listing *listing, const char *token)
{
    char *end;
    listing->token = memory_copy_text(token);
    listing->query.after_ms = strtoll(listing->token, &end, 10);
    if (end == listing->token || *end != '.' || end[1] == '\0' || strlen(end) > 128)
        return false;
    listing->query.after_id = end + 1;
    return true;
}

/* false: the exchange was refused. */
static bool read_query(struct a2a_exchange *exchange, struct a2a_listing *listing)
{
    const json_t *params = exchange->request.params, *size = json_object_get(params, "pageSize"),
                 *history = json_object_get(params, "historyLength");
    const char *context = json_string_value(json_object_get(params, "contextId")),
               *state = json_string_value(json_object_get(params, "status")),
               *since = json_string_value(json_object_get(params, "statusTimestampAfter")),
               *token = json_string_value(json_object_get(params, "pageToken"));
    int64_t us = 0;
    listing->query = (struct ledger_task_query){
        .principal = exchange->principal,
        .context_id = context && *context ? context : NULL,
        .state = state && *state && task_state_of(state) ? (int)task_state_of(state) : -1};
    listing->size = json_is_integer(size) && json_integer_value(size) > 0 ? json_integer_value(size)
                                                                          : PAGE_DEFAULT;
    listing->query.most = (int)listing->size + 1;
    listing->query.whole = json_is_true(json_object_get(params, "includeArtifacts"));
    exchange->history = json_is_integer(history) ? json_integer_value(history) : -1;
    if (since && *since && clock_parse(since, &us))
        listing->query.since_ms = us / 1000;
    if (token && *token && !read_token(listing, token)) {
        a2a_refuse(exchange, A2A_INVALID_PARAMS, NULL, "pageToken is not one from this server");
        return false;
    }
    return true;
}

static bool is_wanted(const struct ledger_task_query *query, const struct a2a_task *task)
{
    const json_t *now = task_now(task);
    return (!query->context_id || strcmp(query->context_id, task->context_id) == 0) &&
           (query->state < 0 || (int)task_state(now) == query->state) &&
           task_updated_ms(now) >= query->since_ms;
}

/* Of the open ones; `*total` counts them all. */
static size_t add_open(struct a2a_exchange *exchange, struct item *items, int64_t *total)
{
    const struct ledger_task_query *query = &exchange->listing->query;
    size_t count, added = 0;
    struct a2a_task **open = tasks_list(exchange->agent->tasks, exchange->principal, &count);
    for (size_t i = 0; i < count; i++) {
        json_t *now = (json_t *)(uintptr_t)task_now(open[i]);
        if (!is_wanted(query, open[i]))
            continue;
        ++*total;
        if (follows(query, task_updated_ms(now), open[i]->id))
            items[added++] = (struct item){json_incref(now), task_updated_ms(now), open[i]->id,
                                           open[i]->old_bytes + open[i]->said_bytes +
                                               (query->whole ? open[i]->bytes : 0)};
    }
    free(open);
    return added;
}

/* Those that are still told about count as open. */
static size_t add_ended(struct a2a_exchange *exchange, struct item *items,
                        const struct journal_task *found, int64_t *total)
{
    size_t added = 0;
    for (const struct journal_task *each = found; each; each = each->next) {
        json_t *record = json_loads(each->document, JSON_ALLOW_NUL, NULL);
        json_t *task = task_of_record(record);
        if (tasks_find(exchange->agent->tasks, exchange->principal, each->id))
            --*total;
        else if (task)
            items[added++] = (struct item){json_incref(task), each->updated_ms, each->id,
                                           strlen(each->document)};
        json_decref(record);
    }
    return added;
}

/* How many of them are certain: those up to the last one that the ledger gave. */
static size_t shown(const struct item *items, size_t count, const struct journal_task *found)
{
    while (found->next)
        found = found->next;
    size_t i = 0;
    while (i + 1 < count && strcmp(items[i].id, found->id) != 0)
        i++;
    return i + 1;
}

/* How many of them make a page: one at least, and no more than that is too large. */
static size_t fitting(const struct a2a_listing *listing, const struct item *items, size_t count)
{
    size_t most = (size_t)listing->size < count ? (size_t)listing->size : count, bytes = 0, i = 0;
    while (i < most && (i == 0 || bytes + items[i].bytes <= PAGE_BYTES))
        bytes += items[i++].bytes;
    return i;
}

/* `more`: others follow these. */
static json_t *page_of(const struct a2a_exchange *exchange, const struct item *items, size_t count,
                       bool more, int64_t total)
{
    const struct a2a_listing *listing = exchange->listing;
    size_t most = fitting(listing, items, count);
    char *token = more || count > most
                      ? memory_format("%lld.%s", (long long)items[most - 1].updated_ms,
                                      items[most - 1].id)
                      : memory_copy_text("");
    json_t *tasks = json_array();
    for (size_t i = 0; i < count && i < most; i++)
        json_array_append_new(tasks,
                              task_view(items[i].task, exchange->history, listing->query.whole));
    json_t *page = json_pack("{s:o, s:s, s:I, s:I}", "tasks", tasks, "nextPageToken", token,
                             "pageSize", (json_int_t)json_array_size(tasks), "totalSize",
                             (json_int_t)total);
    free(token);
    return page;
}

static void on_listed(void *context, struct journal_task *found, int64_t total, bool cut,
                      bool failed)
{
    struct a2a_exchange *exchange = context;
    exchange->looking = false;
    if (!exchange->http) {
        a2a_exchange_end(exchange);
    } else if (failed) {
        a2a_refuse(exchange, A2A_UNAVAILABLE, NULL, "the tasks cannot be read now");
    } else {
        size_t most = exchange->agent->tasks->open + (size_t)exchange->listing->query.most + 1;
        struct item *items = memory_allocate(most * sizeof *items);
        size_t count = add_open(exchange, items, &total);
        count += add_ended(exchange, items + count, found, &total);
        qsort(items, count, sizeof *items, compare);
        json_t *page = page_of(exchange, items, cut ? shown(items, count, found) : count, cut,
                               total);
        for (size_t i = 0; i < count; i++)
            json_decref(items[i].task);
        free(items);
        a2a_answer(exchange, page);
        json_decref(page);
    }
    while (found) {
        struct journal_task *next = found->next;
        journal_task_free(found);
        found = next;
    }
}

void a2a_list_tasks(struct a2a_exchange *exchange)
{
    exchange->listing = memory_allocate(sizeof *exchange->listing);
    if (!read_query(exchange, exchange->listing))
        return;
    exchange->looking = true;
    journal_tasks_ended(exchange->agent->journal, &exchange->listing->query, on_listed, exchange);
}
