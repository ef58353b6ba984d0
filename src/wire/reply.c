/* A reply is cleaned (every string passes wire/repair.h, every part gets its kind), then put into
 * the one form its target takes. Both forms start from the same list of parts. */
#include "wire/reply.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "base/uuid.h"
#include "wire/jsontext.h"
#include "wire/page.h"
#include "wire/parts.h"
#include "wire/repair.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* what peers' parsers commonly take, and a bound for the recursion here */
#define DEPTH_MAXIMUM 100

#define OUT_OF_MEMORY "out of memory"

void reply_free(struct reply *reply)
{
    free(reply->text);
    json_decref(reply->parts);
    *reply = (struct reply){0};
}

static bool deeper_than(const json_t *value, int levels)
{
    size_t index;
    const char *key;
    json_t *item;
    if (levels == 0)
        return json_is_array(value) || json_is_object(value);
    json_array_foreach (value, index, item)
        if (deeper_than(item, levels - 1))
            return true;
    json_object_foreach ((json_t *)value, key, item)
        if (deeper_than(item, levels - 1))
            return true;
    return false;
}

static json_t *clean(const json_t *value);

static json_t *clean_object(const json_t *value)
{
    const char *key;
    json_t *item, *copy = json_object();
    json_object_foreach ((json_t *)value, key, item) {
        json_t *name = jsontext_string(key, strlen(key));
        int failed = name ? json_object_set_new_nocheck(copy, json_string_value(name), clean(item))
                          : -1;
        json_decref(name);
        if (failed) {
            json_decref(copy);
            return NULL;
        }
    }
    return copy;
}

/* A copy that the platform takes. NULL: out of memory. */
static json_t *clean(const json_t *value)
{
    if (json_is_string(value))
        return jsontext_string(json_string_value(value), json_string_length(value));
    if (json_is_object(value))
        return clean_object(value);
    if (!json_is_array(value))
        return json_incref((json_t *)value);
    size_t index;
    json_t *item, *copy = json_array();
    json_array_foreach (value, index, item) {
        if (json_array_append_new(copy, clean(item)) != 0) {
            json_decref(copy);
            return NULL;
        }
    }
    return copy;
}

/* A2A 1.0's file is a flat part: {raw | url, filename, mediaType}; what goes out is 0.3's. false:
 * out of memory. */
static bool nest_file(json_t *part)
{
    static const char *const names[][2] = {{"name", "name"},
                                           {"mime_type", "mimeType"},
                                           {"uri", "uri"},
                                           {"size", "size"},
                                           {"bytes", "bytes"}};
    static const char *const flat[] = {"raw", "url", "filename", "mediaType"};
    if (json_object_get(part, "file") ||
        (!json_object_get(part, "raw") && !json_object_get(part, "url")))
        return true;
    json_t *read = parts_file(part), *file = json_object();
    bool complete = read && file;
    for (size_t i = 0; i < sizeof names / sizeof *names && complete; i++) {
        json_t *value = json_object_get(read, names[i][0]);
        complete = !value || json_object_set(file, names[i][1], value) == 0;
    }
    json_decref(read);
    if (!complete || json_object_set_new(part, "file", file) != 0) {
        if (!complete)
            json_decref(file);
        return false;
    }
    for (size_t i = 0; i < sizeof flat / sizeof *flat; i++)
        json_object_del(part, flat[i]);
    return true;
}

/* Only `kind` goes out (contract §3.2). NULL: the part is sound. */
static const char *settle_kind(json_t *part)
{
    const char *kind = json_string_value(json_object_get(part, "kind"));
    if (!kind)
        kind = json_string_value(json_object_get(part, "type"));
    if (!kind)
        kind = json_object_get(part, "text") ? "text" : parts_kind(part);
    if (!kind)
        return "has no kind (text, file or data)";
    if (strcmp(kind, "text") == 0 && !json_is_string(json_object_get(part, "text")))
        return "is a text part without a text";
    bool is_file = strcmp(kind, "file") == 0;
    if (json_object_set_new_nocheck(part, "kind", json_string_nocheck(kind)) != 0 ||
        (is_file && !nest_file(part)))
        return OUT_OF_MEMORY;
    json_object_del(part, "type");
    return NULL;
}

/* NULL: it stands in `parts`; else what is wrong with it. */
static const char *add_part(json_t *parts, const json_t *given)
{
    if (!json_is_object(given))
        return "is no object";
    if (deeper_than(given, DEPTH_MAXIMUM))
        return "is nested deeper than 100 levels";
    json_t *part = clean(given);
    const char *problem = part ? settle_kind(part) : OUT_OF_MEMORY;
    if (problem) {
        json_decref(part);
        return problem;
    }
    return json_array_append_new(parts, part) == 0 ? NULL : OUT_OF_MEMORY;
}

static bool has_kind(const json_t *parts, const char *kind)
{
    size_t index;
    json_t *part;
    json_array_foreach (parts, index, part)
        if (parts_is(part, kind))
            return true;
    return false;
}

static bool insert_text(json_t *parts, const struct reply *reply)
{
    json_t *part = json_object();
    if (json_object_set_new(part, "kind", json_string("text")) != 0 ||
        json_object_set_new(part, "text", jsontext_string(reply->text, reply->text_length)) != 0) {
        json_decref(part);
        return false;
    }
    return json_array_insert_new(parts, 0, part) == 0;
}

static bool is_empty(const json_t *parts)
{
    size_t index;
    json_t *part;
    json_array_foreach (parts, index, part)
        if (!parts_is(part, "text") || json_string_length(json_object_get(part, "text")) > 0)
            return false;
    return true;
}

/* The reply's parts as they go out. NULL: `problem` says why not. */
static json_t *make_parts(const struct reply *reply, char *problem, size_t problem_size)
{
    size_t index;
    json_t *given, *parts = json_array();
    const char *trouble = parts ? NULL : OUT_OF_MEMORY;
    if (trouble || (reply->parts && !json_is_array(reply->parts))) {
        snprintf(problem, problem_size, "%s", trouble ? trouble : "the reply's parts are no array");
        goto failed;
    }
    json_array_foreach (reply->parts, index, given) {
        if ((trouble = add_part(parts, given))) {
            snprintf(problem, problem_size, "part %zu of the reply %s", index + 1, trouble);
            goto failed;
        }
    }
    if (reply->text_length > 0 && !has_kind(parts, "text") && !insert_text(parts, reply)) {
        snprintf(problem, problem_size, OUT_OF_MEMORY);
        goto failed;
    }
    if (is_empty(parts)) {
        snprintf(problem, problem_size, "the reply is empty");
        goto failed;
    }
    return parts;
failed:
    json_decref(parts);
    return NULL;
}

/* {in_reply_to, hops}: how another molecule host knows a reply from a question, and an endless
 * exchange from a short one. */
static json_t *make_mark(const struct message *message, bool question)
{
    const char *answered = message->message_id ? message->message_id : message->row_id;
    json_t *mark = json_object(), *metadata = json_object();
    if ((!question && json_object_set_new(mark, "in_reply_to",
                                          jsontext_string(answered, strlen(answered))) != 0) ||
        json_object_set_new(mark, "hops",
                            json_integer(message->hops < INT_MAX ? message->hops + 1 : INT_MAX)) !=
            0) {
        json_decref(mark);
        mark = NULL;
    }
    if (json_object_set_new(metadata, "molecule", mark) != 0) {
        json_decref(metadata);
        return NULL;
    }
    return metadata;
}

/* Takes `value`. */
static bool set(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0;
}

/* NULL: out of memory */
static json_t *peer_body(const struct message *message, const char *id, json_t *parts,
                         bool question)
{
    const char *context = message->context_id;
    json_t *body = json_object(), *params = json_object(), *said = json_object();
    bool complete =
        set(said, "role", json_string("user")) && set(said, "messageId", json_string(id)) &&
        set(said, "parts", json_incref(parts)) &&
        (!context || set(said, "contextId", jsontext_string(context, strlen(context)))) &&
        set(said, "metadata", make_mark(message, question)) &&
        set(body, "jsonrpc", json_string("2.0")) && set(body, "id", json_string(id)) &&
        set(body, "method", json_string("message/send")) &&
        set(params, "message", json_incref(said)) && set(body, "params", json_incref(params));
    json_decref(said);
    json_decref(params);
    if (complete)
        return body;
    json_decref(body);
    return NULL;
}

/* {uri, name, mimeType, size}; NULL: out of memory */
static json_t *make_attachment(const json_t *file)
{
    static const char *const keys[][2] = {
        {"uri", "uri"}, {"name", "name"}, {"mime_type", "mimeType"}, {"size", "size"}};
    json_t *attachment = json_object();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_t *value = json_object_get(file, keys[i][0]);
        if (value && json_object_set(attachment, keys[i][1], value) != 0) {
            json_decref(attachment);
            return NULL;
        }
    }
    return attachment;
}

/* Those of the files that the canvas can show, and their names as one text. false: out of memory.
 */
static bool make_attachments(const json_t *parts, json_t *attachments, struct buffer *names)
{
    size_t index;
    json_t *files, *file;
    if (!attachments || !parts_files(parts, &files))
        return false;
    bool made = true;
    json_array_foreach (files, index, file) {
        const char *name = json_string_value(json_object_get(file, "name"));
        if (!name || !*name || json_string_length(json_object_get(file, "uri")) == 0)
            continue;
        if (names->length > 0)
            buffer_append_text(names, ", ");
        buffer_append_text(names, name);
        made = made && json_array_append_new(attachments, make_attachment(file)) == 0;
    }
    json_decref(files);
    return made;
}

/* The text as it is sent to the canvas; yours to free. */
static char *shape_for_canvas(const struct reply *reply, const char *text, size_t length,
                              size_t *shaped_length)
{
    /* a character has at most three bytes behind its first */
    static const char newlines[] = "\n\n\n";
    char *repaired = repair_text(text, length, shaped_length);
    size_t shift = 0;
    if (reply->cut_summary && *shaped_length > REPLY_SUMMARY_BYTES)
        while (shift < sizeof newlines - 1 &&
               ((unsigned char)repaired[REPLY_SUMMARY_BYTES - shift] & 0xC0) == 0x80)
            shift++;
    if (shift == 0)
        return repaired;
    char *shaped = memory_allocate(*shaped_length + shift + 1);
    memcpy(shaped, newlines, shift);
    memcpy(shaped + shift, repaired, *shaped_length + 1);
    *shaped_length += shift;
    free(repaired);
    return shaped;
}

/* NULL: `problem` says why not. */
static json_t *canvas_body(const struct reply *reply, const json_t *parts, char *problem,
                           size_t problem_size)
{
    size_t length = 0;
    struct buffer names;
    json_t *body = json_object(), *attachments = json_array();
    buffer_init(&names, REPLY_BODY_MAXIMUM);
    char *plain = parts_text(parts, &length),
         *text = shape_for_canvas(reply, plain ? plain : "", length, &length);
    const char *trouble = OUT_OF_MEMORY;
    if (!make_attachments(parts, attachments, &names))
        goto cleanup;
    /* the platform refuses a notify without a message (contract §1.9) */
    if (length == 0 && names.length == 0) {
        trouble = "the reply has neither a text nor a file with uri and name, which is all the "
                  "canvas can show";
        goto cleanup;
    }
    if (!set(body, "message",
             length > 0 ? jsontext_string(text, length)
                        : jsontext_string(names.data, names.length)))
        goto cleanup;
    if (json_array_size(attachments) > 0 && !set(body, "attachments", json_incref(attachments)))
        goto cleanup;
    trouble = NULL;
cleanup:
    if (trouble) {
        snprintf(problem, problem_size, "%s", trouble);
        json_decref(body);
        body = NULL;
    }
    json_decref(attachments);
    buffer_free(&names);
    free(plain);
    free(text);
    return body;
}

static char *make_id(const struct message *message, const char *purpose)
{
    char id[UUID_TEXT_SIZE], *name = memory_format("%s%s", message->row_id, purpose);
    uuid_of_name(name, id);
    free(name);
    return memory_copy_text(id);
}

static size_t maximum_of(const struct reply *reply)
{
    return reply->maximum ? reply->maximum : REPLY_BODY_MAXIMUM;
}

static bool write_body(const json_t *body, size_t maximum, struct reply_request *request,
                       char *problem, size_t problem_size)
{
    struct buffer text;
    size_t needed;
    buffer_init(&text, maximum);
    bool written = jsontext_write(body, &text, &needed);
    if (written) {
        request->body_length = text.length;
        request->body = buffer_take(&text);
    } else if (needed > 0) {
        snprintf(problem, problem_size,
                 "the reply is %zu bytes as JSON, the platform takes at most %zu", needed, maximum);
    } else {
        snprintf(problem, problem_size, OUT_OF_MEMORY);
    }
    buffer_free(&text);
    return written;
}

static bool append_member(struct buffer *body, const char *before, const char *text)
{
    return buffer_append_text(body, before) && jsontext_append_string(body, text, strlen(text));
}

/* A text alone, which most replies are, is written straight: the same members in the same order as
 * peer_body and canvas_body make them. false: it is too large. */
static bool write_text(const struct message *message, const struct reply *reply,
                       struct reply_request *request)
{
    struct buffer body;
    bool fits;
    buffer_init(&body, maximum_of(reply));
    if (request->to_canvas) {
        buffer_append_text(&body, "{\"message\":");
        size_t length = reply->text_length;
        char *shaped = reply->cut_summary ? shape_for_canvas(reply, reply->text, length, &length)
                                          : NULL;
        fits = jsontext_append_string(&body, shaped ? shaped : reply->text, length);
        free(shaped);
    } else {
        const char *answered = message->message_id ? message->message_id : message->row_id;
        fits = append_member(&body, "{\"jsonrpc\":\"2.0\",\"id\":", request->id) &&
               append_member(&body,
                             ",\"method\":\"message/"
                             "send\",\"params\":{\"message\":{\"role\":\"user\",\"messageId\":",
                             request->id) &&
               buffer_append_text(&body, ",\"parts\":[{\"kind\":\"text\",\"text\":") &&
               jsontext_append_string(&body, reply->text, reply->text_length) &&
               buffer_append_text(&body, "}]") &&
               (!message->context_id ||
                append_member(&body, ",\"contextId\":", message->context_id)) &&
               buffer_append_text(&body, ",\"metadata\":{\"molecule\":{") &&
               (reply->question || (append_member(&body, "\"in_reply_to\":", answered) &&
                                    buffer_append_char(&body, ',')));
        fits = fits && buffer_printf(&body, "\"hops\":%u}}}}",
                                     message->hops < INT_MAX ? message->hops + 1 : INT_MAX);
    }
    fits = fits && buffer_append_char(&body, '}');
    if (fits) {
        request->body_length = body.length;
        request->body = buffer_take(&body);
    }
    buffer_free(&body);
    return fits;
}

/* One that is left empty when what cannot be sent is taken out goes the long way, which says so. */
static bool is_text_alone(const struct reply *reply)
{
    if (reply->parts || !reply->text)
        return false;
    for (size_t i = 0; i < reply->text_length; i++)
        if (reply->text[i])
            return true;
    return false;
}

bool reply_build(const struct message *message, const struct reply *reply, const char *purpose,
                 struct reply_request *request, char *problem, size_t problem_size)
{
    *request = (struct reply_request){.to_canvas = !message->source_id};
    if (!message->row_id) {
        snprintf(problem, problem_size, "the message has no id to answer under");
        return false;
    }
    if (reply->text_length > maximum_of(reply)) {
        snprintf(problem, problem_size,
                 "the reply's text is %zu bytes, the platform takes at most %zu",
                 reply->text_length, maximum_of(reply));
        return false;
    }
    request->target = memory_copy_text(message->source_id);
    request->id = make_id(message, purpose);
    if (is_text_alone(reply) && write_text(message, reply, request))
        return true;
    json_t *body = NULL, *parts = make_parts(reply, problem, problem_size);
    if (!parts) {
        reply_request_free(request);
        return false;
    }
    if (request->to_canvas)
        body = canvas_body(reply, parts, problem, problem_size);
    else if (!(body = peer_body(message, request->id, parts, reply->question)))
        snprintf(problem, problem_size, OUT_OF_MEMORY);
    bool built = body && write_body(body, maximum_of(reply), request, problem, problem_size);
    if (!built)
        reply_request_free(request);
    json_decref(body);
    json_decref(parts);
    return built;
}

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

/* What a peer that polls is answered with, thousands of times, is told by one member. */
static bool says_queued(const char *body, size_t length)
{
    static const char *const keys[] = {"status", "queued"};
    struct page_row values[2], answer = {.bytes = body, .length = length};
    return page_members(answer, keys, 2, values) &&
           (value_is(values[0], "\"queued\"") || value_is(values[1], "true"));
}

enum reply_answer reply_read_answer(bool to_canvas, const char *body, size_t length)
{
    if (!to_canvas && says_queued(body, length))
        return REPLY_ANSWER_QUEUED;
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
