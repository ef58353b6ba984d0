/* What handlers say and how they end, as changes of their tasks. */
#include "doors/tasks_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "messages/dispatch.h"
#include "wire/artifacts.h"
#include "wire/jsontext.h"
#include "wire/served.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROGRESS_MAXIMUM ((size_t)64 << 10) /* bytes of JSON: the task keeps a hundred */
#define LOGGED_MAXIMUM ((size_t)2000)       /* bytes of a reply */
#define FAILED_WORDS "the agent could not handle this message"

/* The same each time the handler runs. */
static void name_id(const struct a2a_task *task, const char *what, const char *more,
                    char id[UUID_TEXT_SIZE])
{
    char *name = memory_join(task->id, "/", what, "/", more);
    uuid_of_name(name, id);
    free(name);
}

/* --- it begins --- */

static void on_begun(void *context, const struct message *message)
{
    struct tasks *tasks = context;
    struct a2a_task *task = tasks_of_message(tasks, message);
    if (!task || task->ending || task_state(task_now(task)) == TASK_WORKING ||
        questions_wait(&tasks->dispatch->questions, task->id))
        return;
    task_mention(task, task_set_status(task_of_record(task->record), TASK_WORKING, NULL, NULL,
                                       clock_wall_ms()));
}

/* --- it says something --- */

/* A handler that runs again says the same at the same places. */
static bool was_said(const struct a2a_task *task, const struct door_saying *saying)
{
    const json_t *last = json_object_get(json_object_get(task->record, "said"), saying->branch);
    return last && json_integer_value(last) >= (json_int_t)saying->number;
}

static void mark_said(struct a2a_task *task, const struct door_saying *saying)
{
    json_object_set_new(json_object_get(task->record, "said"), saying->branch,
                        json_integer(saying->number));
}

static void say_progress(struct a2a_task *task, const struct door_saying *saying)
{
    char problem[400], id[UUID_TEXT_SIZE], place[32];
    json_t *parts = artifacts_reply_parts(saying->reply, problem, sizeof problem);
    if (!parts) {
        saying->then(saying->context, *problem ? problem : "the text is empty",
                     *problem ? "BAD_PARTS" : "EMPTY");
        return;
    }
    if (jsontext_size(parts) > PROGRESS_MAXIMUM) {
        json_decref(parts);
        saying->then(saying->context, "a progress message has at most 64 KiB", "TOO_LARGE");
        return;
    }
    snprintf(place, sizeof place, "#%u", saying->number);
    char *where = memory_join(saying->branch, place);
    name_id(task, "progress", where, id);
    mark_said(task, saying);
    task_happens(
        task,
        task_set_status(task_of_record(task->record), TASK_WORKING, parts, id, clock_wall_ms()),
        saying->then, saying->context);
    free(where);
    json_decref(parts);
}

static bool is_too_large(const struct a2a_task *task, const json_t *artifact)
{
    size_t size = jsontext_size(artifact);
    return task->bytes > TASK_DOCUMENT_MAXIMUM || size > TASK_DOCUMENT_MAXIMUM - task->bytes;
}

/* By its name: later pieces with `append` follow the first one of that name. */
static void say_artifact(struct a2a_task *task, const struct door_saying *saying)
{
    char problem[400], id[UUID_TEXT_SIZE];
    const json_t *spec = saying->artifact;
    json_t *artifact = artifacts_take_one(spec, problem, sizeof problem);
    if (!artifact) {
        saying->then(saying->context, problem, "BAD_PARTS");
        return;
    }
    if (is_too_large(task, artifact)) {
        json_decref(artifact);
        saying->then(saying->context, "the task's artifacts would be larger than 16 MiB",
                     "TOO_LARGE");
        return;
    }
    const char *name = json_string_value(json_object_get(artifact, "name"));
    name_id(task, "artifact", name ? name : "", id);
    bool append = json_is_true(json_object_get(spec, "append"));
    json_t *now = task_of_record(task->record);
    mark_said(task, saying);
    /* one that replaces another may make the task smaller */
    const json_t *before = append ? NULL : task_artifact(now, task->places, id);
    size_t freed = before ? jsontext_size(before) : 0;
    json_t *event = task_put_artifact(now, task->places, id, artifact, append,
                                      json_is_true(json_object_get(spec, "last")));
    task->bytes += jsontext_size(artifact);
    task->bytes -= freed < task->bytes ? freed : task->bytes;
    task_happens(task, event, saying->then, saying->context);
    json_decref(artifact);
}

/* It was told before the process ended; it may have its answer by now. */
static bool was_asked(const struct a2a_task *task, const char *id)
{
    const json_t *said = json_object_get(json_object_get(task_now(task), "status"), "message");
    const char *last = json_string_value(json_object_get(said, "messageId"));
    return (last && strcmp(last, id) == 0) || task_has_message(task_now(task), id);
}

static void say_question(struct a2a_task *task, const struct door_saying *saying)
{
    char problem[400], id[UUID_TEXT_SIZE];
    name_id(task, "question", saying->key, id);
    if (was_asked(task, id)) {
        saying->then(saying->context, NULL, NULL);
        return;
    }
    json_t *parts = artifacts_reply_parts(saying->reply, problem, sizeof problem);
    task_happens(task,
                 task_set_status(task_of_record(task->record),
                                 saying->authorization ? TASK_AUTH_REQUIRED : TASK_INPUT_REQUIRED,
                                 parts, id, clock_wall_ms()),
                 saying->then, saying->context);
    json_decref(parts);
}

static void on_say(void *context, const struct message *message, const struct door_saying *saying)
{
    struct a2a_task *task = tasks_of_message(context, message);
    if (!task || task->ending)
        saying->then(saying->context, "the task has ended", "NO_TASK");
    else if (saying->kind == DOOR_QUESTION)
        say_question(task, saying);
    else if (was_said(task, saying))
        saying->then(saying->context, NULL, NULL);
    else if (saying->kind == DOOR_PROGRESS)
        say_progress(task, saying);
    else
        say_artifact(task, saying);
}

/* --- it ends --- */

static enum task_state state_of(const char *outcome)
{
    return strcmp(outcome, "dead") == 0       ? TASK_FAILED
           : strcmp(outcome, "canceled") == 0 ? TASK_CANCELED
           : strcmp(outcome, "rejected") == 0 ? TASK_REJECTED
                                              : TASK_COMPLETED;
}

/* What happened inside is the operator's to know. */
static const char *words_of(const struct tasks *tasks, const struct door_end *end,
                            enum task_state state)
{
    if (state == TASK_REJECTED || (state == TASK_FAILED && end->said))
        return end->reason;
    if (state == TASK_FAILED)
        return tasks->error_reply ? tasks->error_reply : FAILED_WORDS;
    return NULL;
}

static void add_artifact(struct a2a_task *task, json_t *now, json_t *events, const char *what,
                         const json_t *artifact)
{
    char id[UUID_TEXT_SIZE];
    name_id(task, "artifact", what, id);
    json_array_append_new(events, task_put_artifact(now, task->places, id, artifact, false, true));
}

/* false: it cannot be sent, and `problem` says why. */
static bool add_reply(struct a2a_task *task, json_t *record, json_t *events,
                      const struct reply *reply, char *problem, size_t problem_size)
{
    size_t i;
    json_t *artifact, *now = task_of_record(record);
    *problem = '\0';
    json_t *parts = artifacts_reply_parts(reply, problem, problem_size);
    if (!parts && *problem)
        return false;
    json_array_foreach (reply->artifacts, i, artifact) {
        char place[32]; /* two may have the same name */
        snprintf(place, sizeof place, "reply/%zu", i + 1);
        add_artifact(task, now, events, place, artifact);
    }
    if (parts && !reply->as_message) {
        artifact = json_pack("{s:O}", "parts", parts);
        add_artifact(task, now, events, "reply", artifact);
        json_decref(artifact);
    }
    if (parts && reply->as_message) {
        char id[UUID_TEXT_SIZE];
        name_id(task, "message", "reply", id);
        json_object_set_new(record, "message",
                            json_pack("{s:s, s:s, s:s, s:O}", "messageId", id, "contextId",
                                      task->context_id, "role", "ROLE_AGENT", "parts", parts));
    }
    json_decref(parts);
    return true;
}

static json_t *end_record(struct a2a_task *task, const struct door_end *end, json_t *events)
{
    char problem[400], id[UUID_TEXT_SIZE];
    enum task_state state = state_of(end->outcome);
    const char *words = words_of(task->tasks, end, state);
    json_t *record = task_record_copy(task->record);
    if (end->reply && !add_reply(task, record, events, end->reply, problem, sizeof problem)) {
        log_error(LOG_TASK_FAILED, task->tasks->agent_id,
                  "message %s: its reply cannot be sent: %s; task failed", task->id, problem);
        state = TASK_FAILED;
        words = FAILED_WORDS;
    }
    json_t *parts = words ? json_pack("[{s:s}]", "text", words) : NULL;
    const json_t *message = json_object_get(record, "message");
    if (!parts && message)
        parts = json_incref(json_object_get(message, "parts"));
    name_id(task, "end", end->outcome, id);
    json_array_append_new(
        events, task_set_status(task_of_record(record), state, parts, id, clock_wall_ms()));
    json_decref(parts);
    json_object_set_new(record, "said", json_object()); /* nothing will run again */
    return record;
}

static bool on_late(void *context, const struct message *message)
{
    const struct a2a_task *task = tasks_of_message(context, message);
    /* one that is no more was told of before: by the dead letter's end */
    return served_pushed(message) && (!task || json_is_true(json_object_get(task->record, "late")));
}

/* A dead letter that was run again: its client was told of the end before, and an ended task
 * restarts for nobody [1.0 §3.1.1]. */
static void tell_operator(const struct tasks *tasks, const struct message *message,
                          const struct door_end *end)
{
    const struct reply *reply = end->reply;
    size_t length = reply ? reply->text_length : 0;
    bool whole = length <= LOGGED_MAXIMUM && reply && !reply->parts && !reply->plain_parts &&
                 !reply->artifacts;
    const struct log_subject subject = {.workspace = tasks->agent_id,
                                        .row = message->row_id,
                                        .peer = message->source_id,
                                        .outcome = end->outcome};
    log_info(LOG_TASK_OVER, subject,
             "message %s from %s ended as %s; its task had ended before and stays as it is, so "
             "nobody is told%s%.*s%s",
             message->row_id, message->source_id ? message->source_id : "a client", end->outcome,
             reply ? "; the reply: " : "", (int)(length < LOGGED_MAXIMUM ? length : LOGGED_MAXIMUM),
             length > 0 ? reply->text : "", !reply || whole ? "" : " (and more)");
}

static struct journal_task *on_ends(void *context, const struct message *message,
                                    const struct door_end *end)
{
    struct a2a_task *task = tasks_of_message(context, message);
    if (!task && !served_answers(message) && !served_pushed(message))
        tell_operator(context, message, end);
    if (!task || task->ending || task->beginning || served_answers(message))
        return NULL;
    json_t *events = task->unsaid ? task->unsaid : json_array();
    task->unsaid = NULL;
    task->ending = end_record(task, end, events);
    task->last_said = events;
    struct journal_task *row = task_to_record(task, task->ending, events);
    task->last_notifications = task_copy_notifications(row);
    return row;
}

static void on_ended(void *context, const struct message *message)
{
    struct a2a_task *task = tasks_of_message(context, message);
    if (task && task->ending && !served_answers(message))
        task_end(task);
}

void tasks_door_open(struct tasks *tasks)
{
    tasks->door = (struct door){.begun = on_begun,
                                .say = on_say,
                                .late = on_late,
                                .ends = on_ends,
                                .ended = on_ended,
                                .context = tasks};
}
