#include "wire/parts.h"

#include "base/memory.h"

#include <string.h>
#include <strings.h>

static const char *const kinds[] = {"text", "file", "data"};
#define KINDS (sizeof kinds / sizeof *kinds)

/* "text", also as "Text" or "input_text". NULL: an unknown name, or none. */
static const char *known_kind(const json_t *name)
{
    const char *text = json_string_value(name);
    size_t length = text ? strlen(text) : 0;
    for (size_t i = 0; i < KINDS && text; i++) {
        size_t size = strlen(kinds[i]);
        if (length >= size && strcasecmp(text + length - size, kinds[i]) == 0 &&
            (length == size || text[length - size - 1] == '_' || text[length - size - 1] == '-'))
            return kinds[i];
    }
    return NULL;
}

static bool has_one(const json_t *object, const char *const *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (json_object_get(object, keys[i]))
            return true;
    return false;
}

/* A2A 1.0 has no `kind`: the member that is present tells. */
static const char *kind_by_content(const json_t *part)
{
    static const char *const places[] = {
        "file",        "raw",           "url",           "uri",
        "fileWithUri", "fileWithBytes", "file_with_uri", "file_with_bytes",
        "bytes"};
    static const char *const names[] = {"filename", "fileName"};
    if (json_is_string(json_object_get(part, "text")))
        return "text";
    if (has_one(part, places, sizeof places / sizeof *places))
        return "file";
    const json_t *data = json_object_get(part, "data");
    if (json_is_string(data) && has_one(part, names, sizeof names / sizeof *names))
        return "file";
    return data ? "data" : NULL;
}

const char *parts_kind(const json_t *part)
{
    const char *kind = known_kind(json_object_get(part, "kind"));
    if (!kind)
        kind = known_kind(json_object_get(part, "type"));
    return kind ? kind : kind_by_content(part);
}

bool parts_is(const json_t *part, const char *kind)
{
    const char *found = parts_kind(part);
    return found && strcmp(found, kind) == 0;
}

/* NULL: it has none. */
static const json_t *text_of(const json_t *part)
{
    const json_t *text = parts_is(part, "text") ? json_object_get(part, "text") : NULL;
    return json_is_string(text) ? text : NULL;
}

char *parts_text(const json_t *parts, size_t *length)
{
    size_t index, total = 0, filled = 0;
    json_t *part;
    bool found = false;
    json_array_foreach (parts, index, part) {
        const json_t *text = text_of(part);
        total += json_string_length(text);
        found = found || text;
    }
    if (!found)
        return NULL;
    char *joined = memory_resize(NULL, total + 1);
    json_array_foreach (parts, index, part) {
        const json_t *text = text_of(part);
        if (!text)
            continue;
        memcpy(joined + filled, json_string_value(text), json_string_length(text));
        filled += json_string_length(text);
    }
    joined[filled] = '\0';
    *length = filled;
    return joined;
}

/* The members that `source` has and `file` lacks. false: out of memory. */
static bool add_members(json_t *file, const json_t *source)
{
    static const struct {
        const char *spelling, *name;
        bool number;
    } members[] = {{"name", "name", false},
                   {"filename", "name", false},
                   {"fileName", "name", false},
                   {"mimeType", "mime_type", false},
                   {"mime_type", "mime_type", false},
                   {"mediaType", "mime_type", false},
                   {"media_type", "mime_type", false},
                   {"uri", "uri", false},
                   {"url", "uri", false},
                   {"fileWithUri", "uri", false},
                   {"file_with_uri", "uri", false},
                   {"size", "size", true},
                   {"bytes", "bytes", false},
                   {"raw", "bytes", false},
                   {"fileWithBytes", "bytes", false},
                   {"file_with_bytes", "bytes", false},
                   {"data", "bytes", false}};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        json_t *value = json_object_get(source, members[i].spelling);
        bool fits = members[i].number ? json_is_number(value) : json_is_string(value);
        if (fits && !json_object_get(file, members[i].name) &&
            json_object_set(file, members[i].name, value) != 0)
            return false;
    }
    return true;
}

json_t *parts_file(const json_t *source)
{
    const json_t *nested = json_object_get(source, "file");
    json_t *file = json_object();
    if (!file || (json_is_object(nested) && !add_members(file, nested)) ||
        !add_members(file, source)) {
        json_decref(file);
        return NULL;
    }
    return file;
}

bool parts_files(const json_t *parts, json_t **files)
{
    size_t index;
    json_t *part;
    *files = NULL;
    json_array_foreach (parts, index, part) {
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
