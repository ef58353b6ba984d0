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
#include "wire/served.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct said_waiting {
    struct said_waiting *next;
    void (*then)(void *context, const char *problem, const char *code);
    void *context;
};

/* --- the table --- */

static struct a2a_task **bucket_of(const struct tasks *tasks, const char *id)
{
    return (struct a2a_task **)(uintptr_t)&tasks->buckets[hash_text(id) % TASKS_BUCKETS];
}

static struct a2a_task *find(const struct tasks *tasks, const char *id)
{
    struct a2a_task *task = *bucket_of(tasks, id);
    while (task && strcmp(task->id, id) != 0)
        task = task->bucket_next;
    return task;
}

struct a2a_task *tasks_find(const struct tasks *tasks, const char *principal, const char *id)
{
    struct a2a_task *task = find(tasks, id);
    return task && strcmp(task->principal, principal) == 0 ? task : NULL;
}

struct a2a_task *tasks_of_message(const struct tasks *tasks, const struct message *message)
{
    const char *id = served_task_id(message);
    return id ? find(tasks, id) : NULL;
}

const json_t *task_now(const struct a2a_task *task)
{
    return task_of_record(task->record);
}

static struct a2a_task *add(struct tasks *tasks, const char *id, const char *principal,
                            const char *context_id, json_t *record)
{
    struct a2a_task *task = memory_allocate(sizeof *task), **bucket = bucket_of(tasks, id);
    snprintf(task->id, sizeof task->id, "%s", id);
    task->tasks = tasks;
    task->principal = memory_copy_text(principal);
    task->context_id = memory_copy_text(context_id);
    task->record = record;
    task->bucket_next = *bucket;
    *bucket = task;
    tasks->open++;
    return task;
}

static void free_waiting(struct said_waiting **list, const char *problem)
{
    while (*list) {
        struct said_waiting *waiting = *list;
        *list = waiting->next;
        waiting->then(waiting->context, problem, problem ? "STOPPED" : NULL);
        free(waiting);
    }
}

static void free_notifications(struct journal_notification *list)
{
    while (list) {
        struct journal_notification *next = list->next;
        journal_notification_free(list);
        list = next;
    }
}

static void drop(struct a2a_task *task)
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
    free_waiting(&task->recording, "the task has ended");
    free_waiting(&task->waiting, "the task has ended");
    json_decref(task->record);
    json_decref(task->ending);
    json_decref(task->unsaid);
    json_decref(task->saying);
    json_decref(task->last_said);
    free_notifications(task->last_notifications);
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
static void tell_all(struct a2a_task *task, const json_t *event, bool last)
{
    struct task_watcher *next;
    for (struct task_watcher *watcher = task->watchers; watcher; watcher = next) {
        next = watcher->next;
        tell(watcher, event, last);
    }
}

static void tell_each(struct a2a_task *task, const json_t *events, bool end)
{
    size_t i, count = json_array_size(events);
    json_t *event;
    json_array_foreach (events, i, event)
        tell_all(task, event, end && i + 1 == count);
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

/* --- what is recorded --- */

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
        notification->config = json_dumps(config, JSON_COMPACT);
        notification->type = memory_copy_text(text.content_type);
        notification->body = text.bytes;
        notification->length = text.length;
        notification->at_ms = clock_wall_ms();
        **end = notification;
        *end = &notification->next;
    }
}

struct journal_task *task_to_record(struct a2a_task *task, const json_t *record,
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
    row->document = json_dumps(record, JSON_COMPACT);
    if (json_array_size(json_object_get(record, "configs")) > 0)
        json_array_foreach (events, i, event)
            add_notifications(task, record, event, &end);
    return row;
}

/* Copies: the disk thread has the others. */
static void post_notifications(struct a2a_task *task, struct journal_notification *list)
{
    while (list) {
        struct journal_notification *next = list->next;
        list->next = NULL;
        webhooks_post(task->tasks->webhooks, list);
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

static void record(struct a2a_task *task);

static void on_recorded(void *context)
{
    struct recording *recording = context;
    struct a2a_task *task = find(recording->tasks, recording->id);
    check(task || recording->tasks->closed);
    if (!task) {
        free_notifications(recording->notifications);
        free(recording);
        return;
    }
    json_t *said = task->saying;
    struct said_waiting *waiting = task->recording;
    task->saying = NULL;
    task->recording = NULL;
    post_notifications(task, recording->notifications);
    free(recording);
    tell_each(task, said, false);
    json_decref(said);
    free_waiting(&waiting, NULL);
    if (task->unsaid && !task->ending)
        record(task);
}

static void record(struct a2a_task *task)
{
    struct tasks *tasks = task->tasks;
    struct recording *recording = memory_allocate(sizeof *recording);
    task->saying = task->unsaid;
    task->unsaid = NULL;
    task->recording = task->waiting;
    task->waiting = NULL;
    struct journal_task *row = task_to_record(task, task->record, task->saying);
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
        record(task);
}

void task_mention(struct a2a_task *task, json_t *event)
{
    if (task->saying || task->unsaid || task->beginning) {
        task_happens(task, event, NULL, NULL);
        return;
    }
    tell_all(task, event, false);
    json_decref(event);
}

void task_end(struct a2a_task *task)
{
    json_t *said = task->last_said;
    struct said_waiting *waiting = task->waiting;
    post_notifications(task, task->last_notifications);
    task->last_notifications = NULL;
    task->last_said = NULL;
    task->waiting = NULL;
    json_decref(task->record);
    task->record = task->ending;
    task->ending = NULL;
    tell_each(task, said, true);
    json_decref(said);
    free_waiting(&waiting, NULL);
    drop(task);
}

/* --- messages --- */

struct admitting {
    struct tasks *tasks;
    char id[UUID_TEXT_SIZE];
    struct journal_notification *notifications;
};

/* The ledger had it: an earlier request ended it. Its watchers get it as it is. */
static void take_known(struct a2a_task *task, const struct journal_task *known)
{
    json_t *record = known ? json_loads(known->document, JSON_ALLOW_NUL, NULL) : NULL;
    bool own = known && record && strcmp(known->principal, task->principal) == 0;
    if (own) {
        json_decref(task->record);
        task->record = record;
        json_t *response = task_response(task_now(task));
        tell_all(task, response, true);
        json_decref(response);
    } else {
        json_decref(record);
    }
    drop(task);
}

static void on_admitted(void *context, struct journal_loaded *loaded,
                        const struct journal_task *known)
{
    struct admitting *admitting = context;
    struct tasks *tasks = admitting->tasks;
    struct a2a_task *task = find(tasks, admitting->id);
    check(task || tasks->closed);
    if (!task) { /* the next start finds it in the ledger */
        journal_loaded_free(loaded);
    } else if (!loaded && task->beginning) {
        take_known(task, known);
    } else {
        json_t *said = task->saying;
        task->saying = NULL;
        if (task->beginning) {
            task->beginning = false;
            json_t *response = task_response(task_now(task));
            tell_all(task, response, false);
            json_decref(response);
        } else {
            tell_each(task, said, false);
        }
        json_decref(said);
        post_notifications(task, admitting->notifications);
        admitting->notifications = NULL;
        if (task->unsaid && !task->ending)
            record(task);
        if (loaded)
            tasks->admit(tasks->context, loaded);
    }
    free_notifications(admitting->notifications);
    free(admitting);
}

/* `row`: the message's, taken; `events`: what is told once it is recorded. false: out of memory. */
static bool admit(struct a2a_task *task, char *row, const char *row_id, int64_t at_ms, bool begins,
                  json_t *events)
{
    struct tasks *tasks = task->tasks;
    char when[CLOCK_TEXT_SIZE];
    if (!row)
        return false;
    clock_format(at_ms, when);
    struct admitting *admitting = memory_allocate(sizeof *admitting);
    admitting->tasks = tasks;
    snprintf(admitting->id, sizeof admitting->id, "%s", task->id);
    struct journal_task *record = task_to_record(task, task->record, events);
    admitting->notifications = task_copy_notifications(record);
    bool pushed = strcmp(task->principal, TASKS_PLATFORM) == 0;
    journal_task_admit(tasks->journal, record, begins,
                       &(struct journal_run){.row_id = row_id,
                                             .row = row,
                                             .row_length = strlen(row),
                                             .created_at = when,
                                             .source = pushed ? "canvas" : task->principal},
                       on_admitted, admitting);
    free(row);
    return true;
}

static bool admit_served(struct a2a_task *task, const struct served *served, const char *message_id,
                         json_t *events)
{
    char id[UUID_TEXT_SIZE];
    /* a client may use the same messageId in several tasks */
    char *name = memory_join(task->id, "/", message_id);
    served_id(served->principal, name, id);
    free(name);
    const char *row_id = served->answers ? id : task->id;
    return admit(task, served_row(served, row_id), row_id, served->at_ms, !served->answers, events);
}

static void wrong(struct a2a_problem *problem, enum a2a_error error, const char *task_id,
                  const char *text)
{
    *problem = (struct a2a_problem){.error = error};
    snprintf(problem->text, sizeof problem->text, "%s", text);
    snprintf(problem->task_id, sizeof problem->task_id, "%s", task_id ? task_id : "");
}

static void add_config(struct a2a_task *task, const json_t *config)
{
    json_t *configs = json_object_get(task->record, "configs");
    json_t *own = json_copy((json_t *)(uintptr_t)config);
    json_object_set_new(own, "taskId", json_string(task->id));
    json_array_append_new(configs, own);
}

struct a2a_task *tasks_begin(struct tasks *tasks, const char *principal, const json_t *message,
                             const json_t *metadata, const json_t *config, bool *known,
                             struct a2a_problem *problem)
{
    char id[UUID_TEXT_SIZE], context_id[UUID_TEXT_SIZE];
    const char *message_id = json_string_value(json_object_get(message, "messageId")),
               *context = json_string_value(json_object_get(message, "contextId"));
    if (tasks->new_tasks)
        uuid_random(id);
    else
        served_id(principal, message_id, id);
    struct a2a_task *task = find(tasks, id);
    *known = task;
    if (task)
        return task;
    if (tasks->stopping || tasks->open >= TASKS_OPEN_MAXIMUM) {
        wrong(problem, A2A_UNAVAILABLE, NULL,
              tasks->stopping ? "the agent is stopping"
                              : "too many tasks have not ended; try later");
        return NULL;
    }
    if (!context) { /* the same for a repeated request */
        char *name = memory_join(id, "/context");
        uuid_of_name(name, context_id);
        free(name);
        context = context_id;
    }
    int64_t now = clock_wall_ms();
    task = add(tasks, id, principal, context, task_record_new(id, context, message, now));
    task->beginning = true;
    if (config)
        add_config(task, config);
    const json_t *said = json_array_get(json_object_get(task_now(task), "history"), 0);
    json_t *response = task_response(task_now(task));
    json_t *events = json_pack("[o]", response);
    const struct served served = {
        .principal = principal, .task_id = id, .message = said, .metadata = metadata, .at_ms = now};
    bool admitted = admit_served(task, &served, message_id, events);
    json_decref(events);
    if (admitted)
        return task;
    drop(task);
    wrong(problem, A2A_INTERNAL, NULL, "the message cannot be kept");
    return NULL;
}

struct a2a_task *tasks_begin_pushed(struct tasks *tasks, const char *message_id,
                                    const char *request, size_t length, struct a2a_problem *problem)
{
    char id[UUID_TEXT_SIZE];
    served_id(TASKS_PLATFORM, message_id, id);
    struct a2a_task *task = find(tasks, id);
    if (task)
        return task;
    if (tasks->stopping || tasks->open >= TASKS_OPEN_MAXIMUM) {
        wrong(problem, A2A_UNAVAILABLE, NULL, "the agent is stopping, or has too much to do");
        return NULL;
    }
    int64_t now = clock_wall_ms();
    json_t *message = json_pack("{s:s, s:s, s:[]}", "messageId", message_id, "role", "ROLE_USER",
                                "parts");
    task = add(tasks, id, TASKS_PLATFORM, id, task_record_new(id, id, message, now));
    json_decref(message);
    task->beginning = true;
    admit(task, served_pushed_row(request, length, id, now), id, now, true, NULL);
    return task;
}

bool tasks_make_late(struct tasks *tasks, struct a2a_task *task, void (*then)(void *context),
                     void *context)
{
    if (task->ending || task->beginning)
        return false;
    json_object_set_new(task->record, "late", json_true());
    journal_task_put(tasks->journal, task_to_record(task, task->record, NULL), then, context);
    return true;
}

/* The answer is none of the question's choices: its client is told, and the task still waits. */
static void tell_hint(struct a2a_task *task, const char *hint)
{
    char id[UUID_TEXT_SIZE];
    uuid_random(id);
    json_t *parts = json_pack("[{s:s}]", "text", hint);
    enum task_state state = task_state(task_now(task));
    task_happens(task,
                 task_set_status(task_of_record(task->record), state, parts, id, clock_wall_ms()),
                 NULL, NULL);
    json_decref(parts);
}

static char *text_of(const json_t *message)
{
    size_t i;
    json_t *part;
    char *text = memory_copy_text("");
    json_array_foreach (json_object_get(message, "parts"), i, part) {
        const char *more = json_string_value(json_object_get(part, "text"));
        if (!more)
            continue;
        char *longer = *text ? memory_join(text, "\n", more) : memory_copy_text(more);
        free(text);
        text = longer;
    }
    return text;
}

/* What its handler asked is answered: the task works again. */
static bool answer(struct a2a_task *task, const json_t *said, const json_t *metadata,
                   const char *message_id)
{
    json_t *now = task_of_record(task->record);
    const struct served served = {.principal = task->principal,
                                  .task_id = task->id,
                                  .answers = true,
                                  .message = said,
                                  .metadata = metadata,
                                  .at_ms = clock_wall_ms()};
    json_t *event = task_set_status(now, TASK_WORKING, NULL, NULL, served.at_ms);
    task_add_history(now, said);
    json_t *events = json_pack("[o]", event);
    bool admitted = admit_served(task, &served, message_id, events);
    if (admitted)
        task->saying = events;
    else
        json_decref(events);
    return admitted;
}

bool tasks_continue(struct tasks *tasks, struct a2a_task *task, const json_t *message,
                    const json_t *metadata, const json_t *config, struct a2a_problem *problem)
{
    const char *message_id = json_string_value(json_object_get(message, "messageId"));
    const json_t *now = task_now(task);
    if (task_has_message(now, message_id))
        return true;
    if (!task_state_ended(task_state(now)) && !task_state_asks(task_state(now))) {
        wrong(problem, A2A_UNSUPPORTED, task->id,
              "the task is being worked on, and takes no message now; a new task in its context "
              "waits for it");
        return false;
    }
    char *text = text_of(message);
    struct question_answer given = questions_match_task(&tasks->dispatch->questions, task->id,
                                                        text);
    free(text);
    json_t *said = json_copy((json_t *)(uintptr_t)message);
    json_object_set_new(said, "taskId", json_string(task->id));
    json_object_set_new(said, "contextId", json_string(task->context_id));
    bool taken = true;
    if (config && (given.hint || given.question))
        add_config(task, config);
    if (given.hint) {
        task_add_history(task_of_record(task->record), said);
        tell_hint(task, given.hint);
    } else if (!given.question || task->ending || task->saying || task->unsaid) {
        wrong(problem, A2A_UNAVAILABLE, task->id, "the task does not wait any longer, or not yet");
        taken = false;
    } else if (!answer(task, said, metadata, message_id)) {
        wrong(problem, A2A_INTERNAL, task->id, "the message cannot be kept");
        taken = false;
    }
    free(given.hint);
    json_decref(said);
    return taken;
}

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

void tasks_load(struct tasks *tasks, struct journal_task *list)
{
    while (list) {
        struct journal_task *next = list->next;
        json_t *record = json_loads(list->document, JSON_ALLOW_NUL, NULL);
        if (task_of_record(record) && task_state(task_of_record(record)) &&
            !find(tasks, list->id) && strlen(list->id) < UUID_TEXT_SIZE) {
            add(tasks, list->id, list->principal, list->context_id, record);
        } else {
            log_error(tasks->agent_id, "task %s is damaged, and left out", list->id);
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
            drop(tasks->buckets[i]);
}
