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

/* The byte is a quote, a backslash or a control character. */
static bool append_escape(struct buffer *buffer, char byte)
{
    if (byte == '\n')
        return buffer_append_text(buffer, "\\n");
    if (byte >= ' ')
        return buffer_append_char(buffer, '\\') && buffer_append_char(buffer, byte);
    return buffer_printf(buffer, "\\u%04x", (unsigned)byte);
}

/* … as jansson writes it. */
static bool append_escape_short(struct buffer *buffer, char byte)
{
    static const char letters[] = "\bb\ff\nn\rr\tt";
    for (const char *pair = letters; *pair; pair += 2)
        if (*pair == byte)
            return buffer_append_char(buffer, '\\') && buffer_append_char(buffer, pair[1]);
    if (byte >= ' ')
        return append_escape(buffer, byte);
    return buffer_printf(buffer, "\\u%04X", (unsigned)byte);
}

/* false: larger than the buffer takes, or (`sound`) not to be sent as it stands */
static bool append_escaped(struct buffer *buffer, const char *text, size_t length,
                           bool (*escape)(struct buffer *, char), bool *sound)
{
    const char *at = text, *end = length > 0 ? text + length : text;
    for (;;) {
        const char *plain = at; /* where the bytes that stand for themselves begin */
        size_t size = 1;
        while ((at = plain_end(at, end)) < end && (unsigned char)*at >= 0x80 && size > 0)
            at += size = repair_character(at, (size_t)(end - at));
        *sound = size > 0 && (at == end || *at);
        if (!*sound || !buffer_append(buffer, plain, (size_t)(at - plain)))
            return false;
        if (at == end)
            return true;
        if (!escape(buffer, *at++))
            return false;
    }
}

bool jsontext_append_string(struct buffer *buffer, const char *text, size_t length)
{
    bool sound;
    if (!buffer_append_char(buffer, '"'))
        return false;
    size_t start = buffer->length;
    bool fits = append_escaped(buffer, text, length, append_escape, &sound);
    if (!sound) {
        char *clean = repair_text(text, length, &length);
        buffer->length = start;
        fits = append_escaped(buffer, clean, length, append_escape, &sound);
        free(clean);
    }
    return fits && buffer_append_char(buffer, '"');
}

bool jsontext_append_sound(struct buffer *buffer, const char *text, size_t length)
{
    bool sound;
    return buffer_append_char(buffer, '"') &&
           append_escaped(buffer, text, length, append_escape_short, &sound) &&
           buffer_append_char(buffer, '"');
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
