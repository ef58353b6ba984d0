#include "wire/sse.h"

#include <string.h>

#define NAME_MAXIMUM 1024 /* of an event's name and of an id */

void sse_open(struct sse_reader *reader, size_t maximum, sse_callback *callback, void *context)
{
    *reader = (struct sse_reader){.callback = callback, .context = context};
    buffer_init(&reader->line, maximum);
    buffer_init(&reader->data, maximum);
    buffer_init(&reader->event, NAME_MAXIMUM);
    buffer_init(&reader->id, NAME_MAXIMUM);
}

void sse_close(struct sse_reader *reader)
{
    buffer_free(&reader->line);
    buffer_free(&reader->data);
    buffer_free(&reader->event);
    buffer_free(&reader->id);
}

void sse_skip_large(struct sse_reader *reader)
{
    reader->skips = true;
}

static void dispatch(struct sse_reader *reader)
{
    if (reader->has_data) {
        struct sse_event event = {
            .event = reader->event.length > 0 ? reader->event.data : "message",
            .data = reader->data.data && !reader->cut ? reader->data.data : "",
            .data_length = reader->cut ? 0 : reader->data.length,
            .cut = reader->cut,
            .id = !reader->has_id   ? NULL
                  : reader->id.data ? reader->id.data
                                    : "",
        };
        reader->callback(&event, reader->context);
    }
    reader->has_data = reader->cut = false;
    buffer_clear(&reader->data);
    buffer_clear(&reader->event);
}

static bool set(struct buffer *buffer, const char *value, size_t length)
{
    buffer_clear(buffer);
    return buffer_append(buffer, value, length);
}

static bool is_field(const char *name, size_t length, const char *field)
{
    return strlen(field) == length && memcmp(name, field, length) == 0;
}

static bool take_field(struct sse_reader *reader, const char *line, size_t length)
{
    const char *colon = memchr(line, ':', length);
    size_t name = colon ? (size_t)(colon - line) : length;
    reader->recognised = reader->recognised || name == 0 || is_field(line, name, "data") ||
                         is_field(line, name, "event") || is_field(line, name, "id") ||
                         is_field(line, name, "retry");
    const char *value = colon ? colon + 1 : line + length;
    size_t size = (size_t)(line + length - value);
    if (size > 0 && *value == ' ') {
        value++;
        size--;
    }
    if (is_field(line, name, "data")) {
        bool kept = (!reader->has_data || buffer_append_char(&reader->data, '\n')) &&
                    buffer_append(&reader->data, value, size);
        reader->has_data = true;
        return kept;
    }
    if (memchr(value, '\0', size))
        return true; /* no name and no id holds one (the standard says so of ids) */
    if (is_field(line, name, "event"))
        return set(&reader->event, value, size);
    if (is_field(line, name, "id")) {
        reader->has_id = true;
        return set(&reader->id, value, size);
    }
    return true; /* a comment, retry, or an unknown field */
}

/* The line or the data does not fit. */
static bool skip(struct sse_reader *reader)
{
    if (!reader->skips)
        return false;
    reader->cut = reader->has_data = true;
    return true;
}

static bool end_line(struct sse_reader *reader)
{
    if (reader->skipping) {
        reader->skipping = false;
        buffer_clear(&reader->line);
        return true;
    }
    const char *line = reader->line.data ? reader->line.data : "";
    size_t length = reader->line.length;
    if (!reader->started && length >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
        line += 3;
        length -= 3;
    }
    reader->started = true;
    bool taken = true;
    if (length == 0)
        dispatch(reader);
    else
        taken = take_field(reader, line, length) || skip(reader);
    buffer_clear(&reader->line);
    return taken;
}

bool sse_feed(struct sse_reader *reader, const char *bytes, size_t length)
{
    while (length > 0) {
        if (reader->after_return && *bytes == '\n') {
            bytes++;
            length--;
            reader->after_return = false;
            continue;
        }
        reader->after_return = false;
        size_t size = 0;
        while (size < length && bytes[size] != '\n' && bytes[size] != '\r')
            size++;
        if (!reader->skipping && !buffer_append(&reader->line, bytes, size)) {
            reader->skipping = true;
            if (!skip(reader))
                return false;
        }
        bytes += size;
        length -= size;
        if (length == 0)
            break;
        reader->after_return = *bytes == '\r';
        bytes++;
        length--;
        if (!end_line(reader))
            return false;
    }
    return true;
}
