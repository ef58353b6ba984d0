/* What happens to a task: recorded first, then told to those who watch it and to its webhooks. */
#include "doors/tasks_private.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "doors/webhooks.h"
#include "wire/jsonmemory.h"
#include "wire/jsontext.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECES_LEAST ((size_t)64 << 10) /* bytes, however small the document is */

void notifications_free(struct journal_notification *list)
{
    while (list) {
        struct journal_notification *next = list->next;
        journal_notification_free(list);
        list = next;
    }
}

/* To each of its webhooks, what the event says in the version that the client spoke. */
static void add_notifications(struct a2a_task *task, const json_t *record, const json_t *event,
                              struct journal_notification ***end)
{
    size_t i;
    json_t *config;
    json_array_foreach (json_object_get(record, "configs"), i, config) {
        const char *version = json_string_value(json_object_get(config, "version"));
        bool old = version && strcmp(version, "0.3") == 0;
        struct a2a_text text = a2a_write_notification(old ? A2A_0_3 : A2A_1_0, event,
                                                      task_of_record(record));
        struct journal_notification *notification = memory_allocate(sizeof *notification);
        notification->sequence = webhooks_next(task->tasks->webhooks);
        notification->task_id = memory_copy_text(task->id);
        notification->config = jsontext_print(config);
        notification->type = memory_copy_text(text.content_type);
        notification->body = text.bytes;
        notification->length = text.length;
        notification->at_ms = clock_wall_ms();
        **end = notification;
        *end = &notification->next;
    }
}

/* Without what is recorded of it. */
static struct journal_task *row_of(struct a2a_task *task, const json_t *record,
                                   const json_t *events)
{
    size_t i;
    json_t *event;
    const json_t *now = task_of_record(record);
    struct journal_task *row = memory_allocate(sizeof *row);
    struct journal_notification **end = &row->notifications;
    row->id = memory_copy_text(task->id);
    row->principal = memory_copy_text(task->principal);
    row->context_id = memory_copy_text(task->context_id);
    row->state = task_state(now);
    row->open = !task_state_ended(row->state);
    row->updated_ms = task_updated_ms(now);
    if (json_array_size(json_object_get(record, "configs")) > 0)
        json_array_foreach (events, i, event)
            add_notifications(task, record, event, &end);
    return row;
}

struct journal_task *task_to_record(struct a2a_task *task, const json_t *record,
                                    const json_t *events)
{
    struct journal_task *row = row_of(task, record, events);
    row->document = jsontext_print(record);
    task->written = strlen(row->document);
    task->added = 0;
    return row;
}

/* A task with many artifacts is not written whole for each: their pieces are added to what is
 * written, until they are as large as that. NULL: it is time for the whole, or something else has
 * happened, too. */
static struct journal_task *piece_to_record(struct a2a_task *task, const json_t *events)
{
    size_t i, most = task->written > PIECES_LEAST ? task->written : PIECES_LEAST;
    json_t *event;
    json_array_foreach (events, i, event)
        if (!json_object_get(event, "artifactUpdate"))
            return NULL;
    json_t *piece = json_pack("{s:O, s:O}", "said", json_object_get(task->record, "said"), "events",
                              events);
    char *text = jsontext_print(piece);
    json_decref(piece);
    if (task->written == 0 || task->added + strlen(text) > most) {
        free(text);
        return NULL;
    }
    task->added += strlen(text);
    struct journal_task *row = row_of(task, task->record, events);
    row->piece = text;
    row->sequence = webhooks_next(task->tasks->webhooks); /* no notification has it */
    return row;
}

/* The client may have deleted the config while it was being recorded. */
static bool is_wanted(const struct a2a_task *task, const struct journal_notification *notification)
{
    size_t i;
    json_t *each, *config = json_loads(notification->config, 0, NULL);
    const json_t *id = json_object_get(config, "id");
    bool wanted = false;
    json_array_foreach (json_object_get(task->record, "configs"), i, each)
        wanted = wanted || json_equal(json_object_get(each, "id"), id);
    jsonmemory_wipe(config);
    return wanted;
}

/* Copies: the disk thread has the others. */
void task_post_notifications(struct a2a_task *task, struct journal_notification *list)
{
    while (list) {
        struct journal_notification *next = list->next;
        list->next = NULL;
        if (is_wanted(task, list)) {
            webhooks_post(task->tasks->webhooks, list);
        } else {
            journal_notification_drop(task->tasks->journal, list->sequence);
            journal_notification_free(list);
        }
        list = next;
    }
}

struct recording {
    struct tasks *tasks;
    char id[UUID_TEXT_SIZE];
    struct journal_notification *notifications;
};

struct journal_notification *task_copy_notifications(const struct journal_task *row)
{
    const struct journal_notification *list = row->notifications;
    struct journal_notification *first = NULL, **end = &first;
    for (; list; list = list->next) {
        struct journal_notification *copy = memory_allocate(sizeof *copy);
        *copy = *list;
        copy->next = NULL;
        copy->task_id = memory_copy_text(list->task_id);
        copy->config = memory_copy_text(list->config);
        copy->type = memory_copy_text(list->type);
        copy->body = memory_copy(list->body, list->length);
        *end = copy;
        end = &copy->next;
    }
    return first;
}

static void on_recorded(void *context)
{
    struct recording *recording = context;
    struct a2a_task *task = tasks_find_id(recording->tasks, recording->id);
    check(task || recording->tasks->closed);
    if (!task) {
        notifications_free(recording->notifications);
        free(recording);
        return;
    }
    json_t *said = task->saying;
    struct said_waiting *waiting = task->recording;
    task->saying = NULL;
    task->recording = NULL;
    task_post_notifications(task, recording->notifications);
    free(recording);
    task_tell_each(task, said, false);
    json_decref(said);
    said_waiting_free(&waiting, NULL);
    if (task->unsaid && !task->ending)
        task_record(task);
}

void task_record(struct a2a_task *task)
{
    struct tasks *tasks = task->tasks;
    struct recording *recording = memory_allocate(sizeof *recording);
    task->saying = task->unsaid;
    task->unsaid = NULL;
    task->recording = task->waiting;
    task->waiting = NULL;
    struct journal_task *row = piece_to_record(task, task->saying);
    if (!row)
        row = task_to_record(task, task->record, task->saying);
    recording->tasks = tasks;
    snprintf(recording->id, sizeof recording->id, "%s", task->id);
    recording->notifications = task_copy_notifications(row);
    journal_task_put(tasks->journal, row, on_recorded, recording);
}

static void wait_for(struct a2a_task *task,
                     void (*then)(void *context, const char *problem, const char *code),
                     void *context)
{
    struct said_waiting **end = &task->waiting;
    while (*end)
        end = &(*end)->next;
    *end = memory_allocate(sizeof **end);
    **end = (struct said_waiting){.then = then, .context = context};
}

void task_happens(struct a2a_task *task, json_t *event,
                  void (*then)(void *context, const char *problem, const char *code), void *context)
{
    if (!task->unsaid)
        task->unsaid = json_array();
    json_array_append_new(task->unsaid, event);
    if (then)
        wait_for(task, then, context);
    if (!task->saying && !task->beginning && !task->ending)
        task_record(task);
}

void task_mention(struct a2a_task *task, json_t *event)
{
    if (task->saying || task->unsaid || task->beginning) {
        task_happens(task, event, NULL, NULL);
        return;
    }
    task_tell_all(task, event, false);
    json_decref(event);
}
