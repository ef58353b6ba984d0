#include "wire/result.h"

#include "base/memory.h"
#include "wire/parts.h"
#include "wire/repair.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PREFIX "TASK_STATE_" /* A2A 1.0: TASK_STATE_INPUT_REQUIRED */

enum meaning { ANSWERED, ASKED_BACK, UNDER_WAY, REFUSED };

static const struct {
    const char *word;
    enum meaning meaning;
} states[] = {
#define X(name, word, meaning) {word, meaning},
    RESULT_STATES(X)
#undef X
};

static bool is_state(const char *text, const char *word)
{
    for (; *text && *word; text++, word++)
        if (!(*text == '_' && *word == '-') && strncasecmp(text, word, 1) != 0)
            return false;
    return !*text && !*word;
}

static void read_state(const json_t *status, struct result *result)
{
    static const enum result_kind kinds[] = {[ANSWERED] = RESULT_ANSWER,
                                             [ASKED_BACK] = RESULT_QUESTION,
                                             [UNDER_WAY] = RESULT_UNDER_WAY,
                                             [REFUSED] = RESULT_FAILURE};
    const json_t *value = json_is_string(status) ? status : json_object_get(status, "state");
    const char *text = json_string_value(value);
    if (!text)
        return;
    if (strncasecmp(text, PREFIX, strlen(PREFIX)) == 0)
        text += strlen(PREFIX);
    if (is_state(text, "cancelled"))
        text = "canceled";
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        if (is_state(text, states[i].word)) {
            result->state = states[i].word;
            result->kind = kinds[states[i].meaning];
        }
    }
}

/* 1.0 wraps the answer in a member named after its type. */
static const json_t *unwrap(const json_t *value)
{
    static const char *const names[] = {"task", "message", "msg", "statusUpdate", "artifactUpdate"};
    if (json_object_get(value, "parts") || json_object_get(value, "status") ||
        json_object_get(value, "artifacts"))
        return value;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_is_object(json_object_get(value, names[i])))
            return json_object_get(value, names[i]);
    return value;
}

/* The parts of a message or an artifact, an array that is not empty; else NULL. */
static json_t *parts_of(const json_t *value)
{
    json_t *parts = json_object_get(value, "parts");
    if (!parts)
        parts = json_object_get(value, "content");
    return json_array_size(parts) > 0 ? parts : NULL;
}

/* false: out of memory */
static bool add_parts(json_t **all, json_t *parts)
{
    if (!parts)
        return true;
    if (!*all && !(*all = json_array()))
        return false;
    return json_array_extend(*all, parts) == 0;
}

static bool add_artifacts(json_t **all, const json_t *value)
{
    size_t index;
    json_t *artifact;
    json_array_foreach (json_object_get(value, "artifacts"), index, artifact)
        if (!add_parts(all, parts_of(artifact)))
            return false;
    return add_parts(all, parts_of(json_object_get(value, "artifact")));
}

/* The agent's last message, for a task with nothing else. */
static json_t *last_said(const json_t *value)
{
    const json_t *history = json_object_get(value, "history");
    for (size_t i = json_array_size(history); i > 0; i--) {
        const json_t *said = json_array_get(history, i - 1);
        const char *role = json_string_value(json_object_get(said, "role"));
        if (role && (strcasecmp(role, "agent") == 0 || strcasecmp(role, "ROLE_AGENT") == 0))
            return parts_of(said);
    }
    return NULL;
}

/* The answer is in the artifacts, everything else in the status message. */
static bool read_parts(const json_t *value, struct result *result)
{
    json_t *said = parts_of(json_object_get(json_object_get(value, "status"), "message"));
    if (!add_parts(&result->parts, parts_of(value)))
        return false;
    bool answered = result->kind == RESULT_ANSWER;
    if (answered && !result->parts && !add_artifacts(&result->parts, value))
        return false;
    if ((!answered || !result->parts) && !add_parts(&result->parts, said))
        return false;
    if (!answered && !add_artifacts(&result->parts, value))
        return false;
    return result->parts || !answered || add_parts(&result->parts, last_said(value));
}

static char *clean(const char *text, size_t length)
{
    size_t kept;
    return repair_text(text, length, &kept);
}

/* What a status says as a text, which some servers have in place of a message. */
static const json_t *plain_text(const json_t *value)
{
    const json_t *said = json_object_get(json_object_get(value, "status"), "message");
    const json_t *content = json_object_get(value, "content");
    return json_is_string(value)     ? value
           : json_is_string(said)    ? said
           : json_is_string(content) ? content
                                     : NULL;
}

bool result_read(const json_t *value, struct result *result)
{
    *result = (struct result){.kind = RESULT_ANSWER};
    value = unwrap(value);
    read_state(json_object_get(value, "status"), result);
    if (!read_parts(value, result)) {
        result_free(result);
        return false;
    }
    const char *id = json_string_value(json_object_get(value, "taskId"));
    result->task_id = id              ? id
                      : result->state ? json_string_value(json_object_get(value, "id"))
                                      : NULL;
    result->context_id = json_string_value(json_object_get(value, "contextId"));
    size_t length = 0;
    const json_t *plain = plain_text(value);
    char *text = parts_text(result->parts, &length);
    if (text)
        result->text = clean(text, length);
    else if (plain)
        result->text = clean(json_string_value(plain), json_string_length(plain));
    free(text);
    return true;
}

void result_free(struct result *result)
{
    free(result->text);
    json_decref(result->parts);
    *result = (struct result){0};
}
