/* Messages that begin tasks, and those that tasks wait for: each becomes a row of the ledger. */
#include "doors/tasks_private.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "messages/dispatch.h"
#include "messages/questions.h"
#include "wire/jsontext.h"
#include "wire/served.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
        task_tell_all(task, response, true);
        json_decref(response);
    } else {
        json_decref(record);
    }
    task_drop(task);
}

static void on_admitted(void *context, struct journal_loaded *loaded,
                        const struct journal_task *known)
{
    struct admitting *admitting = context;
    struct tasks *tasks = admitting->tasks;
    struct a2a_task *task = tasks_find_id(tasks, admitting->id);
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
            task_tell_all(task, response, false);
            json_decref(response);
        } else {
            task_tell_each(task, said, false);
        }
        json_decref(said);
        task_post_notifications(task, admitting->notifications);
        admitting->notifications = NULL;
        if (task->unsaid && !task->ending)
            task_record(task);
        if (loaded)
            tasks->admit(tasks->context, loaded);
    }
    notifications_free(admitting->notifications);
    free(admitting);
}

/* `row`: the message's, taken; `events`: what is told once it is recorded. */
static void admit(struct a2a_task *task, char *row, const char *row_id, int64_t at_ms, bool begins,
                  json_t *events)
{
    struct tasks *tasks = task->tasks;
    char when[CLOCK_TEXT_SIZE];
    clock_format(at_ms, when);
    struct admitting *admitting = memory_allocate(sizeof *admitting);
    admitting->tasks = tasks;
    snprintf(admitting->id, sizeof admitting->id, "%s", task->id);
    struct journal_task *record = task_to_record(task, task->record, events);
    admitting->notifications = task_copy_notifications(record);
    bool pushed = tasks->pushed;
    journal_task_admit(tasks->journal, record, begins,
                       &(struct journal_run){.row_id = row_id,
                                             .row = row,
                                             .row_length = strlen(row),
                                             .created_at = when,
                                             .source = pushed ? "canvas" : task->principal},
                       on_admitted, admitting);
    free(row);
}

static void wrong(struct a2a_problem *problem, enum a2a_error error, const char *task_id,
                  const char *text)
{
    *problem = (struct a2a_problem){.error = error};
    snprintf(problem->text, sizeof problem->text, "%s", text);
    snprintf(problem->task_id, sizeof problem->task_id, "%s", task_id ? task_id : "");
}

/* The message's row and its id. NULL: it could not be read again; `problem` says why. */
static char *make_row(const struct a2a_task *task, const struct served *served,
                      const char *message_id, char id[UUID_TEXT_SIZE], struct a2a_problem *problem)
{
    snprintf(id, UUID_TEXT_SIZE, "%s", task->id);
    if (served->answers) /* a client may use the same messageId in several tasks */
        served_answer_id(served->principal, task->id, message_id, id);
    char *row = served_row(served, id);
    const char *text = row ? served_problem(row) : NULL;
    if (row && !text)
        return row;
    wrong(problem, text ? A2A_INVALID_PARAMS : A2A_INTERNAL, served->answers ? task->id : NULL,
          text ? text : "the message cannot be kept");
    free(row);
    return NULL;
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
    struct a2a_task *task = tasks_find_id(tasks, id);
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
    task = tasks_add(tasks, id, principal, context, task_record_new(id, context, message, now));
    task->beginning = true;
    if (config)
        add_config(task, config);
    const json_t *said = json_array_get(json_object_get(task_now(task), "history"), 0);
    json_t *response = task_response(task_now(task));
    json_t *events = json_pack("[o]", response);
    const struct served served = {
        .principal = principal, .task_id = id, .message = said, .metadata = metadata, .at_ms = now};
    char row_id[UUID_TEXT_SIZE], *row = make_row(task, &served, message_id, row_id, problem);
    if (row)
        admit(task, row, row_id, now, true, events);
    else
        task_drop(task);
    json_decref(events);
    return row ? task : NULL;
}

struct a2a_task *tasks_begin_pushed(struct tasks *tasks, const char *message_id,
                                    const char *request, size_t length, struct a2a_problem *problem)
{
    char id[UUID_TEXT_SIZE];
    served_id(SERVED_PLATFORM, message_id, id);
    struct a2a_task *task = tasks_find_id(tasks, id);
    if (task)
        return task;
    if (tasks->stopping || tasks->open >= TASKS_OPEN_MAXIMUM) {
        wrong(problem, A2A_UNAVAILABLE, NULL, "the agent is stopping, or has too much to do");
        return NULL;
    }
    int64_t now = clock_wall_ms();
    json_t *message = json_pack("{s:s, s:s, s:[]}", "messageId", message_id, "role", "ROLE_USER",
                                "parts");
    task = tasks_add(tasks, id, SERVED_PLATFORM, id, task_record_new(id, id, message, now));
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

/* What its handler asked is answered: the task works again. `row`: taken. */
static void answer(struct a2a_task *task, const struct served *served, char *row,
                   const char *row_id)
{
    json_t *now = task_of_record(task->record);
    json_t *event = task_set_status(now, TASK_WORKING, NULL, NULL, served->at_ms);
    task_add_history(now, served->message);
    task->saying = json_pack("[o]", event);
    admit(task, row, row_id, served->at_ms, false, task->saying);
}

/* It answers the task's question, or is none of its choices. false: there is none, and `problem`
 * says so. `row`: taken. */
static bool take_answer(struct a2a_task *task, const struct served *served, char *row,
                        const char *row_id, const json_t *config, struct a2a_problem *problem)
{
    bool taken = true;
    char *text = text_of(served->message);
    struct question_answer given = questions_match_task(&task->tasks->dispatch->questions, task->id,
                                                        text);
    if (config && (given.hint || given.question))
        add_config(task, config);
    if (given.hint) {
        task_add_history(task_of_record(task->record), served->message);
        tell_hint(task, given.hint);
    } else if (given.question && !task->ending && !task->saying && !task->unsaid) {
        answer(task, served, row, row_id);
        row = NULL;
    } else {
        wrong(problem, A2A_UNAVAILABLE, task->id, "the task is not waiting for an answer");
        taken = false;
    }
    free(row);
    free(given.hint);
    free(text);
    return taken;
}

bool tasks_continue(struct a2a_task *task, const json_t *message, const json_t *metadata,
                    const json_t *config, struct a2a_problem *problem)
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
    size_t size = jsontext_size(message);
    if (task->said_bytes + size > TASK_DOCUMENT_MAXIMUM) {
        wrong(problem, A2A_INVALID_PARAMS, task->id,
              "the messages to this task are larger than 16 MiB together");
        return false;
    }
    json_t *said = json_copy((json_t *)(uintptr_t)message);
    json_object_set_new(said, "taskId", json_string(task->id));
    json_object_set_new(said, "contextId", json_string(task->context_id));
    const struct served served = {.principal = task->principal,
                                  .task_id = task->id,
                                  .answers = true,
                                  .message = said,
                                  .metadata = metadata,
                                  .at_ms = clock_wall_ms()};
    char row_id[UUID_TEXT_SIZE], *row = make_row(task, &served, message_id, row_id, problem);
    bool taken = row && take_answer(task, &served, row, row_id, config, problem);
    task->said_bytes += taken ? size : 0;
    json_decref(said);
    return taken;
}
