/* What a message holds: given up while it waits, taken again, and freed. */
#include "base/memory.h"
#include "base/shared.h"
#include "wire/envelope.h"
#include "wire/jsontext.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_ROW 1024 /* bytes; whatever it contains, such a row is not worth parsing twice */
#define SMALL_COST ((size_t)32 << 10)

/* What a message needs while it waits stays. */
static void take_content(struct message *message, struct message *from)
{
    message->text = from->text;
    message->text_length = from->text_length;
    message->raw = from->raw;
    message->raw_length = from->raw_length;
    message->parts = from->parts;
    message->files = from->files;
    message->metadata = from->metadata;
    message->history = from->history;
    message->echo = from->echo;
    message->echo_length = from->echo_length;
    message->plain = from->plain;
    from->plain = (struct message_plain){0};
    from->text = from->raw = from->echo = NULL;
    from->parts = from->files = from->metadata = from->history = NULL;
}

void message_shed(struct message *message)
{
    if (message->shed)
        return;
    struct message *dropped = memory_allocate(sizeof *dropped);
    take_content(dropped, message);
    message_free(dropped);
    message->text = memory_copy_text("");
    message->raw = memory_copy_text("");
    message->text_length = message->raw_length = 0;
    message->shed = true;
}

void message_shed_large(struct message *message, struct page_row row)
{
    if (message->kind == ENVELOPE_MESSAGE && row.length > SMALL_ROW &&
        envelope_cost(row) > SMALL_COST)
        message_shed(message);
}

void message_restore(struct message *message, struct page_row row, const char *self)
{
    if (!message->shed)
        return;
    struct message *read = envelope_read(row, self);
    free(message->text);
    free(message->raw);
    take_content(message, read);
    message->shed = false;
    message_free(read);
}

json_t *message_parts(const struct message *message)
{
    struct page_row parts = message->plain.parts;
    return parts.bytes ? jsontext_read(parts.bytes, parts.length, NULL, NULL)
                       : json_incref(message->parts);
}

static bool is_among_names(const struct message *message, const char *text)
{
    return message->names && (uintptr_t)text - (uintptr_t)message->names < message->names_length;
}

static void free_text(const struct message *message, char *text)
{
    if (!is_among_names(message, text))
        free(text);
}

static const char *copy_name(char **to, const char *name)
{
    const char *copy = *to;
    if (name)
        *to = stpcpy(*to, name) + 1;
    return name ? copy : NULL;
}

/* Shared with the message, if it was read in place; else copies. */
struct message_names message_take_names(const struct message *message)
{
    const char *const each[] = {message->row_id, message->source_id, message->created_at};
    size_t size = 0;
    bool shared = true;
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        size += each[i] ? strlen(each[i]) + 1 : 0;
        shared = shared && (!each[i] || is_among_names(message, each[i]));
    }
    if (shared)
        return (struct message_names){shared_take(message->names), each[0], each[1], each[2]};
    char *block = shared_allocate(size), *to = block;
    struct message_names names = {.shared = block};
    names.row_id = copy_name(&to, each[0]);
    names.source_id = copy_name(&to, each[1]);
    names.created_at = copy_name(&to, each[2]);
    return names;
}

void message_forget_marks(struct message *message)
{
    free_text(message, message->in_reply_to);
    message->in_reply_to = NULL;
    message->hops = 0;
    message->unanswerable = false;
}

void message_set_conversation(struct message *message, const char *conversation)
{
    free_text(message, message->conversation);
    message->conversation = memory_copy_text(conversation);
}

void message_free(struct message *message)
{
    if (!message)
        return;
    char *const strings[] = {
        message->row_id,      message->source_id,    message->created_at, message->method,
        message->message_id,  message->context_id,   message->task_id,    message->peer_name,
        message->peer_role,   message->conversation, message->text,       message->raw,
        message->in_reply_to, message->problem,      message->echo,       message->traceparent};
    json_t *const values[] = {message->parts,   message->files, message->metadata,
                              message->history, message->run,   message->served};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        free_text(message, strings[i]);
    shared_release(message->names);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        json_decref(values[i]);
    free(message);
}
