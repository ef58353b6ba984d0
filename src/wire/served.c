#include "wire/served.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/memory.h"
#include "wire/a2a.h"
#include "wire/cron_run.h"
#include "wire/jsontext.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAXIMUM 2000           /* of a row, and of its task's record; jansson reads 2048 */
#define MARK "{\"molecule_served\":" /* the platform's rows begin differently */

void served_id(const char *principal, const char *message_id, char id[UUID_TEXT_SIZE])
{
    /* a principal has no "/" in it */
    char *name = memory_join("served/", principal, "/");
    char *whole = memory_join(name, message_id);
    uuid_of_name(whole, id);
    free(whole);
    free(name);
}

void served_answer_id(const char *principal, const char *task_id, const char *message_id,
                      char id[UUID_TEXT_SIZE])
{
    char *name = memory_join("served-answer/", principal, "/", task_id, "/", message_id);
    uuid_of_name(name, id);
    free(name);
}

char *served_row(const struct served *served, const char *id)
{
    char when[CLOCK_TEXT_SIZE];
    size_t needed;
    struct buffer row;
    json_t *message = a2a_v03_message(served->message);
    clock_format(served->at_ms, when);
    buffer_init(&row, SIZE_MAX / 4);
    buffer_printf(&row, MARK "{\"task\":\"%s\",\"answers\":%s},\"id\":\"%s\",\"created_at\":\"%s\"",
                  served->task_id, served->answers ? "true" : "false", id, when);
    buffer_append_text(&row, ",\"source_id\":");
    jsontext_append_string(&row, served->principal, strlen(served->principal));
    buffer_append_text(&row,
                       ",\"request_body\":{\"method\":\"message/send\",\"params\":{\"message\":");
    bool written = jsontext_write(message, &row, &needed);
    if (written && served->metadata) {
        buffer_append_text(&row, ",\"metadata\":");
        written = jsontext_write(served->metadata, &row, &needed);
    }
    buffer_append_text(&row, "}}}");
    json_decref(message);
    if (written)
        return buffer_take(&row);
    buffer_free(&row);
    return NULL;
}

char *served_pushed_message_id(const json_t *request, const char *bytes, size_t length)
{
    char digest[UUID_TEXT_SIZE];
    const json_t *message = json_object_get(json_object_get(request, "params"), "message");
    const char *id = json_string_value(json_object_get(message, "messageId"));
    if (!id)
        id = json_string_value(json_object_get(message, "message_id"));
    if (id && *id)
        return memory_copy_text(id);
    char *text = memory_copy(bytes, length);
    uuid_of_name(text, digest);
    free(text);
    return memory_copy_text(digest);
}

char *served_pushed_row(const char *request, size_t length, const char *id, int64_t at_ms)
{
    char when[CLOCK_TEXT_SIZE];
    clock_format(at_ms, when);
    return memory_format(MARK "{\"task\":\"%s\",\"pushed\":true},\"id\":\"%s\","
                              "\"created_at\":\"%s\",\"request_body\":%.*s}",
                         id, id, when, (int)length, request);
}

bool served_is(struct page_row row)
{
    return row.length > strlen(MARK) && memcmp(row.bytes, MARK, strlen(MARK)) == 0;
}

const char *served_problem(const char *row)
{
    struct page_row whole = {.bytes = row, .length = strlen(row)};
    int depth = 0, deepest = 0;
    if (whole.length < 2 * DEPTH_MAXIMUM) /* neither fits in so few bytes */
        return NULL;
    for (const char *at = row; *at; at++) {
        if (*at == '"') /* a string's brackets are text */
            for (at++; *at != '"'; at++)
                at += *at == '\\';
        depth += *at == '[' || *at == '{';
        depth -= *at == ']' || *at == '}';
        deepest = depth > deepest ? depth : deepest;
    }
    if (deepest > DEPTH_MAXIMUM)
        return "the message is nested too deeply: more than about 2000 levels";
    if (envelope_cost(whole) > ENVELOPE_COST_MAXIMUM)
        return "the message holds too many JSON values: more than 128 MiB in memory";
    return NULL;
}

/* Whose it is is known even of one that cannot be read. */
static void take_sender(struct message *message, struct page_row row)
{
    struct page_row sender;
    if (message->source_id || !page_member(row, "source_id", &sender))
        return;
    json_t *value = jsontext_read(sender.bytes, sender.length, NULL, NULL);
    if (json_is_string(value))
        message->source_id = memory_copy_text(json_string_value(value));
    json_decref(value);
}

struct message *served_read(struct page_row row)
{
    struct page_row said;
    struct message *message = envelope_read(row, NULL); /* no row of the platform's about us */
    bool found = page_member(row, "molecule_served", &said);
    json_t *served = found ? jsontext_read(said.bytes, said.length, NULL, NULL) : NULL;
    bool pushed = json_is_true(json_object_get(served, "pushed"));
    if (!pushed) { /* what a client says there is its own business */
        message_forget_marks(message);
        take_sender(message, row);
    }
    if (json_string_value(json_object_get(served, "task")))
        message->served = json_incref(served); /* its end is its task's, whatever it is */
    json_decref(served);
    bool whole = message->served &&
                 (pushed ? message->kind != ENVELOPE_UNREADABLE
                         : message->kind == ENVELOPE_MESSAGE && message->source_id);
    if (whole)
        return message;
    message->kind = ENVELOPE_UNREADABLE;
    if (!message->problem)
        message->problem = memory_copy_text("it is a damaged message of a task");
    return message;
}

const char *served_task_id(const struct message *message)
{
    return json_string_value(json_object_get(message->served, "task"));
}

bool served_pushed(const struct message *message)
{
    return json_is_true(json_object_get(message->served, "pushed"));
}

bool served_answers(const struct message *message)
{
    return json_is_true(json_object_get(message->served, "answers"));
}

struct message *ledger_row_read(struct page_row row, const char *self)
{
    return cron_run_is(row) ? cron_run_read(row)
           : served_is(row) ? served_read(row)
                            : envelope_read(row, self);
}
