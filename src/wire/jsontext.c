#include "wire/jsontext.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "wire/plain.h"
#include "wire/repair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_FLAGS (JSON_ALLOW_NUL | JSON_DECODE_ANY)

static void describe(const json_error_t *error, char problem[JSONTEXT_PROBLEM_SIZE])
{
    /* jansson leaves the text empty in most places where it could not allocate */
    if (json_error_code(error) == json_error_out_of_memory || !error->text[0])
        snprintf(problem, JSONTEXT_PROBLEM_SIZE, "out of memory");
    else
        snprintf(problem, JSONTEXT_PROBLEM_SIZE, "%s, at byte %d", error->text, error->position);
}

json_t *jsontext_read(const char *bytes, size_t length, bool *repaired,
                      char problem[JSONTEXT_PROBLEM_SIZE])
{
    json_error_t error = {0};
    json_t *value = json_loadb(bytes, length, READ_FLAGS, &error);
    if (repaired)
        *repaired = false;
    if (!value) {
        size_t mended_length;
        char *mended = repair_json(bytes, length, &mended_length);
        error = (json_error_t){0};
        value = json_loadb(mended, mended_length, READ_FLAGS, &error);
        if (repaired)
            *repaired = value && (mended_length != length || memcmp(mended, bytes, length) != 0);
        free(mended);
    }
    if (!value && problem)
        describe(&error, problem);
    return value;
}

/* What a value is written to: small pieces, so they are gathered first. */
struct sink {
    struct buffer *buffer; /* NULL: it is measured only */
    size_t needed;         /* bytes that left `stage` */
    size_t staged;
    bool full, unsound;
    char stage[512];
};

static void begin(struct sink *sink, struct buffer *buffer, const void *value)
{
    sink->buffer = buffer;
    sink->needed = sink->staged = 0;
    sink->full = false;
    sink->unsound = !value;
}

static void flush(struct sink *sink, const char *bytes, size_t length)
{
    sink->needed += length;
    if (sink->buffer && !sink->full && length > 0)
        sink->full = !buffer_append(sink->buffer, bytes, length);
}

static inline void take(struct sink *sink, const char *bytes, size_t length)
{
    if (length > sizeof sink->stage - sink->staged) {
        flush(sink, sink->stage, sink->staged);
        sink->staged = 0;
    }
    if (length > sizeof sink->stage) {
        flush(sink, bytes, length);
        return;
    }
    memcpy(sink->stage + sink->staged, bytes, length);
    sink->staged += length;
}

/* false: no text, or it does not fit. */
static bool finish(struct sink *sink)
{
    flush(sink, sink->stage, sink->staged);
    sink->staged = 0;
    return !sink->unsound && !sink->full;
}

/* Of a control character, a quote or a backslash. */
static void take_escape(struct sink *sink, char byte)
{
    static const char letters[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    static const char hex[] = "0123456789ABCDEF";
    for (const char *pair = letters; *pair; pair += 2)
        if (*pair == byte) {
            take(sink, (char[]){'\\', pair[1]}, 2);
            return;
        }
    take(sink, (char[]){'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]}, 6);
}

static void take_string(struct sink *sink, const char *text, size_t length)
{
    const char *at = text, *end = length > 0 ? text + length : text;
    take(sink, "\"", 1);
    while (at < end) {
        const char *plain = at;
        size_t size = 1;
        while ((at = plain_end(at, end)) < end && (unsigned char)*at >= 0x80 && size > 0)
            at += size = repair_character(at, (size_t)(end - at));
        sink->unsound = sink->unsound || size == 0;
        if (sink->unsound)
            return;
        if (at > plain)
            take(sink, plain, (size_t)(at - plain));
        if (at < end)
            take_escape(sink, *at++);
    }
    take(sink, "\"", 1);
}

static void take_number(struct sink *sink, const json_t *number)
{
    char text[DECIMAL_SIZE];
    size_t length = json_is_real(number) ? decimal_write(json_real_value(number), text)
                                         : decimal_write_integer(json_integer_value(number), text);
    take(sink, text, length);
}

static void take_value(struct sink *sink, const json_t *value); /* no deeper than it was read */

static void take_object(struct sink *sink, json_t *object)
{
    const char *separator = "{";
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
        take(sink, separator, 1);
        take_string(sink, json_object_iter_key(at), json_object_iter_key_len(at));
        take(sink, ":", 1);
        take_value(sink, json_object_iter_value(at));
        separator = ",";
    }
    take(sink, *separator == '{' ? "{}" : "}", *separator == '{' ? 2 : 1);
}

static void take_array(struct sink *sink, const json_t *array)
{
    take(sink, "[", 1);
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (i > 0)
            take(sink, ",", 1);
        take_value(sink, json_array_get(array, i));
    }
    take(sink, "]", 1);
}

static void take_value(struct sink *sink, const json_t *value)
{
    if (sink->unsound)
        return;
    switch (json_typeof(value)) {
    case JSON_OBJECT: take_object(sink, (json_t *)(uintptr_t)value); break;
    case JSON_ARRAY: take_array(sink, value); break;
    case JSON_STRING: take_string(sink, json_string_value(value), json_string_length(value)); break;
    case JSON_INTEGER:
    case JSON_REAL: take_number(sink, value); break;
    case JSON_TRUE: take(sink, "true", 4); break;
    case JSON_FALSE: take(sink, "false", 5); break;
    case JSON_NULL: take(sink, "null", 4); break;
    }
}

bool jsontext_write(const json_t *value, struct buffer *buffer, size_t *needed)
{
    struct sink sink;
    begin(&sink, buffer, value);
    take_value(&sink, value);
    bool written = finish(&sink);
    *needed = sink.unsound ? 0 : sink.needed;
    return written;
}

char *jsontext_print(const json_t *value)
{
    struct buffer buffer;
    size_t needed;
    buffer_init(&buffer, SIZE_MAX / 4);
    if (jsontext_write(value, &buffer, &needed))
        return buffer_take(&buffer);
    buffer_free(&buffer);
    return NULL;
}

size_t jsontext_size(const json_t *value)
{
    struct sink sink;
    begin(&sink, NULL, value);
    take_value(&sink, value);
    finish(&sink);
    return sink.unsound ? 0 : sink.needed;
}

/* false: it does not fit, or (`*sound`) it is not to be sent as it stands. */
static bool append_text(struct buffer *buffer, const char *text, size_t length, bool *sound)
{
    struct sink sink;
    begin(&sink, buffer, text);
    *sound = text && (length == 0 || !memchr(text, '\0', length));
    if (*sound)
        take_string(&sink, text, length);
    bool fits = finish(&sink);
    *sound = *sound && !sink.unsound;
    return *sound && fits;
}

bool jsontext_append_string(struct buffer *buffer, const char *text, size_t length)
{
    bool sound;
    size_t start = buffer->length;
    bool fits = append_text(buffer, text, length, &sound);
    if (sound)
        return fits;
    char *clean = repair_text(text, length, &length);
    buffer->length = start;
    fits = append_text(buffer, clean, length, &sound);
    free(clean);
    return fits;
}

bool jsontext_append_sound(struct buffer *buffer, const char *text, size_t length)
{
    bool sound;
    return append_text(buffer, text, length, &sound);
}

json_t *jsontext_string(const char *text, size_t length)
{
    size_t clean_length;
    char *clean = repair_text(text, length, &clean_length);
    json_t *string = json_stringn_nocheck(clean, clean_length);
    free(clean);
    return string;
}

json_t *jsontext_time(int64_t wall_ms)
{
    char text[CLOCK_TEXT_SIZE];
    if (wall_ms <= 0)
        return json_null();
    clock_format(wall_ms, text);
    return json_string(text);
}
