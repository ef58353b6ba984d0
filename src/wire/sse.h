/* Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), however they
 * are cut into pieces. No I/O. */
#ifndef MOLECULE_WIRE_SSE_H
#define MOLECULE_WIRE_SSE_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>

/* Borrowed during the callback. */
struct sse_event {
    const char *event; /* "message" where the stream names none */
    const char *data;  /* its lines joined by "\n" */
    size_t data_length;
    bool cut;       /* it was too large: `data` is "" (sse_skip_large) */
    const char *id; /* the last one seen; NULL: none yet */
};

typedef void sse_callback(const struct sse_event *event, void *context);

struct sse_reader {
    struct buffer line, data, event, id;
    bool has_data, has_id;
    bool after_return; /* a "\n" now belongs to the "\r" before it */
    bool started;      /* a byte order mark may stand at the very start only */
    /* a comment or a field of the standard was among the lines: this is an event stream */
    bool recognised;
    bool skips, skipping, cut; /* the rest of a line, an event */
    sse_callback *callback;
    void *context;
};

/* `maximum`: bytes of one line, and of one event's data. */
void sse_open(struct sse_reader *reader, size_t maximum, sse_callback *callback, void *context);
void sse_close(struct sse_reader *reader);
/* From now on sse_feed never fails: an event that is too large is reported without its data. */
void sse_skip_large(struct sse_reader *reader);
/* false: a line or an event exceeded the maximum; close the reader. Events without data are not
 * reported; an event cut by the stream's end is dropped. Bytes are taken as they are: the text need
 * not be UTF-8. */
bool sse_feed(struct sse_reader *reader, const char *bytes, size_t length);

#endif
