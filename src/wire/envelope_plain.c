/* The same message as envelope.c makes of a tree, found in the bytes by page_members. Whatever is
 * unusual is refused before anything is taken, so that there is one place that knows it. */
#include "wire/envelope_plain.h"

#include "base/memory.h"
#include "base/shared.h"
#include "wire/repair.h"
#include "wire/parts_plain.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of an envelope. Of more the tables in Lua are better made in their exact size, which a tree
 * tells, and its strings better unescaped outside of the state's memory. */
#define PLAIN_MAXIMUM ((size_t)64 << 10)

/* What an A2A message says of itself. */
enum said_member {
    SAID_MESSAGE_ID,
    SAID_MESSAGE_ID_OTHER,
    SAID_CONTEXT_ID,
    SAID_CONTEXT_ID_OTHER,
    SAID_TASK_ID,
    SAID_TASK_ID_OTHER,
    SAID_METADATA,
    SAID_PARTS,
    SAID_CONTENT,
    SAID_MEMBERS
};
static const char *const said_names[SAID_MEMBERS] = {"messageId",  "message_id", "contextId",
                                                     "context_id", "taskId",     "task_id",
                                                     "metadata",   "parts",      "content"};

enum params_member {
    PARAMS_MESSAGE,
    PARAMS_METADATA,
    PARAMS_PARTS,
    PARAMS_CONTENT,
    PARAMS_MEMBERS
};
static const char *const params_names[PARAMS_MEMBERS] = {"message", "metadata", "parts", "content"};

enum envelope_member {
    ENVELOPE_MEMBER_PARAMS,
    ENVELOPE_MEMBER_METHOD,
    ENVELOPE_MEMBER_MESSAGE,
    ENVELOPE_MEMBER_PARTS,
    ENVELOPE_MEMBER_CONTENT,
    ENVELOPE_MEMBERS
};
static const char *const envelope_names[ENVELOPE_MEMBERS] = {"params", "method", "message", "parts",
                                                             "content"};

struct found {
    struct page_row row[ENVELOPE_COLUMNS];
    struct page_row envelope[ENVELOPE_MEMBERS], params[PARAMS_MEMBERS], said[SAID_MEMBERS];
    struct page_row parts;
    bool files;   /* are among them */
    size_t texts; /* bytes that the texts of the parts take at most */
};

static const struct page_row nothing = {NULL, 0};

static void members_of(struct page_row object, const char *const *names, size_t count,
                       struct page_row *values)
{
    if (slice_is_object(object))
        page_members(object, names, count, values);
    else
        memset(values, 0, count * sizeof *values);
}

/* --- what is refused --- */

static bool may_be(enum envelope_column column, struct page_row value)
{
    if (!value.bytes || column == ENVELOPE_SEQ || column == ENVELOPE_RESPONSE_BODY)
        return true;
    return column == ENVELOPE_REQUEST_BODY ? slice_is_object(value) : slice_is_string(value);
}

/* The columns that decide what a row is have no escapes. */
static bool columns_fit(const struct page_row *values, struct page_row *row)
{
    for (size_t i = 0; i < ENVELOPE_COLUMNS; i++) {
        row[i] = values[i];
        if (values[i].length == 4 && memcmp(values[i].bytes, "null", 4) == 0)
            row[i] = nothing;
        if (!may_be((enum envelope_column)i, row[i]) || (row[i].bytes && !slice_sound(row[i])))
            return false;
    }
    static const enum envelope_column plain[] = {ENVELOPE_ID, ENVELOPE_METHOD, ENVELOPE_STATUS};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (row[plain[i]].bytes && !slice_is_plain(row[plain[i]]))
            return false;
    return row[ENVELOPE_ID].length > strlen("\"\"");
}

/* What the platform itself writes, but for echoes. */
static bool is_notice(struct page_row method)
{
    return slice_says(method, "delegate_result") || slice_says(method, "chat_upload_receive");
}

/* As read_parts of envelope.c. false: they are a text, or the kind of one is not seen at once. */
static bool find_parts(struct found *found)
{
    const struct page_row places[] = {found->said[SAID_PARTS],
                                      found->said[SAID_CONTENT],
                                      found->params[PARAMS_PARTS],
                                      found->params[PARAMS_CONTENT],
                                      found->envelope[ENVELOPE_MEMBER_PARTS],
                                      found->envelope[ENVELOPE_MEMBER_CONTENT]};
    struct page_row item, text;
    const char *at = NULL;
    for (size_t i = 0; i < sizeof places / sizeof *places && !found->parts.bytes; i++) {
        if (i % 2 == 1 && slice_is_string(places[i]))
            return false;
        if (slice_is_array(places[i]) && slice_item(places[i], &at, &item))
            found->parts = places[i];
        at = NULL;
    }
    while (found->parts.bytes && slice_item(found->parts, &at, &item)) {
        enum parts_plain part = parts_plain_look(item, &text);
        if (part == PARTS_PLAIN_UNUSUAL)
            return false;
        found->files = found->files || part == PARTS_PLAIN_FILE;
        found->texts += part == PARTS_PLAIN_TEXT ? text.length : 0;
    }
    return true;
}

static bool find(struct found *found, const struct message *message, const struct page_row *values)
{
    if (message->raw_length > PLAIN_MAXIMUM || !columns_fit(values, found->row))
        return false;
    struct page_row envelope = {message->raw, message->raw_length};
    members_of(envelope, envelope_names, ENVELOPE_MEMBERS, found->envelope);
    members_of(found->envelope[ENVELOPE_MEMBER_PARAMS], params_names, PARAMS_MEMBERS,
               found->params);
    struct page_row said = found->params[PARAMS_MESSAGE];
    if (!slice_is_object(said))
        said = found->envelope[ENVELOPE_MEMBER_MESSAGE];
    members_of(said, said_names, SAID_MEMBERS, found->said);
    struct page_row method = found->envelope[ENVELOPE_MEMBER_METHOD];
    return !is_notice(found->row[ENVELOPE_METHOD]) && !is_notice(method) &&
           (!slice_is_string(method) || slice_is_plain(method)) && find_parts(found);
}

/* --- what is taken --- */

/* NULL where it is absent, empty or not a string. */
static char *text_of(struct page_row value)
{
    size_t length;
    if (!slice_is_string(value))
        return NULL;
    char *text = slice_text(value, &length);
    if (memchr(text, '\0', length)) {
        char *clean = repair_text(text, length, &length);
        free(text);
        text = clean;
    }
    if (length == 0) {
        free(text);
        text = NULL;
    }
    return text;
}

/* The names of a message, one after the other in its `names`. */
struct names {
    char *next;
};

/* As text_of. */
static char *name_of(struct names *names, struct page_row value)
{
    if (!slice_is_string(value))
        return NULL;
    char *text = names->next;
    size_t length = slice_decode(value, text);
    if (memchr(text, '\0', length)) { /* an escape of six bytes gives way to a mark of three */
        char *clean = repair_text(text, length, &length);
        memcpy(text, clean, length);
        free(clean);
    }
    text[length] = '\0';
    names->next += length > 0 ? length + 1 : 0;
    return length > 0 ? text : NULL;
}

static char *name_of_either(struct names *names, struct page_row value, struct page_row other)
{
    char *text = name_of(names, value);
    return text ? text : name_of(names, other);
}

/* As envelope_conversation. */
static char *name_conversation(struct names *names, const struct message *message)
{
    char *text = names->next,
         *end = stpcpy(text, message->source_id ? message->source_id : "canvas");
    if (message->context_id)
        end = stpcpy(stpcpy(end, "/"), message->context_id);
    names->next = end + 1;
    return text;
}

/* What the names take at most: the conversation is made of two of them. */
static size_t size_of_names(const struct found *found)
{
    const struct page_row values[] = {found->row[ENVELOPE_ID],
                                      found->row[ENVELOPE_SOURCE_ID],
                                      found->row[ENVELOPE_CREATED_AT],
                                      found->row[ENVELOPE_PEER_NAME],
                                      found->row[ENVELOPE_PEER_ROLE],
                                      found->row[ENVELOPE_METHOD],
                                      found->envelope[ENVELOPE_MEMBER_METHOD],
                                      found->said[SAID_MESSAGE_ID],
                                      found->said[SAID_MESSAGE_ID_OTHER],
                                      found->said[SAID_CONTEXT_ID],
                                      found->said[SAID_CONTEXT_ID_OTHER],
                                      found->said[SAID_TASK_ID],
                                      found->said[SAID_TASK_ID_OTHER],
                                      found->row[ENVELOPE_SOURCE_ID],
                                      found->said[SAID_CONTEXT_ID],
                                      found->said[SAID_CONTEXT_ID_OTHER]};
    size_t size = sizeof "canvas/";
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        size += values[i].length; /* with two quotes, where one NUL is needed */
    return size;
}

static void take_names(struct message *message, const struct found *found)
{
    const struct page_row *row = found->row, *said = found->said;
    double real;
    message->names_length = size_of_names(found);
    struct names names = {shared_allocate(message->names_length)};
    message->names = names.next;
    message->row_id = name_of(&names, row[ENVELOPE_ID]);
    message->source_id = name_of(&names, row[ENVELOPE_SOURCE_ID]);
    message->created_at = name_of(&names, row[ENVELOPE_CREATED_AT]);
    message->peer_name = name_of(&names, row[ENVELOPE_PEER_NAME]);
    message->peer_role = name_of(&names, row[ENVELOPE_PEER_ROLE]);
    message->method = name_of_either(&names, row[ENVELOPE_METHOD],
                                     found->envelope[ENVELOPE_MEMBER_METHOD]);
    message->message_id = name_of_either(&names, said[SAID_MESSAGE_ID],
                                         said[SAID_MESSAGE_ID_OTHER]);
    message->context_id = name_of_either(&names, said[SAID_CONTEXT_ID],
                                         said[SAID_CONTEXT_ID_OTHER]);
    message->task_id = name_of_either(&names, said[SAID_TASK_ID], said[SAID_TASK_ID_OTHER]);
    if (slice_is_number(row[ENVELOPE_SEQ]) &&
        !slice_number(row[ENVELOPE_SEQ], &message->seq, &real))
        message->seq = -1;
    message->conversation = name_conversation(&names, message);
}

/* The kind, and the text; a summary is seldom needed as a text. */
static void take_text(struct message *message, const struct found *found, const char *self)
{
    struct page_row item, text, column = found->row[ENVELOPE_SUMMARY];
    const char *at = NULL;
    size_t length = 0;
    char *summary = column.bytes ? slice_text(column, &length) : NULL;
    struct page_row methods = found->row[ENVELOPE_METHOD];
    char *method = slice_is_string(methods) && methods.length > 2 ? message->method : NULL,
         *status = text_of(found->row[ENVELOPE_STATUS]);
    struct envelope_signs signs = {.responded = found->row[ENVELOPE_RESPONSE_BODY].bytes,
                                   .requested = found->row[ENVELOPE_REQUEST_BODY].bytes,
                                   .status = status,
                                   .summary = summary,
                                   .method = method};
    message->kind = envelope_kind_of(&signs, message->source_id, self);
    free(status);
    if (!found->parts.bytes) {
        message->text = summary ? summary : memory_copy("", 0);
        message->text_length = length;
        return;
    }
    free(summary);
    message->text = memory_resize(NULL, found->texts + 1);
    while (slice_item(found->parts, &at, &item))
        if (parts_plain_look(item, &text) == PARTS_PLAIN_TEXT)
            message->text_length += slice_decode(text, message->text + message->text_length);
    message->text[message->text_length] = '\0';
}

static void take_metadata(struct message *message, const struct found *found)
{
    static const char *const mark_names[] = {"in_reply_to", "hops"};
    struct page_row outer = found->params[PARAMS_METADATA], inner = found->said[SAID_METADATA];
    static const char *const outer_names[] = {"history", "traceparent"}, *const inner_names[] = {
                                                                             "molecule",
                                                                             "traceparent"};
    struct page_row of_outer[2], of_inner[2], members[2];
    members_of(outer, outer_names, 2, of_outer);
    members_of(inner, inner_names, 2, of_inner);
    if (slice_is_object(outer))
        message->plain.outer = outer;
    if (slice_is_object(inner))
        message->plain.inner = inner;
    struct page_row history = of_outer[0], mark = of_inner[0];
    struct page_row trace = slice_is_string(of_inner[1]) ? of_inner[1] : of_outer[1];
    message->traceparent = slice_is_string(trace) ? text_of(trace) : NULL;
    if (slice_is_array(history))
        message->plain.history = history;
    members_of(mark, mark_names, 2, members);
    message->in_reply_to = text_of(members[0]);
    long long hops = 0;
    double real;
    if (slice_is_number(members[1]) && slice_number(members[1], &hops, &real))
        message->hops = hops < 0 ? 0 : hops > INT_MAX ? INT_MAX : (unsigned)hops;
}

static void take_echo(struct message *message, struct page_row response)
{
    struct page_row told;
    if (message->kind == ENVELOPE_ECHO && slice_is_object(response) &&
        page_member(response, "result", &told) && slice_is_string(told))
        message->echo = slice_text(told, &message->echo_length);
}

bool envelope_read_plain(struct message *message, const struct page_row values[ENVELOPE_COLUMNS],
                         const char *self)
{
    struct found found = {.parts = nothing};
    if (!find(&found, message, values))
        return false;
    take_names(message, &found);
    take_text(message, &found, self);
    take_metadata(message, &found);
    take_echo(message, found.row[ENVELOPE_RESPONSE_BODY]);
    message->plain.parts = found.parts;
    message->plain.files = found.files;
    return true;
}
