#include "wire/artifacts.h"

#include "wire/a2a.h"
#include "wire/jsontext.h"
#include "wire/reply_parts.h"

#include <stdio.h>
#include <stdlib.h>

/* Parts as they go out on the platform (0.3), in the form of 1.0. NULL: `problem`. */
static json_t *modern(json_t *parts, char *problem, size_t problem_size)
{
    struct a2a_problem wrong = {0};
    size_t i;
    json_t *part, *list = json_array();
    json_array_foreach (parts, i, part) {
        json_t *read = a2a_v03_read_part(part, &wrong);
        if (!read) {
            snprintf(problem, problem_size, "part %zu: %s", i + 1, wrong.text);
            json_decref(list);
            list = NULL;
            break;
        }
        json_array_append_new(list, read);
    }
    json_decref(parts);
    return list;
}

static json_t *parts_of(const struct reply *reply, char *problem, size_t problem_size)
{
    json_t *parts = reply_make_parts(reply, problem, problem_size);
    return parts ? modern(parts, problem, problem_size) : NULL;
}

static bool set_text(json_t *artifact, const json_t *given, const char *name, char *problem,
                     size_t problem_size)
{
    const json_t *text = json_object_get(given, name);
    if (text && !json_is_string(text)) {
        snprintf(problem, problem_size, "its %s is no text", name);
        return false;
    }
    if (text)
        json_object_set_new(artifact, name,
                            jsontext_string(json_string_value(text), json_string_length(text)));
    return true;
}

json_t *artifacts_take_one(const json_t *given, char *problem, size_t problem_size)
{
    const json_t *text = json_object_get(given, "text"), *parts = json_object_get(given, "parts"),
                 *metadata = json_object_get(given, "metadata");
    bool has_text = json_is_string(text), has_parts = json_is_array(parts);
    if (!json_is_object(given) || has_text == has_parts || (text && !has_text) ||
        (parts && !has_parts) || (metadata && !json_is_object(metadata))) {
        snprintf(problem, problem_size,
                 "an artifact is a table with either a `text` or a list of `parts`");
        return NULL;
    }
    struct reply content = {.text = (char *)(uintptr_t)json_string_value(text),
                            .text_length = json_string_length(text),
                            .parts = (json_t *)(uintptr_t)parts};
    json_t *list = parts_of(&content, problem, problem_size);
    json_t *artifact = list ? json_pack("{s:o}", "parts", list) : NULL;
    json_t *cleaned = metadata ? reply_clean(metadata) : NULL;
    if (metadata && !cleaned)
        snprintf(problem, problem_size, "its metadata is nested too deeply");
    if (artifact && (!metadata || cleaned) &&
        set_text(artifact, given, "name", problem, problem_size) &&
        set_text(artifact, given, "description", problem, problem_size)) {
        if (cleaned)
            json_object_set_new(artifact, "metadata", cleaned);
        return artifact;
    }
    json_decref(cleaned);
    json_decref(artifact);
    return NULL;
}

bool artifacts_take(json_t *given, json_t **artifacts, char *problem, size_t problem_size)
{
    char wrong[400];
    size_t i;
    json_t *one;
    json_t *taken = json_array();
    bool sound = json_is_array(given);
    if (!sound)
        snprintf(problem, problem_size, "they are no list");
    json_array_foreach (given, i, one) {
        json_t *artifact = artifacts_take_one(one, wrong, sizeof wrong);
        if (!artifact) {
            snprintf(problem, problem_size, "artifact %zu: %s", i + 1, wrong);
            sound = false;
            break;
        }
        json_array_append_new(taken, artifact);
    }
    json_decref(given);
    if (!sound) {
        json_decref(taken);
        return false;
    }
    *artifacts = taken;
    return true;
}

void artifacts_join(struct reply *reply)
{
    size_t i, j;
    json_t *artifact, *part;
    if (!reply->artifacts)
        return;
    json_t *all = reply->plain_parts ? json_loads(reply->plain_parts, JSON_ALLOW_NUL, NULL)
                  : reply->parts     ? json_copy(reply->parts)
                                     : json_array();
    if (reply->text_length > 0)
        json_array_insert_new(all, 0,
                              json_pack("{s:s, s:o}", "kind", "text", "text",
                                        jsontext_string(reply->text, reply->text_length)));
    json_array_foreach (reply->artifacts, i, artifact)
        json_array_foreach (json_object_get(artifact, "parts"), j, part)
            json_array_append_new(all, a2a_v03_part(part));
    free(reply->plain_parts);
    json_decref(reply->parts);
    json_decref(reply->artifacts);
    reply->plain_parts = NULL;
    reply->artifacts = NULL;
    reply->parts = all;
}

json_t *artifacts_reply_parts(const struct reply *reply, char *problem, size_t problem_size)
{
    struct reply own = *reply;
    *problem = '\0';
    if (!reply->parts && !reply->plain_parts)
        return reply->text_length > 0
                   ? json_pack("[{s:o}]", "text", jsontext_string(reply->text, reply->text_length))
                   : NULL;
    if (reply->plain_parts)
        own.parts = json_loads(reply->plain_parts, JSON_ALLOW_NUL, NULL);
    json_t *parts = parts_of(&own, problem, problem_size);
    if (reply->plain_parts)
        json_decref(own.parts);
    return parts;
}
