#include "wire/jsontext.h"

#include "base/decimal.h"
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

struct sink {
    struct buffer *buffer;
    size_t needed;
    bool full;
};

static int take(const char *bytes, size_t length, void *context)
{
    struct sink *sink = context;
    sink->needed += length;
    sink->full = sink->full || !buffer_append(sink->buffer, bytes, length);
    return 0;
}

bool jsontext_write(const json_t *value, struct buffer *buffer, size_t *needed)
{
    struct sink sink = {.buffer = buffer};
    size_t before = buffer->length;
    bool dumped = json_dump_callback(value, take, &sink, JSON_COMPACT | JSON_ENCODE_ANY) == 0;
    *needed = dumped ? sink.needed : 0;
    if (!dumped || sink.full)
        return false;
    if (buffer->length > before)
        buffer->length = before + decimal_shorten(buffer->data + before, buffer->length - before);
    return true;
}

static bool append_escaped(struct buffer *buffer, const char *text, size_t length)
{
    size_t plain = 0; /* where the bytes that stand for themselves begin */
    bool fits = true;
    for (size_t i = 0; fits && i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte >= ' ' && byte != '"' && byte != '\\')
            continue;
        fits = buffer_append(buffer, text + plain, i - plain);
        plain = i + 1;
        if (byte == '\n')
            fits = fits && buffer_append_text(buffer, "\\n");
        else if (byte >= ' ')
            fits = fits && buffer_append_char(buffer, '\\') &&
                   buffer_append_char(buffer, (char)byte);
        else
            fits = fits && buffer_printf(buffer, "\\u%04x", byte);
    }
    return fits && buffer_append(buffer, text + plain, length - plain);
}

bool jsontext_append_string(struct buffer *buffer, const char *text, size_t length)
{
    size_t clean_length;
    char *clean = repair_text(text, length, &clean_length);
    bool fits = buffer_append_char(buffer, '"') && append_escaped(buffer, clean, clean_length) &&
                buffer_append_char(buffer, '"');
    free(clean);
    return fits;
}

json_t *jsontext_string(const char *text, size_t length)
{
    size_t clean_length;
    char *clean = repair_text(text, length, &clean_length);
    json_t *string = json_stringn_nocheck(clean, clean_length);
    free(clean);
    return string;
}
