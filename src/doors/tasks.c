#include "doors/tasks_private.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "doors/webhooks.h"
#include "journal/journal.h"
#include "messages/cancel.h"
#include "messages/questions.h"
#include "wire/jsontext.h"
#include "wire/served.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the table --- */

static struct a2a_task **bucket_of(const struct tasks *tasks, const char *id)
{
    return (struct a2a_task **)(uintptr_t)&tasks->buckets[hash_text(id) % TASKS_BUCKETS];
}

struct a2a_task *tasks_find_id(const struct tasks *tasks, const char *id)
{
    struct a2a_task *task = *bucket_of(tasks, id);
    while (task && strcmp(task->id, id) != 0)
        task = task->bucket_next;
    return task;
}

struct a2a_task *tasks_find(const struct tasks *tasks, const char *principal, const char *id)
{
    struct a2a_task *task = tasks_find_id(tasks, id);
    return task && strcmp(task->principal, principal) == 0 ? task : NULL;
}

struct a2a_task *tasks_of_message(const struct tasks *tasks, const struct message *message)
{
    const char *id = served_task_id(message);
    return id ? tasks_find_id(tasks, id) : NULL;
}

const json_t *task_now(const struct a2a_task *task)
{
    return task_of_record(task->record);
}

struct a2a_task *tasks_add(struct tasks *tasks, const char *id, const char *principal,
                           const char *context_id, json_t *record)
{
    struct a2a_task *task = memory_allocate(sizeof *task), **bucket = bucket_of(tasks, id);
    snprintf(task->id, sizeof task->id, "%s", id);
    task->tasks = tasks;
    task->principal = memory_copy_text(principal);
    task->context_id = memory_copy_text(context_id);
    task->record = record;
    task->places = task_places(task_of_record(record));
    const json_t *artifacts = json_object_get(task_of_record(record), "artifacts");
    task->bytes = artifacts ? jsontext_size(artifacts) : 0;
    task->old_bytes = jsontext_size(json_object_get(task_of_record(record), "history"));
    task->bucket_next = *bucket;
    *bucket = task;
    tasks->open++;
    return task;
}

void said_waiting_free(struct said_waiting **list, const char *problem)
{
    while (*list) {
        struct said_waiting *waiting = *list;
        *list = waiting->next;
        waiting->then(waiting->context, problem, problem ? "STOPPED" : NULL);
        free(waiting);
    }
}

void task_drop(struct a2a_task *task)
{
    struct a2a_task **link = bucket_of(task->tasks, task->id);
    while (*link != task)
        link = &(*link)->bucket_next;
    *link = task->bucket_next;
    task->tasks->open--;
    while (task->watchers) {
        struct task_watcher *watcher = task->watchers;
        tasks_unwatch(watcher);
        watcher->event(watcher, NULL, NULL, true);
    }
    said_waiting_free(&task->recording, "the task has ended");
    said_waiting_free(&task->waiting, "the task has ended");
    json_decref(task->record);
    json_decref(task->ending);
    json_decref(task->unsaid);
    json_decref(task->saying);
    json_decref(task->last_said);
    json_decref(task->places);
    notifications_free(task->last_notifications);
    free(task->principal);
    free(task->context_id);
    free(task);
}

struct a2a_task **tasks_list(const struct tasks *tasks, const char *principal, size_t *count)
{
    struct a2a_task **list = memory_allocate((tasks->open + 1) * sizeof *list);
    *count = 0;
    for (size_t i = 0; i < TASKS_BUCKETS; i++)
        for (struct a2a_task *task = tasks->buckets[i]; task; task = task->bucket_next)
            if (!task->beginning && strcmp(task->principal, principal) == 0)
                list[(*count)++] = task;
    return list;
}

/* --- watchers --- */

void tasks_unwatch(struct task_watcher *watcher)
{
    struct a2a_task *task = watcher->task;
    if (!task)
        return;
    if (watcher->next)
        watcher->next->previous = watcher->previous;
    if (watcher->previous)
        watcher->previous->next = watcher->next;
    else
        task->watchers = watcher->next;
    json_decref(watcher->first);
    watcher->first = NULL;
    watcher->task = NULL;
}

static void tell(struct task_watcher *watcher, const json_t *event, bool last)
{
    const struct a2a_task *task = watcher->task;
    if (watcher->skip > 0 && --watcher->skip > 0)
        return;
    json_t *first = watcher->first;
    watcher->first = NULL;
    watcher->event(watcher, first ? first : event, task->record, last);
    json_decref(first);
}

/* Any of them may stop watching meanwhile, and no other. */
void task_tell_all(struct a2a_task *task, const json_t *event, bool last)
{
    struct task_watcher *next;
    for (struct task_watcher *watcher = task->watchers; watcher; watcher = next) {
        next = watcher->next;
        tell(watcher, event, last);
    }
}

void task_tell_each(struct a2a_task *task, const json_t *events, bool end)
{
    size_t i, count = json_array_size(events);
    json_t *event;
    json_array_foreach (events, i, event)
        task_tell_all(task, event, end && i + 1 == count);
}

void tasks_watch(struct a2a_task *task, struct task_watcher *watcher)
{
    watcher->task = task;
    watcher->previous = NULL;
    watcher->next = task->watchers;
    if (watcher->next)
        watcher->next->previous = watcher;
    task->watchers = watcher;
    watcher->skip = json_array_size(task->saying) + json_array_size(task->unsaid);
    if (task->beginning) /* its first event is the task itself */
        return;
    json_t *now = json_deep_copy(task_now(task));
    json_t *first = json_pack("{s:o}", "task", now);
    if (watcher->skip > 0) {
        watcher->first = first;
        return;
    }
    watcher->event(watcher, first, task->record, false);
    json_decref(first);
}

void task_end(struct a2a_task *task)
{
    json_t *said = task->last_said;
    struct said_waiting *waiting = task->waiting;
    task_post_notifications(task, task->last_notifications);
    task->last_notifications = NULL;
    task->last_said = NULL;
    task->waiting = NULL;
    json_decref(task->record);
    task->record = task->ending;
    task->ending = NULL;
    task_tell_each(task, said, true);
    json_decref(said);
    said_waiting_free(&waiting, NULL);
    task_drop(task);
}

/* --- what is asked of one --- */

bool tasks_cancel(struct tasks *tasks, struct a2a_task *task)
{
    return task->ending || task->beginning || cancel_message(tasks->dispatch, task->id);
}

void tasks_set_configs(struct tasks *tasks, struct a2a_task *task, json_t *configs)
{
    json_object_set_new(task->record, "configs", configs);
    if (task->ending)
        json_object_set(task->ending, "configs", configs);
    else if (!task->beginning)
        journal_task_put(tasks->journal, task_to_record(task, task->record, NULL), NULL, NULL);
}

/* --- opening and closing --- */

void tasks_open(struct tasks *tasks)
{
    tasks_door_open(tasks);
}

static void put_pieces(json_t *record, const json_t *pieces)
{
    size_t i;
    json_t *piece, *places = task_places(task_of_record(record));
    json_array_foreach (pieces, i, piece)
        task_put_piece(record, places, piece);
    json_decref(places);
}

void tasks_load(struct tasks *tasks, struct journal_task *list)
{
    while (list) {
        struct journal_task *next = list->next;
        json_t *record = json_loads(list->document, JSON_ALLOW_NUL, NULL);
        if (task_of_record(record) && task_state(task_of_record(record)) &&
            !tasks_find_id(tasks, list->id) && strlen(list->id) < UUID_TEXT_SIZE) {
            put_pieces(record, list->pieces);
            tasks_add(tasks, list->id, list->principal, list->context_id, record);
        } else {
            log_error(LOG_TASK_DAMAGED, tasks->agent_id, "task %s is damaged, and left out",
                      list->id);
            json_decref(record);
        }
        journal_task_free(list);
        list = next;
    }
}

void tasks_close(struct tasks *tasks)
{
    tasks->stopping = tasks->closed = true;
    for (size_t i = 0; i < TASKS_BUCKETS; i++)
        while (tasks->buckets[i])
            task_drop(tasks->buckets[i]);
}
