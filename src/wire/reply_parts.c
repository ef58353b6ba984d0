#include "wire/reply_parts.h"

#include "wire/jsontext.h"
#include "wire/parts.h"

#include <stdio.h>
#include <string.h>

/* what peers' parsers commonly accept, and a bound for the recursion here */
#define DEPTH_MAXIMUM 100

static bool deeper_than(const json_t *value, int levels)
{
    size_t index;
    const char *key;
    json_t *item;
    if (levels == 0)
        return json_is_array(value) || json_is_object(value);
    json_array_foreach (value, index, item)
        if (deeper_than(item, levels - 1))
            return true;
    json_object_foreach ((json_t *)value, key, item)
        if (deeper_than(item, levels - 1))
            return true;
    return false;
}

static json_t *clean(const json_t *value);

static json_t *clean_object(const json_t *value)
{
    const char *key;
    json_t *item, *copy = json_object();
    json_object_foreach ((json_t *)value, key, item) {
        json_t *name = jsontext_string(key, strlen(key));
        int failed = name ? json_object_set_new_nocheck(copy, json_string_value(name), clean(item))
                          : -1;
        json_decref(name);
        if (failed) {
            json_decref(copy);
            return NULL;
        }
    }
    return copy;
}

/* A copy that the platform accepts. NULL: out of memory. */
static json_t *clean(const json_t *value)
{
    if (json_is_string(value))
        return jsontext_string(json_string_value(value), json_string_length(value));
    if (json_is_object(value))
        return clean_object(value);
    if (!json_is_array(value))
        return json_incref((json_t *)value);
    size_t index;
    json_t *item, *copy = json_array();
    json_array_foreach (value, index, item) {
        if (json_array_append_new(copy, clean(item)) != 0) {
            json_decref(copy);
            return NULL;
        }
    }
    return copy;
}

json_t *reply_clean(const json_t *value)
{
    return deeper_than(value, DEPTH_MAXIMUM) ? NULL : clean(value);
}

/* A2A 1.0's file is a flat part: {raw | url, filename, mediaType}; what goes out is 0.3's. false:
 * out of memory. */
static bool nest_file(json_t *part)
{
    static const char *const names[][2] = {{"name", "name"},
                                           {"mime_type", "mimeType"},
                                           {"uri", "uri"},
                                           {"size", "size"},
                                           {"bytes", "bytes"}};
    static const char *const flat[] = {"raw", "url", "filename", "mediaType"};
    if (json_object_get(part, "file") ||
        (!json_object_get(part, "raw") && !json_object_get(part, "url")))
        return true;
    json_t *read = parts_file(part), *file = json_object();
    bool complete = read && file;
    for (size_t i = 0; i < sizeof names / sizeof *names && complete; i++) {
        json_t *value = json_object_get(read, names[i][0]);
        complete = !value || json_object_set(file, names[i][1], value) == 0;
    }
    json_decref(read);
    if (!complete || json_object_set_new(part, "file", file) != 0) {
        if (!complete)
            json_decref(file);
        return false;
    }
    for (size_t i = 0; i < sizeof flat / sizeof *flat; i++)
        json_object_del(part, flat[i]);
    return true;
}

/* Only `kind` goes out (contract §3.2). NULL: the part is sound. */
static const char *settle_kind(json_t *part)
{
    const char *kind = json_string_value(json_object_get(part, "kind"));
    if (!kind)
        kind = json_string_value(json_object_get(part, "type"));
    if (!kind)
        kind = json_object_get(part, "text") ? "text" : parts_kind(part);
    if (!kind)
        return "has no kind (text, file or data)";
    if (strcmp(kind, "text") == 0 && !json_is_string(json_object_get(part, "text")))
        return "is a text part without a text";
    bool is_file = strcmp(kind, "file") == 0;
    if (json_object_set_new_nocheck(part, "kind", json_string_nocheck(kind)) != 0 ||
        (is_file && !nest_file(part)))
        return REPLY_OUT_OF_MEMORY;
    json_object_del(part, "type");
    return NULL;
}

/* NULL: it was added to `parts`; else what is wrong with it. */
static const char *add_part(json_t *parts, const json_t *given)
{
    if (!json_is_object(given))
        return "is not an object";
    if (deeper_than(given, DEPTH_MAXIMUM))
        return "is nested deeper than 100 levels";
    json_t *part = clean(given);
    const char *problem = part ? settle_kind(part) : REPLY_OUT_OF_MEMORY;
    if (problem) {
        json_decref(part);
        return problem;
    }
    return json_array_append_new(parts, part) == 0 ? NULL : REPLY_OUT_OF_MEMORY;
}

static bool has_kind(const json_t *parts, const char *kind)
{
    size_t index;
    json_t *part;
    json_array_foreach (parts, index, part)
        if (parts_is(part, kind))
            return true;
    return false;
}

static bool insert_text(json_t *parts, const struct reply *reply)
{
    json_t *part = json_object();
    if (json_object_set_new(part, "kind", json_string("text")) != 0 ||
        json_object_set_new(part, "text", jsontext_string(reply->text, reply->text_length)) != 0) {
        json_decref(part);
        return false;
    }
    return json_array_insert_new(parts, 0, part) == 0;
}

static bool is_empty(const json_t *parts)
{
    size_t index;
    json_t *part;
    json_array_foreach (parts, index, part)
        if (!parts_is(part, "text") || json_string_length(json_object_get(part, "text")) > 0)
            return false;
    return true;
}

json_t *reply_make_parts(const struct reply *reply, char *problem, size_t problem_size)
{
    size_t index;
    json_t *given, *parts = json_array();
    const char *trouble = parts ? NULL : REPLY_OUT_OF_MEMORY;
    if (trouble || (reply->parts && !json_is_array(reply->parts))) {
        snprintf(problem, problem_size, "%s",
                 trouble ? trouble : "the reply's parts are not an array");
        goto failed;
    }
    json_array_foreach (reply->parts, index, given) {
        if ((trouble = add_part(parts, given))) {
            snprintf(problem, problem_size, "part %zu of the reply %s", index + 1, trouble);
            goto failed;
        }
    }
    if (reply->text_length > 0 && !has_kind(parts, "text") && !insert_text(parts, reply)) {
        snprintf(problem, problem_size, REPLY_OUT_OF_MEMORY);
        goto failed;
    }
    if (is_empty(parts)) {
        snprintf(problem, problem_size, "the reply is empty");
        goto failed;
    }
    return parts;
failed:
    json_decref(parts);
    return NULL;
}
