/* Server-sent events, whole and in pieces. */
#include "unit.h"

#include "base/buffer.h"
#include "wire/sse.h"

#include <string.h>

static struct buffer seen;

static void note(const struct sse_event *event, void *context)
{
    (void)context;
    buffer_printf(&seen, "[%s|%.*s|%s]", event->event, (int)event->data_length, event->data,
                  event->id ? event->id : "-");
}

static const char *read_in_pieces(const char *text, size_t piece)
{
    struct sse_reader reader;
    buffer_free(&seen);
    buffer_init(&seen, 65536);
    sse_open(&reader, 4096, note, NULL);
    for (size_t at = 0, length = strlen(text); at < length; at += piece)
        assert_true(sse_feed(&reader, text + at, length - at < piece ? length - at : piece));
    sse_close(&reader);
    return seen.data ? seen.data : "";
}

static void events_are_the_same_however_they_are_cut(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } samples[] = {
        {"data: one\n\n", "[message|one|-]"},
        {": comment\n\ndata:x\n\n", "[message|x|-]"},
        {"event: named\r\nid: 7\r\ndata: two\r\ndata: lines\r\n\r\ndata: later\r\r",
         "[named|two\nlines|7][message|later|7]"},
        {"data\n\ndata:\ndata\n\n", "[message||-][message|\n|-]"},
        {"data:  two blanks\n\n", "[message| two blanks|-]"},
        {"event: nothing\n\nretry: 5\n\nid\n\ndata: a\n\n", "[message|a|]"},
        {"\xef\xbb\xbf"
         "data: marked\n\n",
         "[message|marked|-]"},
        {"data: cut off", ""},
        {"data: cut off\n", ""},
        {"unknown: field\ndata: x\n\n", "[message|x|-]"},
    };
    for (size_t i = 0; i < COUNT(samples); i++)
        for (size_t piece = 1; piece < 40; piece++)
            assert_string_equal(read_in_pieces(samples[i].text, piece), samples[i].expected);
    buffer_free(&seen);
}

static void a_line_or_an_event_beyond_the_maximum_is_refused(void **state)
{
    (void)state;
    struct sse_reader reader;
    char line[200];
    memset(line, 'x', sizeof line);
    sse_open(&reader, 100, note, NULL);
    assert_false(sse_feed(&reader, line, sizeof line));
    sse_close(&reader);
    sse_open(&reader, 100, note, NULL);
    bool kept = true;
    for (int i = 0; kept && i < 50; i++)
        kept = sse_feed(&reader, "data: 0123456789\n", 17);
    assert_false(kept);
    sse_close(&reader);
}

static void note_cut(const struct sse_event *event, void *context)
{
    (void)context;
    buffer_printf(&seen, "[%s|%s]", event->cut ? "cut" : "whole", event->data);
}

static void what_is_too_large_is_reported_without_its_data_where_asked_for(void **state)
{
    (void)state;
    static const char text[] = "data: one\n\n"
                               "data: 0123456789012345678901234567890123456789\n\n"
                               "data: two\n\n"
                               "data: 012345678901\ndata: 012345678901\ndata: 012345678901\n\n"
                               ": 0123456789012345678901234567890123456789\n"
                               "data: three\r\n\r\n";
    for (size_t piece = 1; piece < 60; piece++) {
        struct sse_reader reader;
        buffer_free(&seen);
        buffer_init(&seen, 65536);
        sse_open(&reader, 32, note_cut, NULL);
        sse_skip_large(&reader);
        for (size_t at = 0, length = strlen(text); at < length; at += piece)
            assert_true(sse_feed(&reader, text + at, length - at < piece ? length - at : piece));
        sse_close(&reader);
        /* a line that was too long may have been data: its event counts as cut */
        assert_string_equal(seen.data, "[whole|one][cut|][whole|two][cut|][cut|]");
    }
    buffer_free(&seen);
}

static void a_stream_is_recognised_by_its_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool recognised;
    } samples[] = {
        {": ping\n", true},
        {"data: x\n", true},
        {"retry: 5\n", true},
        {"\n\n", false},
        {": ping", false},
        {"<html>\n<p style=\"a: b\">\n", false},
        {"{\"error\": \"no\"}\n", false},
    };
    for (size_t i = 0; i < COUNT(samples); i++) {
        struct sse_reader reader;
        sse_open(&reader, 4096, note_cut, NULL);
        assert_true(sse_feed(&reader, samples[i].text, strlen(samples[i].text)));
        assert_true(reader.recognised == samples[i].recognised);
        sse_close(&reader);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_the_same_however_they_are_cut),
        cmocka_unit_test(a_line_or_an_event_beyond_the_maximum_is_refused),
        cmocka_unit_test(what_is_too_large_is_reported_without_its_data_where_asked_for),
        cmocka_unit_test(a_stream_is_recognised_by_its_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
