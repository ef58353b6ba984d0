/* Compares the two ways to read a row: in place, and through jansson's values. */
#ifndef MOLECULE_TESTS_MESSAGE_TREE_H
#define MOLECULE_TESTS_MESSAGE_TREE_H

#include "wire/envelope.h"
#include "wire/parts_plain.h"

#include <stdlib.h>
#include <string.h>

static inline json_t *message_tree_load(struct page_row slice)
{
    json_t *value = slice.bytes ? json_loadb(slice.bytes, slice.length,
                                             JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL)
                                : NULL;
    if (slice.bytes && !value)
        abort(); /* it is not sound */
    return value;
}

static inline json_t *message_tree_files(struct page_row parts)
{
    json_t *files = json_array();
    struct page_row item, text, values[PARTS_FILE_NAMES];
    for (const char *at = NULL; slice_item(parts, &at, &item);) {
        if (parts_plain_look(item, &text) != PARTS_PLAIN_FILE)
            continue;
        json_t *file = json_object();
        parts_plain_file(item, values);
        for (size_t i = 0; i < PARTS_FILE_NAMES; i++)
            if (values[i].bytes)
                json_object_set_new(file, parts_file_names[i], message_tree_load(values[i]));
        json_array_append_new(files, file);
    }
    return files;
}

/* Gives a message that was read in place the values that it stands for. */
static inline void message_tree(struct message *message)
{
    json_t *outer = message_tree_load(message->plain.outer),
           *inner = message_tree_load(message->plain.inner);
    if (message->plain.parts.bytes)
        message->parts = message_tree_load(message->plain.parts);
    if (message->plain.files)
        message->files = message_tree_files(message->plain.parts);
    if (message->plain.history.bytes)
        message->history = message_tree_load(message->plain.history);
    if (outer || inner) {
        json_t *merged = json_object();
        json_object_update(merged, outer);
        json_object_del(merged, "history");
        json_object_update(merged, inner);
        if (json_object_size(merged) > 0)
            message->metadata = merged;
        else
            json_decref(merged);
    }
    json_decref(outer);
    json_decref(inner);
    message->plain = (struct message_plain){0};
}

static inline bool message_tree_same_text(const char *one, const char *other)
{
    return one && other ? strcmp(one, other) == 0 : one == other;
}

static inline bool message_tree_same_json(const json_t *one, const json_t *other)
{
    return one && other ? json_equal(one, other) != 0 : one == other;
}

/* Of two messages with trees. */
static inline bool message_tree_same(const struct message *one, const struct message *other)
{
    return one->kind == other->kind && one->text_length == other->text_length &&
           memcmp(one->text, other->text, one->text_length + 1) == 0 &&
           one->raw_length == other->raw_length &&
           memcmp(one->raw, other->raw, one->raw_length + 1) == 0 && one->seq == other->seq &&
           one->repaired == other->repaired && one->unanswerable == other->unanswerable &&
           one->hops == other->hops && message_tree_same_text(one->row_id, other->row_id) &&
           message_tree_same_text(one->source_id, other->source_id) &&
           message_tree_same_text(one->created_at, other->created_at) &&
           message_tree_same_text(one->method, other->method) &&
           message_tree_same_text(one->message_id, other->message_id) &&
           message_tree_same_text(one->context_id, other->context_id) &&
           message_tree_same_text(one->task_id, other->task_id) &&
           message_tree_same_text(one->peer_name, other->peer_name) &&
           message_tree_same_text(one->peer_role, other->peer_role) &&
           message_tree_same_text(one->conversation, other->conversation) &&
           message_tree_same_text(one->in_reply_to, other->in_reply_to) &&
           message_tree_same_text(one->problem, other->problem) &&
           message_tree_same_json(one->parts, other->parts) &&
           message_tree_same_json(one->files, other->files) &&
           message_tree_same_json(one->metadata, other->metadata) &&
           message_tree_same_json(one->history, other->history) &&
           one->echo_length == other->echo_length &&
           (!one->echo || !other->echo ||
            memcmp(one->echo, other->echo, one->echo_length + 1) == 0) &&
           !one->echo == !other->echo;
}

/* The message of a row, with trees, after both ways have agreed on it; else NULL. */
static inline struct message *message_tree_read(struct page_row row, const char *self)
{
    struct message *message = envelope_read(row, self), *other = envelope_read_tree(row, self);
    message_tree(message);
    bool same = message_tree_same(message, other);
    message_free(other);
    if (same)
        return message;
    message_free(message);
    return NULL;
}

#endif
