/* Any bytes as a row: a message comes of it, its strings are UTF-8, and an answer to it can be
 * built. What is repaired once needs no more repair. */
#include "fuzz.h"

#include "tests/support/message_tree.h"
#include "wire/envelope.h"
#include "wire/jsontext.h"
#include "wire/repair.h"
#include "wire/reply.h"

#include <string.h>

static void check_text(const char *text, size_t length)
{
    for (size_t at = 0, size; at < length; at += size) {
        size = repair_character(text + at, length - at);
        HOLDS(size > 0);
    }
}

static void check_string(const char *text)
{
    if (text)
        check_text(text, strlen(text));
}

static void check_repair(const char *text, size_t length)
{
    size_t once_length, twice_length;
    char *once = repair_json(text, length, &once_length);
    char *twice = repair_json(once, once_length, &twice_length);
    json_t *before = json_loadb(text, length, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
    json_t *after = json_loadb(once, once_length, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
    HOLDS(once_length == twice_length && memcmp(once, twice, once_length) == 0);
    HOLDS(!before || (once_length == length && memcmp(once, text, length) == 0));
    HOLDS(!before || json_equal(before, after));
    json_decref(before);
    json_decref(after);
    free(once);
    free(twice);

    once = repair_text(text, length, &once_length);
    HOLDS(strlen(once) == once_length);
    check_text(once, once_length);
    free(once);
}

/* What is written as a string reads back as the repaired text; a sound one is as jansson has it. */
static void check_strings(const char *text, size_t length)
{
    struct buffer ours, sound;
    size_t clean_length;
    char *clean = repair_text(text, length, &clean_length);
    json_t *value = json_stringn(clean, clean_length);
    char *dumped = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    buffer_init(&ours, SIZE_MAX / 4);
    buffer_init(&sound, SIZE_MAX / 4);
    HOLDS(jsontext_append_string(&ours, text, length));
    json_t *read = json_loadb(ours.data, ours.length, JSON_DECODE_ANY, NULL);
    HOLDS(json_equal(read, value));
    bool changed = clean_length != length || memcmp(clean, text, length) != 0;
    HOLDS(jsontext_append_sound(&sound, text, length) == !changed);
    HOLDS(changed || strcmp(sound.data, dumped) == 0);
    buffer_free(&ours);
    buffer_free(&sound);
    json_decref(read);
    json_decref(value);
    free(dumped);
    free(clean);
}

static void check_reply(const struct message *message)
{
    struct reply reply = {
        .text = message->text, .text_length = message->text_length, .parts = message->parts};
    struct reply_request request;
    char problem[256] = "";
    bool built = reply_build(message, &reply, "/reply", &request, problem, sizeof problem);
    HOLDS(built == !*problem);
    if (!built)
        return;
    check_text(request.body, request.body_length);
    HOLDS(request.body_length <= REPLY_BODY_MAXIMUM);
    HOLDS(!strstr(request.body, "\\u0000") || strstr(request.body, "\\\\u0000"));
    json_t *body = json_loadb(request.body, request.body_length, 0, NULL);
    HOLDS(body);
    json_decref(body);
    reply_request_free(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *row = (const char *)data;
    check_repair(row, size);
    check_strings(row, size);
    struct message *message = message_tree_read((struct page_row){row, size}, "self");
    HOLDS(message); /* both readers agree */
    HOLDS(message->text && message->raw && strlen(message->text) <= message->text_length);
    HOLDS((message->kind == ENVELOPE_UNREADABLE) == (message->problem != NULL));
    HOLDS(message->kind == ENVELOPE_UNREADABLE || (message->row_id && message->conversation));
    HOLDS(message->raw_length == 0 || memmem(row, size, message->raw, message->raw_length));
    const char *const strings[] = {message->row_id,  message->source_id,    message->created_at,
                                   message->method,  message->message_id,   message->context_id,
                                   message->task_id, message->conversation, message->in_reply_to,
                                   message->problem};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        check_string(strings[i]);
    check_text(message->text, message->text_length);
    if (message->row_id)
        check_reply(message);
    message_free(message);
    return 0;
}
