/* One row in, one message out. The row is parsed once; what the message keeps of it are references
 * into that tree and copies of its short strings. What kind of row it is (§2.6) is decided in one
 * place, kind_of. */
#include "wire/envelope.h"

#include "base/memory.h"
#include "wire/envelope_plain.h"
#include "wire/jsontext.h"
#include "wire/parts.h"
#include "wire/repair.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *envelope_kind_text(enum envelope_kind kind)
{
    static const char *const texts[] = {
#define X(name, text) text,
        ENVELOPE_KINDS(X)
#undef X
    };
    return (size_t)kind < sizeof texts / sizeof *texts ? texts[kind] : "unknown";
}

/* A member's text without U+0000; NULL where it is absent, empty or not a string. */
static char *text_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    size_t length;
    if (json_string_length(value) == 0)
        return NULL;
    char *text = repair_text(json_string_value(value), json_string_length(value), &length);
    if (length == 0) {
        free(text);
        text = NULL;
    }
    return text;
}

static char *text_of_either(const json_t *object, const char *key, const char *other)
{
    char *text = text_of(object, key);
    return text ? text : text_of(object, other);
}

/* A cursor must go back exactly as it came: an id with U+0000 in it is invalid. */
static char *id_of(const json_t *value)
{
    const char *id = json_string_value(value);
    return id && *id && strlen(id) == json_string_length(value) ? memory_copy_text(id) : NULL;
}

static bool text_is(const char *text, const char *expected)
{
    return text && strcmp(text, expected) == 0;
}

/* The rows that the platform itself writes have no source or our own; a peer may call its method
 * anything. */
enum envelope_kind envelope_kind_of(const struct envelope_signs *signs, const char *source_id,
                                    const char *self)
{
    bool own = source_id && self && strcasecmp(source_id, self) == 0;
    bool platforms = own || !source_id;
    if (platforms && text_is(signs->method, "notify"))
        return ENVELOPE_ECHO;
    if (platforms && text_is(signs->method, "delegate_result"))
        return ENVELOPE_MESSAGE;
    if (platforms && text_is(signs->method, "chat_upload_receive"))
        return ENVELOPE_UPLOAD;
    if (own)
        return ENVELOPE_SELF_REPORT;
    if (signs->responded || text_is(signs->status, "error"))
        return ENVELOPE_ANSWERED;
    if (signs->summary && strstr(signs->summary, "(queued: target busy)"))
        return ENVELOPE_QUEUED_BUSY;
    /* the platform told the sender that it is queued: a message, whatever the method */
    bool asked = signs->requested || text_is(signs->method, "message/send") ||
                 text_is(signs->method, "message/stream");
    return asked ? ENVELOPE_MESSAGE : ENVELOPE_EMPTY;
}

static enum envelope_kind kind_of(const json_t *row, const struct message *message,
                                  const char *self)
{
    const json_t *response = json_object_get(row, "response_body");
    const json_t *request = json_object_get(row, "request_body");
    struct envelope_signs signs = {.responded = response && !json_is_null(response),
                                   .requested = request && !json_is_null(request),
                                   .status = json_string_value(json_object_get(row, "status")),
                                   .summary = json_string_value(json_object_get(row, "summary")),
                                   .method = json_string_value(json_object_get(row, "method"))};
    return envelope_kind_of(&signs, message->source_id, self);
}

/* The A2A message in a JSON-RPC request, or in the body of A2A's REST binding. NULL: none. */
static json_t *find_message(const json_t *envelope)
{
    json_t *said = json_object_get(json_object_get(envelope, "params"), "message");
    return json_is_object(said) ? said : json_object_get(envelope, "message");
}

/* false: out of memory */
static bool read_parts(struct message *message, const json_t *envelope)
{
    /* content: A2A 0.2, and drafts of 1.0 */
    static const char *const names[] = {"parts", "content"};
    const json_t *const places[] = {find_message(envelope), json_object_get(envelope, "params"),
                                    envelope};
    for (size_t i = 0; i < 2 * sizeof places / sizeof *places; i++) {
        json_t *found = json_object_get(places[i / 2], names[i % 2]);
        if (json_array_size(found) > 0)
            message->parts = json_incref(found);
        else if (i % 2 == 1 && json_string_length(found) > 0)
            message->parts = json_pack("[{s:s, s:O}]", "kind", "text", "text", found);
        else
            continue;
        return message->parts;
    }
    return true;
}

static void read_text(struct message *message, const json_t *row)
{
    const json_t *summary = json_object_get(row, "summary");
    if (message->parts) {
        message->text = parts_text(message->parts, &message->text_length);
    } else if (json_is_string(summary)) {
        message->text_length = json_string_length(summary);
        message->text = memory_copy(json_string_value(summary), message->text_length);
    }
    if (!message->text)
        message->text = memory_copy("", 0);
}

static void read_echo(struct message *message, const json_t *response)
{
    const json_t *told = json_object_get(response, "result");
    if (!json_is_string(told))
        return;
    message->echo_length = json_string_length(told);
    message->echo = memory_copy(json_string_value(told), message->echo_length);
}

/* false: out of memory */
static bool read_files(struct message *message, json_t *envelope)
{
    if (message->kind != ENVELOPE_UPLOAD || !json_is_object(envelope))
        return parts_files(message->parts, &message->files);
    message->files = json_array();
    return message->files && json_array_append_new(message->files, parts_file(envelope)) == 0;
}

/* false: out of memory */
static bool read_metadata(struct message *message, const json_t *envelope)
{
    json_t *outer = json_object_get(json_object_get(envelope, "params"), "metadata");
    json_t *inner = json_object_get(find_message(envelope), "metadata");
    const json_t *mark = json_object_get(inner, "molecule");
    json_t *history = json_object_get(outer, "history");
    if (json_is_array(history))
        message->history = json_incref(history);
    message->in_reply_to = text_of(mark, "in_reply_to");
    message->traceparent = text_of(inner, "traceparent");
    if (!message->traceparent)
        message->traceparent = text_of(outer, "traceparent");
    json_int_t hops = json_integer_value(json_object_get(mark, "hops"));
    message->hops = hops < 0 ? 0 : hops > INT_MAX ? INT_MAX : (unsigned)hops;

    if (json_object_size(outer) + json_object_size(inner) == 0)
        return true;
    json_t *merged = json_object(); /* json_copy does not report running out of memory halfway */
    if (!merged)
        return false;
    bool complete = !json_is_object(outer) || json_object_update(merged, outer) == 0;
    json_object_del(merged, "history");
    if (!complete || (json_is_object(inner) && json_object_update(merged, inner) != 0)) {
        json_decref(merged);
        return false;
    }
    if (json_object_size(merged) > 0)
        message->metadata = merged;
    else
        json_decref(merged);
    return true;
}

char *envelope_conversation(const struct message *message)
{
    const char *source = message->source_id ? message->source_id : "canvas";
    return message->context_id ? memory_join(source, "/", message->context_id)
                               : memory_copy_text(source);
}

static void read_names(struct message *message, const json_t *row, const json_t *envelope)
{
    const json_t *said = find_message(envelope);
    message->source_id = text_of(row, "source_id");
    message->created_at = text_of(row, "created_at");
    message->peer_name = text_of(row, "peer_name");
    message->peer_role = text_of(row, "peer_role");
    message->method = text_of(row, "method");
    if (!message->method)
        message->method = text_of(envelope, "method");
    message->message_id = text_of_either(said, "messageId", "message_id");
    message->context_id = text_of_either(said, "contextId", "context_id");
    message->task_id = text_of_either(said, "taskId", "task_id");
    const json_t *seq = json_object_get(row, "seq");
    if (json_is_integer(seq))
        message->seq = json_integer_value(seq);
    message->conversation = envelope_conversation(message);
}

/* The result of a delegation, in the platform's words (contract §1.15), which do not contain the
 * peer's name. */
static void read_delegation(struct message *message, const json_t *row)
{
    const json_t *response = json_object_get(row, "response_body"),
                 *text = json_object_get(response, "text");
    char *delegation = text_of(response, "delegation_id");
    message->unanswerable = true;
    free(message->in_reply_to);
    message->in_reply_to = delegation
                               ? delegation
                               : text_of(json_object_get(row, "request_body"), "delegation_id");
    if (json_string_length(text) == 0)
        return; /* the summary has the failure's text */
    free(message->text);
    message->text_length = json_string_length(text);
    message->text = memory_copy(json_string_value(text), message->text_length);
}

/* NULL: the message is whole; else why it is not. */
static const char *read_row(struct message *message, json_t *row, const char *self)
{
    if (!json_is_object(row))
        return "the row is not a JSON object";
    message->row_id = id_of(json_object_get(row, "id"));
    if (!message->row_id)
        return "the row has no id";
    const json_t *source = json_object_get(row, "source_id");
    /* treated as absent, it would pass for the human in the canvas */
    if (source && !json_is_null(source) && !json_is_string(source))
        return "source_id is neither text nor null";

    json_t *envelope = json_object_get(row, "request_body");
    read_names(message, row, envelope);
    message->kind = kind_of(row, message, self);
    if (!read_parts(message, envelope))
        return "out of memory";
    read_text(message, row);
    if (!read_files(message, envelope) || !read_metadata(message, envelope))
        return "out of memory";
    if (message->kind == ENVELOPE_ECHO)
        read_echo(message, json_object_get(row, "response_body"));
    bool platforms = !message->source_id || (self && strcasecmp(message->source_id, self) == 0);
    if (platforms && message->kind == ENVELOPE_MESSAGE &&
        text_is(message->method, "delegate_result"))
        read_delegation(message, row);
    return NULL;
}

static void make_unreadable(struct message *message, struct page_row row, const char *problem)
{
    struct page_row id;
    size_t length;
    message->kind = ENVELOPE_UNREADABLE;
    message->problem = repair_text(problem, strlen(problem), &length);
    if (!message->text)
        message->text = memory_copy("", 0);
    if (!message->row_id && page_member(row, "id", &id)) {
        json_t *value = jsontext_read(id.bytes, id.length, NULL, NULL);
        message->row_id = id_of(value);
        json_decref(value);
    }
}

/* The columns that make a message; the rest of a row is not parsed. */
static const char *const columns[ENVELOPE_COLUMNS] = {
#define X(column, name) name,
    ENVELOPE_COLUMN_NAMES(X)
#undef X
};

/* A plain string: printable ASCII without escapes. */
static bool is_plain(struct page_row value)
{
    if (value.length < 2 || value.bytes[0] != '"' || value.bytes[value.length - 1] != '"')
        return false;
    for (size_t i = 1; i < value.length - 1; i++)
        if (value.bytes[i] < ' ' || value.bytes[i] > '~' || value.bytes[i] == '\\' ||
            value.bytes[i] == '"')
            return false;
    return true;
}

/* The row with these columns alone, nulls left out. NULL: it has to be parsed as a whole, and will
 * be repaired or is unreadable. */
static json_t *read_columns(const struct page_row *values)
{
    json_t *row = json_object();
    for (size_t i = 0; row && i < ENVELOPE_COLUMNS; i++) {
        struct page_row value = values[i];
        bool repaired = false;
        if (!value.bytes || (value.length == 4 && memcmp(value.bytes, "null", 4) == 0))
            continue;
        json_t *parsed = is_plain(value)
                             ? json_stringn_nocheck(value.bytes + 1, value.length - 2)
                             : jsontext_read(value.bytes, value.length, &repaired, NULL);
        if (repaired || json_object_set_new_nocheck(row, columns[i], parsed) != 0) {
            if (repaired)
                json_decref(parsed);
            json_decref(row);
            row = NULL;
        }
    }
    return row;
}

/* In bytes of jansson 2.14 on a 64-bit machine, with malloc's overhead: even an empty object or
 * array has a table of eight slots. Text counts twice, in the tree and in `raw`. */
size_t envelope_cost(struct page_row row)
{
    static const unsigned short costs[256] = {['{'] = 240, ['['] = 136, [','] = 56, [':'] = 64};
    size_t cost = 2 * row.length;
    for (size_t i = 0; i < row.length; i++) {
        cost += costs[(unsigned char)row.bytes[i]];
        if (row.bytes[i] != '"')
            continue;
        for (i++; i < row.length && row.bytes[i] != '"'; i++) /* a string's brackets are text */
            if (row.bytes[i] == '\\')
                i++;
    }
    return cost;
}

/* Without parsing what would not fit; its id is still found. */
static struct message *too_costly(struct message *message, struct page_row row)
{
    make_unreadable(message, row, "it holds too many JSON values (more than 128 MiB in memory)");
    return message;
}

static struct message *read_message(struct page_row row, const char *self, bool plainly)
{
    struct message *message = memory_allocate(sizeof *message);
    struct page_row values[ENVELOPE_COLUMNS];
    char trouble[JSONTEXT_PROBLEM_SIZE];
    message->seq = -1;
    bool whole = page_members(row, columns, ENVELOPE_COLUMNS, values);
    message->raw = memory_copy(values[0].bytes ? values[0].bytes : "", values[0].length);
    message->raw_length = values[0].length;
    if (row.length > ENVELOPE_COST_MAXIMUM / 512 && envelope_cost(row) > ENVELOPE_COST_MAXIMUM)
        return too_costly(message, row);
    if (whole && plainly && envelope_read_plain(message, values, self))
        return message;
    json_t *parsed = whole ? read_columns(values) : NULL;
    if (!parsed)
        parsed = jsontext_read(row.bytes, row.length, &message->repaired, trouble);
    const char *problem = parsed ? read_row(message, parsed, self) : trouble;
    if (problem)
        make_unreadable(message, row, problem);
    json_decref(parsed);
    return message;
}

struct message *envelope_read(struct page_row row, const char *self)
{
    return read_message(row, self, true);
}

struct message *envelope_read_tree(struct page_row row, const char *self)
{
    return read_message(row, self, false);
}
