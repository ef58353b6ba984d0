#include "wire/parts.h"

#include "base/memory.h"

#include <string.h>

static bool says(const json_t *part, const char *key, const char *kind)
{
    const char *value = json_string_value(json_object_get(part, key));
    return value && strcmp(value, kind) == 0;
}

bool parts_is(const json_t *part, const char *kind)
{
    return says(part, "kind", kind) || says(part, "type", kind);
}

char *parts_text(const json_t *parts, size_t *length)
{
    size_t index, total = 0, filled = 0;
    json_t *part;
    bool found = false;
    json_array_foreach(parts, index, part) {
        const json_t *text = parts_is(part, "text") ? json_object_get(part, "text") : NULL;
        if (json_is_string(text)) {
            total += json_string_length(text);
            found = true;
        }
    }
    if (!found)
        return NULL;
    char *joined = memory_resize(NULL, total + 1);
    json_array_foreach(parts, index, part) {
        const json_t *text = parts_is(part, "text") ? json_object_get(part, "text") : NULL;
        if (!json_is_string(text))
            continue;
        memcpy(joined + filled, json_string_value(text), json_string_length(text));
        filled += json_string_length(text);
    }
    joined[filled] = '\0';
    *length = filled;
    return joined;
}

json_t *parts_file(const json_t *source)
{
    static const struct { const char *spelling, *name; bool number; } members[] = {
        {"name", "name", false},
        {"mimeType", "mime_type", false},
        {"mime_type", "mime_type", false},
        {"mediaType", "mime_type", false},
        {"uri", "uri", false},
        {"size", "size", true},
        {"bytes", "bytes", false},
        {"data", "bytes", false}};
    const json_t *nested = json_object_get(source, "file");
    if (json_is_object(nested))
        source = nested;
    json_t *file = json_object();
    for (size_t i = 0; file && i < sizeof members / sizeof *members; i++) {
        json_t *value = json_object_get(source, members[i].spelling);
        bool fits = members[i].number ? json_is_number(value) : json_is_string(value);
        if (!fits || json_object_get(file, members[i].name))
            continue;
        if (json_object_set(file, members[i].name, value) != 0) {
            json_decref(file);
            file = NULL;
        }
    }
    return file;
}

bool parts_files(const json_t *parts, json_t **files)
{
    size_t index;
    json_t *part;
    *files = NULL;
    json_array_foreach(parts, index, part) {
        if (!parts_is(part, "file"))
            continue;
        if (!*files && !(*files = json_array()))
            return false;
        if (json_array_append_new(*files, parts_file(part)) != 0) {
            json_decref(*files);
            *files = NULL;
            return false;
        }
    }
    return true;
}
