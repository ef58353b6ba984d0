#include "doors/task.h"

#include "base/clock.h"

#include <string.h>

#define TEXT_JOINED_MAXIMUM 4096 /* bytes */

static const struct state {
    enum task_state state;
    const char *text;
    bool ended, asks;
} states[] = {
#define X(name, number, text, ended, asks) {name, text, ended, asks},
    TASK_STATES(X)
#undef X
};
#define STATES (sizeof states / sizeof *states)

static const struct state *find_state(enum task_state state)
{
    for (size_t i = 0; i < STATES; i++)
        if (states[i].state == state)
            return &states[i];
    return NULL;
}

const char *task_state_text(enum task_state state)
{
    const struct state *found = find_state(state);
    return found ? found->text : "TASK_STATE_UNSPECIFIED";
}

enum task_state task_state_of(const char *text)
{
    for (size_t i = 0; text && i < STATES; i++)
        if (strcmp(states[i].text, text) == 0)
            return states[i].state;
    return 0;
}

bool task_state_ended(enum task_state state)
{
    const struct state *found = find_state(state);
    return found && found->ended;
}

bool task_state_asks(enum task_state state)
{
    const struct state *found = find_state(state);
    return found && found->asks;
}

/* --- the record --- */

static json_t *status_of(enum task_state state, json_t *message, int64_t now_ms)
{
    char when[CLOCK_TEXT_SIZE];
    clock_format(now_ms, when);
    return json_pack("{s:s, s:s, s:o*}", "state", task_state_text(state), "timestamp", when,
                     "message", message);
}

json_t *task_record_new(const char *id, const char *context_id, const json_t *message,
                        int64_t now_ms)
{
    json_t *said = json_copy((json_t *)(uintptr_t)message);
    json_object_set_new(said, "taskId", json_string(id));
    json_object_set_new(said, "contextId", json_string(context_id));
    return json_pack("{s:{s:s, s:s, s:o, s:[o]}, s:[], s:{}}", "task", "id", id, "contextId",
                     context_id, "status", status_of(TASK_SUBMITTED, NULL, now_ms), "history", said,
                     "configs", "said");
}

json_t *task_record_copy(const json_t *record)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)record);
    json_t *task = json_copy(task_of_record(record));
    static const char *const lists[] = {"history", "artifacts"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (json_object_get(task, lists[i]))
            json_object_set_new(task, lists[i], json_copy(json_object_get(task, lists[i])));
    json_object_set_new(copy, "task", task);
    json_object_set_new(copy, "said", json_copy(json_object_get(record, "said")));
    return copy;
}

json_t *task_of_record(const json_t *record)
{
    return json_object_get(record, "task");
}

enum task_state task_state(const json_t *task)
{
    return task_state_of(
        json_string_value(json_object_get(json_object_get(task, "status"), "state")));
}

int64_t task_updated_ms(const json_t *task)
{
    int64_t us;
    const char *when = json_string_value(
        json_object_get(json_object_get(task, "status"), "timestamp"));
    return when && clock_parse(when, &us) ? us / 1000 : 0;
}

bool task_has_message(const json_t *task, const char *message_id)
{
    size_t i;
    json_t *message;
    json_array_foreach (json_object_get(task, "history"), i, message) {
        const char *id = json_string_value(json_object_get(message, "messageId"));
        if (id && strcmp(id, message_id) == 0)
            return true;
    }
    return false;
}

/* --- changes --- */

static bool is_agents(const json_t *message)
{
    const char *role = json_string_value(json_object_get(message, "role"));
    return role && strcmp(role, "ROLE_AGENT") == 0;
}

/* The oldest of what the agent said; a client's messages stay. */
static void shorten(json_t *history)
{
    size_t i, agents = 0, oldest = 0;
    json_t *message;
    json_array_foreach (history, i, message) {
        if (!is_agents(message))
            continue;
        if (agents++ == 0)
            oldest = i;
    }
    if (agents > TASK_HISTORY_MAXIMUM)
        json_array_remove(history, oldest);
}

void task_add_history(json_t *task, const json_t *message)
{
    json_t *history = json_object_get(task, "history");
    if (!history) {
        history = json_array();
        json_object_set_new(task, "history", history);
    }
    json_array_append(history, (json_t *)(uintptr_t)message);
    shorten(history);
}

static json_t *event_of(const json_t *task, const char *kind, const char *member, json_t *value)
{
    return json_pack("{s:{s:O, s:O, s:o}}", kind, "taskId", json_object_get(task, "id"),
                     "contextId", json_object_get(task, "contextId"), member, value);
}

json_t *task_set_status(json_t *task, enum task_state state, const json_t *parts,
                        const char *message_id, int64_t now_ms)
{
    json_t *before = json_object_get(json_object_get(task, "status"), "message");
    json_t *message = NULL;
    if (before)
        task_add_history(task, before);
    if (parts)
        message = json_pack("{s:s, s:s, s:O, s:O, s:O}", "messageId", message_id, "role",
                            "ROLE_AGENT", "parts", parts, "taskId", json_object_get(task, "id"),
                            "contextId", json_object_get(task, "contextId"));
    json_t *status = status_of(state, message, now_ms);
    json_object_set(task, "status", status);
    return event_of(task, "statusUpdate", "status", status);
}

json_t *task_places(const json_t *task)
{
    size_t i;
    json_t *artifact, *places = json_object();
    json_array_foreach (json_object_get(task, "artifacts"), i, artifact) {
        const char *id = json_string_value(json_object_get(artifact, "artifactId"));
        if (id)
            json_object_set_new(places, id, json_integer((json_int_t)i));
    }
    return places;
}

const json_t *task_artifact(const json_t *task, const json_t *places, const char *artifact_id)
{
    const json_t *place = json_object_get(places, artifact_id);
    return place ? json_array_get(json_object_get(task, "artifacts"),
                                  (size_t)json_integer_value(place))
                 : NULL;
}

/* A part that is nothing but a text. */
static const json_t *plain_text(const json_t *part)
{
    const json_t *text = json_object_get(part, "text");
    return text && json_object_size(part) == 1 ? text : NULL;
}

/* Texts that follow each other become one, up to a size: a stream of words is no list of words. */
static void append_part(json_t *parts, json_t *part)
{
    size_t count = json_array_size(parts);
    const json_t *last = count > 0 ? plain_text(json_array_get(parts, count - 1)) : NULL;
    const json_t *next = plain_text(part);
    if (!last || !next || json_string_length(last) > TEXT_JOINED_MAXIMUM) {
        json_array_append(parts, part);
        return;
    }
    json_t *joined = json_sprintf("%s%s", json_string_value(last), json_string_value(next));
    json_array_set_new(parts, count - 1, json_pack("{s:o}", "text", joined));
}

/* The artifact that others may hold is left as it is. */
static void append_to(json_t *artifacts, size_t place, const json_t *piece)
{
    json_t *artifact = json_copy(json_array_get(artifacts, place));
    json_t *parts = json_copy(json_object_get(artifact, "parts")), *part;
    size_t i;
    json_array_foreach (json_object_get(piece, "parts"), i, part)
        append_part(parts, part);
    json_object_set_new(artifact, "parts", parts);
    json_array_set_new(artifacts, place, artifact);
}

json_t *task_put_artifact(json_t *task, json_t *places, const char *artifact_id,
                          const json_t *artifact, bool append, bool last)
{
    json_t *artifacts = json_object_get(task, "artifacts");
    if (!artifacts) {
        artifacts = json_array();
        json_object_set_new(task, "artifacts", artifacts);
    }
    json_t *piece = json_copy((json_t *)(uintptr_t)artifact);
    json_object_set_new(piece, "artifactId", json_string(artifact_id));
    const json_t *known = task_artifact(task, places, artifact_id);
    size_t place = (size_t)json_integer_value(json_object_get(places, artifact_id));
    append = append && known;
    if (!known)
        json_object_set_new(places, artifact_id,
                            json_integer((json_int_t)json_array_size(artifacts)));
    if (append)
        append_to(artifacts, place, piece);
    else if (known)
        json_array_set(artifacts, place, piece);
    else
        json_array_append(artifacts, piece);
    json_t *event = event_of(task, "artifactUpdate", "artifact", piece);
    json_t *update = json_object_get(event, "artifactUpdate");
    json_object_set_new(update, "append", json_boolean(append));
    json_object_set_new(update, "lastChunk", json_boolean(last));
    return event;
}

void task_put_piece(json_t *record, json_t *places, const json_t *piece)
{
    size_t i;
    json_t *event, *said = json_object_get(piece, "said");
    json_array_foreach (json_object_get(piece, "events"), i, event) {
        const json_t *update = json_object_get(event, "artifactUpdate"),
                     *artifact = json_object_get(update, "artifact");
        const char *id = json_string_value(json_object_get(artifact, "artifactId"));
        if (id)
            json_decref(task_put_artifact(task_of_record(record), places, id, artifact,
                                          json_is_true(json_object_get(update, "append")),
                                          json_is_true(json_object_get(update, "lastChunk"))));
    }
    if (said)
        json_object_set(record, "said", said);
}

/* --- views --- */

json_t *task_response(const json_t *task)
{
    return json_pack("{s:O}", "task", task);
}

json_t *task_view(const json_t *task, json_int_t history, bool artifacts)
{
    size_t count = json_array_size(json_object_get(task, "history"));
    bool all = history < 0 || (history > 0 && (size_t)history >= count);
    if (all && (artifacts || !json_object_get(task, "artifacts")))
        return json_incref((json_t *)(uintptr_t)task);
    json_t *view = json_copy((json_t *)(uintptr_t)task);
    if (!artifacts)
        json_object_del(view, "artifacts");
    if (!all && history == 0)
        json_object_del(view, "history");
    if (!all && history > 0) {
        json_t *newest = json_array();
        for (size_t i = count - (size_t)history; i < count; i++)
            json_array_append(newest, json_array_get(json_object_get(task, "history"), i));
        json_object_set_new(view, "history", newest);
    }
    return view;
}
