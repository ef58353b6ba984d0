/* Any bytes as an event stream, in pieces whose size the first byte gives: the events must not
 * depend on it. */
#include "fuzz.h"

#include "base/buffer.h"
#include "wire/sse.h"

#include <string.h>

#define MAXIMUM (1 << 20)

static void note(const struct sse_event *event, void *context)
{
    struct buffer *seen = context;
    HOLDS(event->event && event->data && strlen(event->event) > 0);
    buffer_append_text(seen, event->event);
    buffer_append_char(seen, '|');
    buffer_append(seen, event->data, event->data_length);
    buffer_append_text(seen, event->id ? event->id : "-");
}

static bool read_all(const char *bytes, size_t size, size_t piece, struct buffer *seen)
{
    struct sse_reader reader;
    bool fed = true;
    buffer_init(seen, 64 << 20);
    sse_open(&reader, MAXIMUM, note, seen);
    for (size_t at = 0; fed && at < size; at += piece)
        fed = sse_feed(&reader, bytes + at, size - at < piece ? size - at : piece);
    sse_close(&reader);
    return fed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct buffer whole, cut;
    const char *bytes = (const char *)data + 1;
    bool first = read_all(bytes, size - 1, size, &whole),
         second = read_all(bytes, size - 1, 1 + data[0] % 17, &cut);
    HOLDS(first == second);
    HOLDS(!first || (whole.length == cut.length &&
                     (whole.length == 0 || memcmp(whole.data, cut.data, cut.length) == 0)));
    buffer_free(&whole);
    buffer_free(&cut);
    return 0;
}
