#include "wire/parts.h"

#include "base/memory.h"

#include <string.h>
#include <strings.h>

static const char *const kinds[] = {"text", "file", "data"};
#define KINDS (sizeof kinds / sizeof *kinds)

const char *parts_known_kind(const char *text, size_t length)
{
    for (size_t i = 0; i < KINDS; i++) {
        size_t size = strlen(kinds[i]);
        if (length >= size && strncasecmp(text + length - size, kinds[i], size) == 0 &&
            (length == size || text[length - size - 1] == '_' || text[length - size - 1] == '-'))
            return kinds[i];
    }
    return NULL;
}

static const char *known_kind(const json_t *name)
{
    const char *text = json_string_value(name);
    return text ? parts_known_kind(text, strlen(text)) : NULL;
}

static bool has_one(const json_t *object, const char *const *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (json_object_get(object, keys[i]))
            return true;
    return false;
}

const char *const parts_file_places[PARTS_FILE_PLACES] = {
    "file", "raw", "url", "uri", "fileWithUri", "fileWithBytes", "file_with_uri", "file_with_bytes",
    "bytes"};

/* A2A 1.0 has no `kind`: the member that is present tells. */
static const char *kind_by_content(const json_t *part)
{
    static const char *const names[] = {"filename", "fileName"};
    if (json_is_string(json_object_get(part, "text")))
        return "text";
    if (has_one(part, parts_file_places, PARTS_FILE_PLACES))
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

const char *const parts_file_names[PARTS_FILE_NAMES] = {"name", "mime_type", "uri", "size",
                                                        "bytes"};

const char *const parts_file_spellings[PARTS_FILE_SPELLINGS] = {
    "name",       "filename", "fileName",      "mimeType",        "mime_type",     "mediaType",
    "media_type", "uri",      "url",           "fileWithUri",     "file_with_uri", "size",
    "bytes",      "raw",      "fileWithBytes", "file_with_bytes", "data"};

const enum parts_file_name parts_file_meanings[PARTS_FILE_SPELLINGS] = {
    PARTS_FILE_NAME,      PARTS_FILE_NAME,      PARTS_FILE_NAME,      PARTS_FILE_MIME_TYPE,
    PARTS_FILE_MIME_TYPE, PARTS_FILE_MIME_TYPE, PARTS_FILE_MIME_TYPE, PARTS_FILE_URI,
    PARTS_FILE_URI,       PARTS_FILE_URI,       PARTS_FILE_URI,       PARTS_FILE_SIZE,
    PARTS_FILE_BYTES,     PARTS_FILE_BYTES,     PARTS_FILE_BYTES,     PARTS_FILE_BYTES,
    PARTS_FILE_BYTES};

/* The members that `source` has and `file` lacks. false: out of memory. */
static bool add_members(json_t *file, const json_t *source)
{
    for (size_t i = 0; i < PARTS_FILE_SPELLINGS; i++) {
        const char *name = parts_file_names[parts_file_meanings[i]];
        json_t *value = json_object_get(source, parts_file_spellings[i]);
        bool fits = parts_file_meanings[i] == PARTS_FILE_SIZE ? json_is_number(value)
                                                              : json_is_string(value);
        if (fits && !json_object_get(file, name) && json_object_set(file, name, value) != 0)
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
