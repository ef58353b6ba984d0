/* A2A 0.3 in the form of 1.0 and back [0.3 §6, §7; types/src/types.ts of 0.3.0]. What is the same
 * in both is shared, not copied. What has a wrong type is passed on as it is: the check of 1.0
 * refuses it. */
#include "wire/a2a_private.h"

#include <string.h>

static const struct {
    const char *old, *new;
} states[] = {
    {"submitted", "TASK_STATE_SUBMITTED"}, {"working", "TASK_STATE_WORKING"},
    {"completed", "TASK_STATE_COMPLETED"}, {"failed", "TASK_STATE_FAILED"},
    {"canceled", "TASK_STATE_CANCELED"},   {"input-required", "TASK_STATE_INPUT_REQUIRED"},
    {"rejected", "TASK_STATE_REJECTED"},   {"auth-required", "TASK_STATE_AUTH_REQUIRED"},
    {"unknown", "TASK_STATE_UNSPECIFIED"}};

void a2a_put(json_t **object, const char *name, json_t *value)
{
    if (*object && value && json_object_set(*object, name, value) == 0) {
        json_decref(value);
        return;
    }
    json_decref(value);
    json_decref(*object);
    *object = NULL;
}

void a2a_copy(json_t **object, const char *name, const json_t *from, const char *its_name)
{
    json_t *value = json_object_get(from, its_name);
    if (value && !json_is_null(value))
        a2a_put(object, name, json_incref(value));
}

static void copy_all(json_t **object, const json_t *from, const char *const names[])
{
    for (; *names; names++)
        a2a_copy(object, *names, from, *names);
}

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static bool is(const char *text, const char *word)
{
    return text && strcmp(text, word) == 0;
}

const char *a2a_v03_read_state(const char *state)
{
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (strcmp(states[i].old, state) == 0)
            return states[i].new;
    return NULL;
}

static const char *write_state(const char *state)
{
    for (size_t i = 0; state && i < sizeof states / sizeof *states; i++)
        if (strcmp(states[i].new, state) == 0)
            return states[i].old;
    return "unknown";
}

/* An array of what `convert` makes of the elements. NULL: it failed, or there is no memory. */
static json_t *map(const json_t *array, json_t *(*convert)(const json_t *))
{
    json_t *list = json_array();
    size_t index;
    json_t *element;
    json_array_foreach (array, index, element) {
        if (list && json_array_append_new(list, convert(element)) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static void put_mapped(json_t **object, const char *name, const json_t *from,
                       json_t *(*convert)(const json_t *))
{
    const json_t *array = json_object_get(from, name);
    if (json_is_array(array))
        a2a_put(object, name, map(array, convert));
}

/* --- what we say --- */

/* The mark by which the SDKs' own translators know a value that they have wrapped. */
#define WRAPPED "data_part_compat"

/* In 0.3 data is an object [0.3 §6.5.3]. */
static void write_data(json_t **part, const json_t *data, const json_t *metadata)
{
    a2a_put(part, "kind", json_string("data"));
    if (json_is_object(data)) {
        a2a_put(part, "data", json_incref((json_t *)data));
    } else {
        json_t *wrapped = json_object(),
               *marked = metadata ? json_copy((json_t *)metadata) : json_object();
        a2a_put(&wrapped, "value", json_incref((json_t *)data));
        a2a_put(part, "data", wrapped);
        a2a_put(&marked, WRAPPED, json_true());
        a2a_put(part, "metadata", marked);
    }
}

static void write_file(json_t **part, const json_t *from)
{
    json_t *file = json_object();
    a2a_copy(&file, "bytes", from, "raw");
    a2a_copy(&file, "uri", from, "url");
    a2a_copy(&file, "name", from, "filename");
    a2a_copy(&file, "mimeType", from, "mediaType");
    a2a_put(part, "kind", json_string("file"));
    a2a_put(part, "file", file);
}

json_t *a2a_v03_part(const json_t *from)
{
    json_t *part = json_object();
    const json_t *data = json_object_get(from, "data"), *text = json_object_get(from, "text");
    const json_t *metadata = json_object_get(from, "metadata");
    if (json_is_object(metadata))
        a2a_copy(&part, "metadata", from, "metadata");
    if (text) {
        a2a_put(&part, "kind", json_string("text"));
        a2a_copy(&part, "text", from, "text");
    } else if (data) {
        write_data(&part, data, json_is_object(metadata) ? metadata : NULL);
    } else {
        write_file(&part, from);
    }
    return part;
}

json_t *a2a_v03_message(const json_t *from)
{
    static const char *const same[] = {"messageId",  "contextId",        "taskId", "metadata",
                                       "extensions", "referenceTaskIds", NULL};
    json_t *message = json_object();
    a2a_put(&message, "kind", json_string("message"));
    a2a_put(&message, "role",
            json_string(is(text_of(from, "role"), "ROLE_USER") ? "user" : "agent"));
    copy_all(&message, from, same);
    put_mapped(&message, "parts", from, a2a_v03_part);
    return message;
}

static json_t *write_artifact(const json_t *from)
{
    static const char *const same[] = {"artifactId", "name",       "description",
                                       "metadata",   "extensions", NULL};
    json_t *artifact = json_object();
    copy_all(&artifact, from, same);
    put_mapped(&artifact, "parts", from, a2a_v03_part);
    return artifact;
}

static json_t *write_status(const json_t *from)
{
    json_t *status = json_object();
    const json_t *message = json_object_get(from, "message");
    a2a_put(&status, "state", json_string(write_state(text_of(from, "state"))));
    if (json_is_object(message))
        a2a_put(&status, "message", a2a_v03_message(message));
    a2a_copy(&status, "timestamp", from, "timestamp");
    return status;
}

json_t *a2a_v03_task(const json_t *from)
{
    static const char *const same[] = {"id", "contextId", "metadata", NULL};
    json_t *task = json_object();
    a2a_put(&task, "kind", json_string("task"));
    copy_all(&task, from, same);
    a2a_put(&task, "status", write_status(json_object_get(from, "status")));
    put_mapped(&task, "artifacts", from, write_artifact);
    put_mapped(&task, "history", from, a2a_v03_message);
    return task;
}

static json_t *write_status_update(const json_t *from, bool last)
{
    static const char *const same[] = {"taskId", "contextId", "metadata", NULL};
    json_t *event = json_object();
    a2a_put(&event, "kind", json_string("status-update"));
    copy_all(&event, from, same);
    a2a_put(&event, "status", write_status(json_object_get(from, "status")));
    a2a_put(&event, "final", json_boolean(last));
    return event;
}

static json_t *write_artifact_update(const json_t *from)
{
    static const char *const same[] = {"taskId",    "contextId", "append",
                                       "lastChunk", "metadata",  NULL};
    json_t *event = json_object();
    a2a_put(&event, "kind", json_string("artifact-update"));
    copy_all(&event, from, same);
    a2a_put(&event, "artifact", write_artifact(json_object_get(from, "artifact")));
    return event;
}

json_t *a2a_v03_event(const json_t *response, bool last)
{
    const json_t *value;
    if ((value = json_object_get(response, "statusUpdate")))
        return write_status_update(value, last);
    if ((value = json_object_get(response, "artifactUpdate")))
        return write_artifact_update(value);
    if ((value = json_object_get(response, "task")))
        return a2a_v03_task(value);
    return a2a_v03_message(json_object_get(response, "message"));
}

static json_t *write_config(const json_t *from)
{
    static const char *const same[] = {"id", "url", "token", NULL};
    const json_t *authentication = json_object_get(from, "authentication");
    json_t *config = json_object(), *inner = json_object();
    copy_all(&inner, from, same);
    if (json_is_object(authentication)) {
        json_t *auth = json_object(), *schemes = json_array();
        json_t *scheme = json_object_get(authentication, "scheme");
        if (scheme)
            json_array_append(schemes, scheme);
        a2a_put(&auth, "schemes", schemes);
        a2a_copy(&auth, "credentials", authentication, "credentials");
        a2a_put(&inner, "authentication", auth);
    }
    a2a_copy(&config, "taskId", from, "taskId");
    a2a_put(&config, "pushNotificationConfig", inner);
    return config;
}

static json_t *write_list(const json_t *from)
{
    static const char *const same[] = {"nextPageToken", "pageSize", "totalSize", NULL};
    json_t *list = json_object();
    put_mapped(&list, "tasks", from, a2a_v03_task);
    copy_all(&list, from, same);
    return list;
}

json_t *a2a_v03_result(enum a2a_operation operation, const json_t *result)
{
    switch (operation) {
    case A2A_SEND:
    case A2A_STREAM:
    case A2A_SUBSCRIBE: return a2a_v03_event(result, false);
    case A2A_GET:
    case A2A_CANCEL: return a2a_v03_task(result);
    case A2A_LIST: return write_list(result);
    case A2A_CONFIG_CREATE:
    case A2A_CONFIG_GET: return write_config(result);
    case A2A_CONFIG_LIST: return map(json_object_get(result, "configs"), write_config);
    case A2A_CONFIG_DELETE: return json_null();
    case A2A_EXTENDED_CARD: return json_incref((json_t *)result);
    }
    return NULL;
}
