/* A reply's body, in the one form its target takes: JSON-RPC for a peer, a notify for the canvas.
 * Both start from the same list of parts (reply_parts.c); a lone text is written directly. */
#include "wire/reply_parts.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "base/uuid.h"
#include "wire/jsontext.h"
#include "wire/parts.h"
#include "wire/repair.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void reply_free(struct reply *reply)
{
    free(reply->text);
    json_decref(reply->parts);
    json_decref(reply->artifacts);
    free(reply->plain_parts);
    *reply = (struct reply){0};
}

/* {in_reply_to, hops}: how another molecule host tells a reply from a question, and an endless
 * exchange from a short one. */
static json_t *make_mark(const struct message *message, const struct reply *reply)
{
    const char *answered = message->message_id ? message->message_id : message->row_id;
    json_t *mark = json_object(), *metadata = json_object();
    if ((!reply->question &&
         json_object_set_new(mark, "in_reply_to", jsontext_string(answered, strlen(answered))) !=
             0) ||
        json_object_set_new(mark, "hops",
                            json_integer(message->hops < INT_MAX ? message->hops + 1 : INT_MAX)) !=
            0) {
        json_decref(mark);
        mark = NULL;
    }
    bool traced = reply->traceparent && *reply->traceparent;
    if (json_object_set_new(metadata, "molecule", mark) != 0 ||
        (traced &&
         json_object_set_new(metadata, "traceparent", json_string(reply->traceparent)) != 0)) {
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
                         const struct reply *reply)
{
    const char *context = message->context_id;
    json_t *body = json_object(), *params = json_object(), *said = json_object();
    bool complete =
        set(said, "role", json_string("user")) && set(said, "messageId", json_string(id)) &&
        set(said, "parts", json_incref(parts)) &&
        (!context || set(said, "contextId", jsontext_string(context, strlen(context)))) &&
        set(said, "metadata", make_mark(message, reply)) &&
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
    /* a character has at most three bytes after its first */
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
    const char *trouble = REPLY_OUT_OF_MEMORY;
    if (!make_attachments(parts, attachments, &names))
        goto cleanup;
    /* the platform refuses a notify without a message (contract §1.9) */
    if (length == 0 && names.length == 0) {
        trouble = "the reply has neither a text nor a file with uri and name, which is all that "
                  "the canvas can show";
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
    char id[UUID_TEXT_SIZE], *name = memory_join(message->row_id, purpose);
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
        snprintf(problem, problem_size, REPLY_OUT_OF_MEMORY);
    }
    buffer_free(&text);
    return written;
}

static bool append_member(struct buffer *body, const char *before, const char *text)
{
    return buffer_append_text(body, before) && jsontext_append_string(body, text, strlen(text));
}

/* The text alone, or before parts that have none. */
static bool append_parts(struct buffer *body, const struct reply *reply)
{
    if (reply->plain_parts && (reply->plain_text || reply->text_length == 0))
        return buffer_append_text(body, reply->plain_parts);
    return buffer_append_text(body, "[{\"kind\":\"text\",\"text\":") &&
           jsontext_append_string(body, reply->text, reply->text_length) &&
           buffer_append_char(body, '}') &&
           (reply->plain_parts
                ? buffer_append_char(body, ',') && buffer_append_text(body, reply->plain_parts + 1)
                : buffer_append_char(body, ']'));
}

/* A reply that is only a text, as most are, is written directly: the same members in the same order
 * as peer_body and canvas_body make them; so are plain parts to a peer. false: it is too large. */
static bool write_directly(const struct message *message, const struct reply *reply,
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
               buffer_append_text(&body, ",\"parts\":") && append_parts(&body, reply) &&
               (!message->context_id ||
                append_member(&body, ",\"contextId\":", message->context_id)) &&
               buffer_append_text(&body, ",\"metadata\":{\"molecule\":{") &&
               (reply->question || (append_member(&body, "\"in_reply_to\":", answered) &&
                                    buffer_append_char(&body, ',')));
        fits = fits && buffer_printf(&body, "\"hops\":%u}",
                                     message->hops < INT_MAX ? message->hops + 1 : INT_MAX);
        if (reply->traceparent && *reply->traceparent)
            fits = fits && append_member(&body, ",\"traceparent\":", reply->traceparent);
        fits = fits && buffer_append_text(&body, "}}}");
    }
    fits = fits && buffer_append_char(&body, '}');
    if (fits) {
        request->body_length = body.length;
        request->body = buffer_take(&body);
    }
    buffer_free(&body);
    return fits;
}

/* A text that repair leaves empty takes the general path, which reports it. */
static bool is_text_alone(const struct reply *reply)
{
    if (reply->parts || reply->plain_parts || !reply->text)
        return false;
    for (size_t i = 0; i < reply->text_length; i++)
        if (reply->text[i])
            return true;
    return false;
}

/* jansson writes these differently than jsontext_append_string. */
static bool has_controls(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < ' ' && text[i] != '\n')
            return true;
    return false;
}

static bool has_plain_parts(const struct message *message, const struct reply *reply)
{
    const char *const names[] = {message->message_id, message->row_id, message->context_id};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i] && has_controls(names[i], strlen(names[i])))
            return false;
    return reply->plain_parts && message->source_id &&
           (!reply->text || !has_controls(reply->text, reply->text_length));
}

/* By way of a tree, which tells what is wrong with it, too. */
static bool build_from_tree(const struct message *message, const struct reply *reply,
                            struct reply_request *request, char *problem, size_t problem_size)
{
    json_t *body = NULL, *parts = reply_make_parts(reply, problem, problem_size);
    if (parts && request->to_canvas)
        body = canvas_body(reply, parts, problem, problem_size);
    else if (parts && !(body = peer_body(message, request->id, parts, reply)))
        snprintf(problem, problem_size, REPLY_OUT_OF_MEMORY);
    bool built = body && write_body(body, maximum_of(reply), request, problem, problem_size);
    json_decref(body);
    json_decref(parts);
    return built;
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
    if ((is_text_alone(reply) || has_plain_parts(message, reply)) &&
        write_directly(message, reply, request))
        return true;
    struct reply parsed = *reply;
    if (reply->plain_parts)
        parsed.parts = json_loads(reply->plain_parts, 0, NULL);
    bool built = false;
    if (parsed.parts || !reply->plain_parts)
        built = build_from_tree(message, &parsed, request, problem, problem_size);
    else
        snprintf(problem, problem_size, REPLY_OUT_OF_MEMORY);
    if (!built)
        reply_request_free(request);
    if (reply->plain_parts)
        json_decref(parsed.parts);
    return built;
}
