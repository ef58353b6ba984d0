#include "commands/line_input.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_SIZE 16384

void line_input_open(struct line_input *input, int wake)
{
    input->wake = wake;
    buffer_init(&input->unread, LINE_INPUT_MAXIMUM);
    buffer_init(&input->line, LINE_INPUT_MAXIMUM);
}

void line_input_close(struct line_input *input)
{
    buffer_free(&input->unread);
    buffer_free(&input->line);
}

/* LINE_INPUT_LINE: there is more in `unread` now, or there may be. */
static enum line_input_result read_more(struct line_input *input)
{
    struct pollfd waiting[] = {{.fd = input->wake, .events = POLLIN},
                               {.fd = STDIN_FILENO, .events = POLLIN}};
    char chunk[CHUNK_SIZE];
    if (poll(waiting, 2, -1) < 0)
        return errno == EINTR ? LINE_INPUT_LINE : LINE_INPUT_END;
    if (waiting[0].revents)
        return LINE_INPUT_WOKEN;
    ssize_t got = read(STDIN_FILENO, chunk, sizeof chunk);
    if (got <= 0)
        return got < 0 && (errno == EINTR || errno == EAGAIN) ? LINE_INPUT_LINE : LINE_INPUT_END;
    return buffer_append(&input->unread, chunk, (size_t)got) ? LINE_INPUT_LINE
                                                             : LINE_INPUT_TOO_LONG;
}

static void take_line(struct line_input *input, size_t length)
{
    const char *bytes = input->unread.data;
    bool is_crlf = length > 0 && bytes[length - 1] == '\r';
    buffer_clear(&input->line);
    buffer_append(&input->line, bytes, is_crlf ? length - 1 : length);
    buffer_consume(&input->unread,
                   length < input->unread.length ? length + 1 : input->unread.length);
}

enum line_input_result line_input_read(struct line_input *input)
{
    const struct buffer *unread = &input->unread;
    for (size_t searched = 0;;) {
        const char *end = unread->length > searched
                              ? memchr(unread->data + searched, '\n', unread->length - searched)
                              : NULL;
        if (end) {
            take_line(input, (size_t)(end - unread->data));
            return LINE_INPUT_LINE;
        }
        searched = unread->length;
        enum line_input_result result = read_more(input);
        if (result == LINE_INPUT_END && unread->length > 0) {
            take_line(input, unread->length);
            return LINE_INPUT_LINE;
        }
        if (result != LINE_INPUT_LINE)
            return result;
    }
}
