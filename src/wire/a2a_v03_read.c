/* What 0.3 says, in the form of 1.0. Accepted as well: `type` for `kind` (0.2), `fileWithBytes` and
 * `fileWithUri` for `bytes` and `uri` (as [1.0 §A.2.1] remembers 0.3), and below /v1 what servers
 * of 0.3 took there from its a2a.proto: ROLE_USER, and `content` for `parts`. */
#include "wire/a2a_private.h"

#include <string.h>

#define WRAPPED "data_part_compat" /* a2a_v03.c */

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static bool is(const char *text, const char *word)
{
    return text && strcmp(text, word) == 0;
}

/* What has been built, or why not; never both. */
static json_t *finish(json_t *value, struct a2a_problem *problem)
{
    if (!value && !problem->text[0])
        a2a_fail_memory(problem);
    return value;
}

/* A value that some translator of 1.0 had to wrap; else NULL. */
static json_t *unwrap(const json_t *part)
{
    const json_t *data = json_object_get(part, "data");
    const json_t *mark = json_object_get(json_object_get(part, "metadata"), WRAPPED);
    return json_is_true(mark) && json_object_size(data) == 1 ? json_object_get(data, "value")
                                                             : NULL;
}

static void read_data(json_t **part, const json_t *from)
{
    json_t *value = unwrap(from);
    if (!value) {
        a2a_copy(part, "data", from, "data");
        return;
    }
    json_t *metadata = json_copy(json_object_get(from, "metadata"));
    a2a_put(part, "data", json_incref(value));
    if (metadata)
        json_object_del(metadata, WRAPPED);
    if (*part && metadata && json_object_size(metadata) == 0) {
        json_decref(metadata);
        json_object_del(*part, "metadata");
    } else {
        a2a_put(part, "metadata", metadata);
    }
}

static void read_file(json_t **part, const json_t *from)
{
    const json_t *file = json_object_get(from, "file");
    a2a_copy(part, "raw", file, json_object_get(file, "bytes") ? "bytes" : "fileWithBytes");
    a2a_copy(part, "url", file, json_object_get(file, "uri") ? "uri" : "fileWithUri");
    a2a_copy(part, "filename", file, "name");
    a2a_copy(part, "mediaType", file, "mimeType");
}

json_t *a2a_v03_read_part(const json_t *from, struct a2a_problem *problem)
{
    const char *kind = text_of(from, "kind");
    if (!kind)
        kind = text_of(from, "type");
    if (!kind)
        kind = json_object_get(from, "text")   ? "text"
               : json_object_get(from, "file") ? "file"
               : json_object_get(from, "data") ? "data"
                                               : NULL;
    problem->text[0] = '\0';
    bool is_file = is(kind, "file"), is_data = is(kind, "data");
    if (!is(kind, "text") && !is_file && !is_data) {
        a2a_fail(problem, A2A_INVALID_PARAMS, "message.parts",
                 "message.parts: the kind of a part must be text, file or data");
        return NULL;
    }
    json_t *part = json_object();
    a2a_copy(&part, "metadata", from, "metadata");
    if (is_file)
        read_file(&part, from);
    else if (is_data)
        read_data(&part, from);
    else
        a2a_copy(&part, "text", from, "text");
    return finish(part, problem);
}

/* Puts the parts; an array alone, anything else as it is. false: `problem`. */
static bool read_parts(json_t **message, json_t *parts, struct a2a_problem *problem)
{
    size_t index;
    json_t *element, *list = json_is_array(parts) ? json_array() : json_incref(parts);
    if (json_is_array(parts)) {
        json_array_foreach (parts, index, element) {
            json_t *part = a2a_v03_read_part(element, problem);
            if (!part || json_array_append_new(list, part) != 0) {
                json_decref(list);
                finish(NULL, problem);
                return false;
            }
        }
    }
    a2a_put(message, "parts", list);
    return true;
}

/* false: `problem` */
static bool read_role(json_t **message, const json_t *from, struct a2a_problem *problem)
{
    const char *role = text_of(from, "role");
    bool user = is(role, "user") || is(role, "ROLE_USER");
    if (!json_object_get(from, "role"))
        return true;
    if (!user && !is(role, "agent") && !is(role, "ROLE_AGENT"))
        return a2a_fail(problem, A2A_INVALID_PARAMS, "message.role",
                        "message.role must be \"user\" or \"agent\"");
    a2a_put(message, "role", json_string(user ? "ROLE_USER" : "ROLE_AGENT"));
    return true;
}

json_t *a2a_v03_read_message(const json_t *from, struct a2a_problem *problem)
{
    static const char *const same[] = {"messageId", "contextId",  "taskId",
                                       "metadata",  "extensions", "referenceTaskIds"};
    json_t *message = json_object(), *parts = json_object_get(from, "parts");
    problem->text[0] = '\0';
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        a2a_copy(&message, same[i], from, same[i]);
    if (!parts)
        parts = json_object_get(from, "content");
    if (!read_role(&message, from, problem) || (parts && !read_parts(&message, parts, problem))) {
        json_decref(message);
        message = NULL;
    }
    return finish(message, problem);
}

/* 0.3's {url, id?, token?, authentication?: {schemes, credentials?}}, flat. */
static json_t *read_config(const json_t *from)
{
    static const char *const same[] = {"id", "url", "token"};
    json_t *config = json_object();
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        a2a_copy(&config, same[i], from, same[i]);
    const json_t *authentication = json_object_get(from, "authentication");
    json_t *scheme = json_array_get(json_object_get(authentication, "schemes"), 0);
    if (json_is_object(authentication) && scheme) {
        json_t *mine = json_object();
        a2a_put(&mine, "scheme", json_incref(scheme));
        a2a_copy(&mine, "credentials", authentication, "credentials");
        a2a_put(&config, "authentication", mine);
    }
    return config;
}

static json_t *read_configuration(json_t *from)
{
    json_t *configuration = json_object();
    json_t *push = json_object_get(from, "pushNotificationConfig");
    json_t *blocking = json_object_get(from, "blocking");
    const json_t *length = json_object_get(from, "historyLength");
    if (!json_is_object(from)) {
        json_decref(configuration);
        return json_incref(from);
    }
    a2a_copy(&configuration, "acceptedOutputModes", from, "acceptedOutputModes");
    /* 0 is "all" in 0.3's implementations and "none" in 1.0 */
    if (!json_is_integer(length) || json_integer_value(length) != 0)
        a2a_copy(&configuration, "historyLength", from, "historyLength");
    if (json_is_object(push))
        a2a_put(&configuration, "taskPushNotificationConfig", read_config(push));
    else
        a2a_copy(&configuration, "taskPushNotificationConfig", from, "pushNotificationConfig");
    /* absent: the server's choice in 0.3, which is to wait, as 1.0 does */
    if (json_is_boolean(blocking))
        a2a_put(&configuration, "returnImmediately", json_boolean(!json_is_true(blocking)));
    else
        a2a_copy(&configuration, "returnImmediately", from, "blocking");
    return configuration;
}

static json_t *read_send(const json_t *params, struct a2a_problem *problem)
{
    json_t *request = json_object();
    json_t *message = json_object_get(params, "message");
    json_t *configuration = json_object_get(params, "configuration");
    if (json_is_object(message)) {
        json_t *mine = a2a_v03_read_message(message, problem);
        if (!mine) {
            json_decref(request);
            return NULL;
        }
        /* relays of 0.3 pass on the role that they got; who sends a request is its user */
        if (json_object_get(mine, "role"))
            a2a_put(&mine, "role", json_string("ROLE_USER"));
        a2a_put(&request, "message", mine);
    } else {
        a2a_copy(&request, "message", params, "message");
    }
    if (configuration && !json_is_null(configuration))
        a2a_put(&request, "configuration", read_configuration(configuration));
    a2a_copy(&request, "metadata", params, "metadata");
    return request;
}

static json_t *read_get(const json_t *params)
{
    json_t *request = json_object();
    const json_t *length = json_object_get(params, "historyLength");
    a2a_copy(&request, "id", params, "id");
    if (!json_is_integer(length) || json_integer_value(length) != 0)
        a2a_copy(&request, "historyLength", params, "historyLength");
    return request;
}

static json_t *read_list(const json_t *params)
{
    json_t *request = json_copy((json_t *)params);
    const char *state = text_of(params, "status");
    const char *name = state ? a2a_v03_read_state(state) : NULL;
    if (name)
        a2a_put(&request, "status", json_string(name));
    return request;
}

/* {id, pushNotificationConfigId}: the task's id and the config's. Without the second one 0.3's
 * servers take the task's id for it, as they do when a config is set without an id. */
static json_t *read_config_name(const json_t *params)
{
    json_t *request = json_object();
    const char *config = "pushNotificationConfigId";
    a2a_copy(&request, "taskId", params, "id");
    a2a_copy(&request, "id", params, json_object_get(params, config) ? config : "id");
    return request;
}

static json_t *read_config_set(const json_t *params)
{
    json_t *inner = json_object_get(params, "pushNotificationConfig");
    json_t *request = read_config(json_is_object(inner) ? inner : params);
    a2a_copy(&request, "taskId", params, "taskId");
    if (request && !json_object_get(request, "id"))
        a2a_copy(&request, "id", params, "taskId");
    return request;
}

json_t *a2a_v03_params(enum a2a_operation operation, const json_t *params,
                       struct a2a_problem *problem)
{
    json_t *request = NULL;
    problem->text[0] = '\0';
    if (!json_is_object(params)) {
        a2a_fail(problem, A2A_INVALID_PARAMS, "", "the parameters must be an object");
        return NULL;
    }
    switch (operation) {
    case A2A_SEND:
    case A2A_STREAM: request = read_send(params, problem); break;
    case A2A_GET: request = read_get(params); break;
    case A2A_LIST: request = read_list(params); break;
    case A2A_CONFIG_CREATE: request = read_config_set(params); break;
    case A2A_CONFIG_GET:
    case A2A_CONFIG_DELETE: request = read_config_name(params); break;
    case A2A_CONFIG_LIST:
        request = json_object();
        a2a_copy(&request, "taskId", params, "id");
        break;
    case A2A_CANCEL:
    case A2A_SUBSCRIBE:
    case A2A_EXTENDED_CARD: request = json_copy((json_t *)params); break;
    }
    return finish(request, problem);
}
