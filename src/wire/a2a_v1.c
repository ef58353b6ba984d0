/* The parameters of A2A 1.0, by tables: specification/a2a.proto as JSON. Unknown members are
 * ignored [1.0 §5.7]. */
#include "wire/a2a_private.h"

#include "base/clock.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_MAXIMUM 256 /* bytes */
#define PAGE_MAXIMUM 100

enum kind {
    ID,      /* a text of 1 to ID_MAXIMUM bytes */
    TEXT,    /* a text without U+0000 */
    WORDS,   /* any text */
    BYTES,   /* base64 */
    SWITCH,  /* true or false */
    COUNT,   /* an int32 from 0 */
    PAGE,    /* 1 to PAGE_MAXIMUM */
    STRUCT,  /* an object with any members */
    ANY,     /* any JSON value */
    TIME,    /* RFC 3339 */
    STATE,   /* a TaskState by its name */
    CLIENT,  /* the role of a message that a client sends */
    IDS,     /* an array of ID */
    TEXTS,   /* an array of TEXT */
    MESSAGE, /* an object of field.shape */
    PARTS    /* an array of them, not empty; each has one of four contents */
};

struct field {
    const char *name, *snake; /* .snake: its name in the .proto, if that differs */
    enum kind kind;
    bool required;
    const struct field *shape; /* ends with a field without a name */
};

#define MAY(name, snake, kind)         \
    {                                  \
        name, snake, kind, false, NULL \
    }
#define MUST(name, snake, kind)       \
    {                                 \
        name, snake, kind, true, NULL \
    }

static const struct field part_shape[] = {MAY("text", NULL, WORDS),
                                          MAY("raw", NULL, BYTES),
                                          MAY("url", NULL, TEXT),
                                          MAY("data", NULL, ANY),
                                          MAY("metadata", NULL, STRUCT),
                                          MAY("filename", NULL, TEXT),
                                          MAY("mediaType", "media_type", TEXT),
                                          {0}};
static const struct field message_shape[] = {MUST("messageId", "message_id", ID),
                                             MAY("contextId", "context_id", ID),
                                             MAY("taskId", "task_id", ID),
                                             MUST("role", NULL, CLIENT),
                                             {"parts", NULL, PARTS, true, part_shape},
                                             MAY("metadata", NULL, STRUCT),
                                             MAY("extensions", NULL, TEXTS),
                                             MAY("referenceTaskIds", "reference_task_ids", IDS),
                                             {0}};
static const struct field authentication_shape[] = {
    MUST("scheme", NULL, TEXT), MAY("credentials", NULL, TEXT), {0}};
/* within a message's configuration: the task may not exist yet */
static const struct field sent_config_shape[] = {
    MAY("tenant", NULL, TEXT),
    MAY("id", NULL, ID),
    MAY("taskId", "task_id", ID),
    MUST("url", NULL, TEXT),
    MAY("token", NULL, TEXT),
    {"authentication", NULL, MESSAGE, false, authentication_shape},
    {0}};
static const struct field config_shape[] = {
    MAY("tenant", NULL, TEXT),
    MAY("id", NULL, ID),
    MUST("taskId", "task_id", ID),
    MUST("url", NULL, TEXT),
    MAY("token", NULL, TEXT),
    {"authentication", NULL, MESSAGE, false, authentication_shape},
    {0}};
static const struct field configuration_shape[] = {
    MAY("acceptedOutputModes", "accepted_output_modes", TEXTS),
    {"taskPushNotificationConfig", "task_push_notification_config", MESSAGE, false,
     sent_config_shape},
    MAY("historyLength", "history_length", COUNT),
    MAY("returnImmediately", "return_immediately", SWITCH),
    {0}};
static const struct field send_shape[] = {
    MAY("tenant", NULL, TEXT),
    {"message", NULL, MESSAGE, true, message_shape},
    {"configuration", NULL, MESSAGE, false, configuration_shape},
    MAY("metadata", NULL, STRUCT),
    {0}};
static const struct field get_shape[] = {MAY("tenant", NULL, TEXT),
                                         MUST("id", NULL, ID),
                                         MAY("historyLength", "history_length", COUNT),
                                         {0}};
static const struct field list_shape[] = {
    MAY("tenant", NULL, TEXT),
    MAY("contextId", "context_id", ID),
    MAY("status", NULL, STATE),
    MAY("pageSize", "page_size", PAGE),
    MAY("pageToken", "page_token", TEXT),
    MAY("historyLength", "history_length", COUNT),
    MAY("statusTimestampAfter", "status_timestamp_after", TIME),
    MAY("includeArtifacts", "include_artifacts", SWITCH),
    {0}};
static const struct field task_shape[] = {
    MAY("tenant", NULL, TEXT), MUST("id", NULL, ID), MAY("metadata", NULL, STRUCT), {0}};
static const struct field config_name_shape[] = {
    MAY("tenant", NULL, TEXT), MUST("taskId", "task_id", ID), MUST("id", NULL, ID), {0}};
static const struct field config_list_shape[] = {MAY("tenant", NULL, TEXT),
                                                 MUST("taskId", "task_id", ID),
                                                 MAY("pageSize", "page_size", PAGE),
                                                 MAY("pageToken", "page_token", TEXT),
                                                 {0}};
static const struct field card_shape[] = {MAY("tenant", NULL, TEXT), {0}};

static const struct field *const shapes[] = {[A2A_SEND] = send_shape,
                                             [A2A_STREAM] = send_shape,
                                             [A2A_GET] = get_shape,
                                             [A2A_LIST] = list_shape,
                                             [A2A_CANCEL] = task_shape,
                                             [A2A_SUBSCRIBE] = task_shape,
                                             [A2A_CONFIG_CREATE] = config_shape,
                                             [A2A_CONFIG_GET] = config_name_shape,
                                             [A2A_CONFIG_LIST] = config_list_shape,
                                             [A2A_CONFIG_DELETE] = config_name_shape,
                                             [A2A_EXTENDED_CARD] = card_shape};

/* By their numbers in the .proto. */
static const char *const states[] = {
    "TASK_STATE_UNSPECIFIED",    "TASK_STATE_SUBMITTED", "TASK_STATE_WORKING",
    "TASK_STATE_COMPLETED",      "TASK_STATE_FAILED",    "TASK_STATE_CANCELED",
    "TASK_STATE_INPUT_REQUIRED", "TASK_STATE_REJECTED",  "TASK_STATE_AUTH_REQUIRED"};
static const char *const roles[] = {"ROLE_UNSPECIFIED", "ROLE_USER", "ROLE_AGENT"};

/* --- mending --- */

static json_t *enum_name(const char *const names[], size_t count, json_int_t number)
{
    return number >= 0 && (size_t)number < count ? json_string(names[number]) : NULL;
}

/* The value in the one form that is checked for; NULL: it is that, or cannot be. */
static json_t *canonical(const struct field *field, const json_t *value)
{
    if (field->kind == COUNT || field->kind == PAGE) {
        const char *text = json_string_value(value);
        double real = json_real_value(value);
        if (text && *text && strlen(text) < 11 && !text[strspn(text, "0123456789")])
            return json_integer(atoll(text));
        if (json_is_real(value) && real >= 0 && real <= INT32_MAX && real == (int32_t)real)
            return json_integer((json_int_t)real);
    }
    if (field->kind == STATE && json_is_integer(value))
        return enum_name(states, sizeof states / sizeof *states, json_integer_value(value));
    if (field->kind == CLIENT && json_is_integer(value))
        return enum_name(roles, sizeof roles / sizeof *roles, json_integer_value(value));
    return NULL;
}

/* In proto3, and so in what some clients write, a default is the same as nothing. */
static bool is_absent(const struct field *field, const json_t *value)
{
    if (json_is_null(value))
        return field->kind != ANY;
    if (field->required)
        return false;
    const char *text = json_string_value(value);
    if (field->kind == STATE)
        return text && (!*text || strcmp(text, states[0]) == 0);
    bool empty_means_none = field->kind == ID || field->kind == TEXT || field->kind == TIME;
    return empty_means_none && text && json_string_length(value) == 0;
}

static bool has_snake(const json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)object, key, value)
        if (strchr(key, '_'))
            return true;
    return false;
}

static void mend(const struct field *shape, json_t *object);

/* null is data, but beside another content it is a client's way to say nothing. */
static void mend_part(const struct field *shape, json_t *part)
{
    mend(shape, part);
    bool other = json_object_get(part, "text") || json_object_get(part, "raw") ||
                 json_object_get(part, "url");
    if (other && json_is_null(json_object_get(part, "data")))
        json_object_del(part, "data");
}

static void mend_value(const struct field *field, json_t *object, json_t *value)
{
    size_t index;
    json_t *element, *better = canonical(field, value);
    if (better) {
        json_object_set_new(object, field->name, better);
        value = better; /* held by the object */
    }
    if (is_absent(field, value))
        json_object_del(object, field->name);
    else if (field->kind == MESSAGE)
        mend(field->shape, value);
    else if (field->kind == PARTS)
        json_array_foreach (value, index, element)
            mend_part(field->shape, element);
}

static void mend(const struct field *shape, json_t *object)
{
    if (!json_is_object(object))
        return;
    bool snake = has_snake(object);
    for (const struct field *field = shape; field->name; field++) {
        json_t *value = json_object_get(object, field->name);
        if (!value && snake && field->snake && (value = json_object_get(object, field->snake))) {
            json_object_set(object, field->name, value);
            json_object_del(object, field->snake);
        }
        if (value)
            mend_value(field, object, value);
    }
}

void a2a_v1_mend(enum a2a_operation operation, json_t *params)
{
    mend(shapes[operation], params);
    /* pageSize is not optional here, so 0 is nothing */
    if (operation == A2A_CONFIG_LIST) {
        const json_t *size = json_object_get(params, "pageSize");
        if (json_is_integer(size) && json_integer_value(size) == 0)
            json_object_del(params, "pageSize");
    }
}

/* --- checking --- */

/* Where a value stands, for the error alone. */
struct place {
    const struct place *up;
    const char *name; /* NULL: an element */
    size_t index;
};

static size_t write_place(const struct place *place, char *text, size_t size)
{
    size_t at = place->up ? write_place(place->up, text, size) : 0;
    int written = place->name
                      ? snprintf(text + at, size - at, "%s%s", at > 0 ? "." : "", place->name)
                      : snprintf(text + at, size - at, "[%zu]", place->index);
    size_t end = at + (size_t)(written > 0 ? written : 0);
    return end < size ? end : size - 1;
}

static bool refuse(struct a2a_problem *problem, const struct place *place, const char *must)
{
    char name[sizeof problem->field];
    write_place(place, name, sizeof name);
    return a2a_fail(problem, A2A_INVALID_PARAMS, name, "%s %s", name, must);
}

static bool is_text(const json_t *value)
{
    const char *text = json_string_value(value);
    return text && strlen(text) == json_string_length(value);
}

static bool is_id(const json_t *value)
{
    size_t length = json_string_length(value);
    return is_text(value) && length > 0 && length <= ID_MAXIMUM;
}

/* Either alphabet, with or without padding, line ends allowed: what ProtoJSON readers take. */
static bool is_base64(const json_t *value)
{
    const char *text = json_string_value(value);
    size_t count = 0, padding = 0;
    for (const char *at = text; at && at < text + json_string_length(value); at++) {
        char c = *at;
        if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
            c == '+' || c == '/' || c == '-' || c == '_') {
            if (padding > 0)
                return false;
            count++;
        } else if (c == '=') {
            padding++;
        } else if (c != '\n' && c != '\r') {
            return false;
        }
    }
    return text && (padding == 0 ? count % 4 != 1 : padding <= 2 && (count + padding) % 4 == 0);
}

static bool is_time(const json_t *value)
{
    int64_t time;
    return is_text(value) && clock_parse(json_string_value(value), &time);
}

static bool is_state(const json_t *value)
{
    for (size_t i = 1; is_text(value) && i < sizeof states / sizeof *states; i++)
        if (strcmp(json_string_value(value), states[i]) == 0)
            return true;
    return false;
}

static bool is_between(const json_t *value, json_int_t least, json_int_t most)
{
    return json_is_integer(value) && json_integer_value(value) >= least &&
           json_integer_value(value) <= most;
}

/* What a value of the kind must be, if this one is not; NULL: it is. */
static const char *wrong(enum kind kind, const json_t *value)
{
    switch (kind) {
    case ID: return is_id(value) ? NULL : "must be a text of 1 to 256 bytes, without U+0000";
    case TEXT: return is_text(value) ? NULL : "must be a text, without U+0000";
    case WORDS: return json_is_string(value) ? NULL : "must be a text";
    case BYTES: return is_base64(value) ? NULL : "must be base64";
    case SWITCH: return json_is_boolean(value) ? NULL : "must be true or false";
    case COUNT: return is_between(value, 0, INT32_MAX) ? NULL : "must be a whole number from 0";
    case PAGE: return is_between(value, 1, PAGE_MAXIMUM) ? NULL : "must be a number from 1 to 100";
    case MESSAGE:
    case STRUCT: return json_is_object(value) ? NULL : "must be an object";
    case TIME: return is_time(value) ? NULL : "must be a time like 2026-05-01T20:14:07Z";
    case STATE: return is_state(value) ? NULL : "must be a task state like TASK_STATE_WORKING";
    case CLIENT:
        return is_text(value) && strcmp(json_string_value(value), roles[1]) == 0
                   ? NULL
                   : "must be ROLE_USER: clients send the messages of users";
    case IDS:
    case TEXTS: return json_is_array(value) ? NULL : "must be an array of texts";
    case PARTS: return json_array_size(value) > 0 ? NULL : "must be an array that is not empty";
    case ANY: return NULL;
    }
    return NULL;
}

/* [1.0 §4.1.6] */
static bool check_part(const json_t *part, const struct place *place, struct a2a_problem *problem)
{
    int contents = !!json_object_get(part, "text") + !!json_object_get(part, "raw") +
                   !!json_object_get(part, "url") + !!json_object_get(part, "data");
    return contents == 1 || refuse(problem, place, "must have one of text, raw, url and data");
}

static bool check_shape(const struct field *shape, const json_t *object, const struct place *up,
                        struct a2a_problem *problem);

static bool check_elements(const struct field *field, const json_t *array,
                           const struct place *place, struct a2a_problem *problem)
{
    size_t index;
    json_t *element;
    json_array_foreach (array, index, element) {
        struct place at = {.up = place, .index = index};
        enum kind kind = field->kind == PARTS ? STRUCT : field->kind == IDS ? ID : TEXT;
        const char *must = wrong(kind, element);
        if (must)
            return refuse(problem, &at, must);
        if (field->kind == PARTS && (!check_shape(field->shape, element, &at, problem) ||
                                     !check_part(element, &at, problem)))
            return false;
    }
    return true;
}

static bool check_shape(const struct field *shape, const json_t *object, const struct place *up,
                        struct a2a_problem *problem)
{
    for (const struct field *field = shape; field->name; field++) {
        const json_t *value = json_object_get(object, field->name);
        struct place place = {.up = up, .name = field->name};
        if (!value && field->required)
            return refuse(problem, &place, "is missing");
        if (!value)
            continue;
        const char *must = wrong(field->kind, value);
        if (must)
            return refuse(problem, &place, must);
        if (field->kind == MESSAGE && !check_shape(field->shape, value, &place, problem))
            return false;
        bool is_array = field->kind == PARTS || field->kind == IDS || field->kind == TEXTS;
        if (is_array && !check_elements(field, value, &place, problem))
            return false;
    }
    return true;
}

bool a2a_v1_check(enum a2a_operation operation, const json_t *params, struct a2a_problem *problem)
{
    if (!json_is_object(params))
        return a2a_fail(problem, A2A_INVALID_PARAMS, "", "the parameters must be an object");
    return check_shape(shapes[operation], params, NULL, problem);
}
