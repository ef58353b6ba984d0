/* How the platform answered a reply. */
#include "wire/reply.h"

#include "wire/jsontext.h"
#include "wire/slice.h"

#include <string.h>

static enum reply_answer read_peer(const json_t *answer)
{
    const char *status = json_string_value(json_object_get(answer, "status"));
    const json_t *result = json_object_get(answer, "result"),
                 *error = json_object_get(answer, "error");
    if (json_is_true(json_object_get(answer, "queued")) ||
        (status && strcmp(status, "queued") == 0))
        return REPLY_ANSWER_QUEUED;
    if (json_is_string(error) &&
        strcmp(json_string_value(error), "agent returned empty response body") == 0)
        return REPLY_ANSWER_NOTHING;
    if (error && !json_is_null(error))
        return REPLY_ANSWER_ERROR;
    return result ? REPLY_ANSWER_RESULT : REPLY_ANSWER_STRANGE;
}

static bool value_is(struct page_row value, const char *expected)
{
    return value.length == strlen(expected) && memcmp(value.bytes, expected, value.length) == 0;
}

/* The answer for a peer that polls, seen thousands of times, is recognized by one member. */
static bool says_queued(const char *body, size_t length)
{
    static const char *const keys[] = {"status", "queued"};
    struct page_row values[2], answer = {.bytes = body, .length = length};
    return page_members(answer, keys, 2, values) &&
           (value_is(values[0], "\"queued\"") || value_is(values[1], "true"));
}

/* … for the canvas, the whole of which has to be JSON. */
static bool says_sent(struct page_row answer)
{
    struct page_row status;
    while (answer.length > 0 && strchr(" \n\r\t", answer.bytes[answer.length - 1]) &&
           answer.bytes[answer.length - 1])
        answer.length--;
    return slice_sound(answer) && page_member(answer, "status", &status) &&
           slice_says(status, "sent");
}

enum reply_answer reply_read_answer(bool to_canvas, const char *body, size_t length)
{
    if (!to_canvas && says_queued(body, length))
        return REPLY_ANSWER_QUEUED;
    if (to_canvas && says_sent((struct page_row){body, length}))
        return REPLY_ANSWER_SENT;
    json_t *answer = jsontext_read(body, length, NULL, NULL);
    const char *status = json_string_value(json_object_get(answer, "status"));
    enum reply_answer read = REPLY_ANSWER_STRANGE;
    if (to_canvas)
        read = status && strcmp(status, "sent") == 0 ? REPLY_ANSWER_SENT : REPLY_ANSWER_STRANGE;
    else if (answer)
        read = read_peer(answer);
    json_decref(answer);
    return read;
}
