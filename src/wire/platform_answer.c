/* What the platform's answers hold: the registration's strings, and the words of its errors. */
#include "wire/platform.h"

#include "base/memory.h"
#include "wire/jsonmemory.h"
#include "wire/jsontext.h"
#include "wire/repair.h"

#include <string.h>
#include <strings.h>

#define ERROR_BODY_MAXIMUM (1024 * 1024) /* a larger error is not the platform's */

static char *copy_member(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value && *value ? memory_copy_text(value) : NULL;
}

bool platform_read_registered(const char *body, size_t length,
                              struct platform_registered *registered)
{
    *registered = (struct platform_registered){0};
    json_t *answer = jsontext_read(body, length, NULL, NULL);
    bool expected = json_is_object(answer);
    if (expected) {
        registered->delivery_mode = copy_member(answer, "delivery_mode");
        registered->auth_token = copy_member(answer, "auth_token");
        registered->platform_inbound_secret = copy_member(answer, "platform_inbound_secret");
    }
    jsonmemory_wipe(answer);
    return expected;
}

/* One line of printable text, growing up to its size. */
struct line {
    char *text;
    size_t size;
    size_t length;
    bool gap; /* white space came since the last character */
};

/* false: there is no room for it */
static bool put(struct line *line, const char *bytes, size_t length)
{
    size_t gap = line->gap && line->length > 0;
    if (line->length + gap + length >= line->size)
        return false;
    if (gap)
        line->text[line->length++] = ' ';
    memcpy(line->text + line->length, bytes, length);
    line->length += length;
    line->text[line->length] = '\0';
    line->gap = false;
    return true;
}

/* Puts the character at `at` and returns its size; 0: the line is full. White space becomes one
 * space; what could steer a terminal becomes a question mark. */
static size_t put_character(struct line *line, const char *at, size_t left)
{
    size_t size = repair_character(at, left);
    unsigned char byte = (unsigned char)*at;
    bool second_control_set = size == 2 && byte == 0xc2 && (unsigned char)at[1] < 0xa0;
    if (byte == ' ' || (byte >= '\t' && byte <= '\r')) {
        line->gap = true;
        return 1;
    }
    if (size == 0 || byte < 0x20 || byte == 0x7f || second_control_set)
        return put(line, "?", 1) ? size + (size == 0) : 0;
    return put(line, at, size) ? size : 0;
}

static void put_text(struct line *line, const char *text, size_t length)
{
    for (size_t at = 0, size; at < length; at += size)
        if ((size = put_character(line, text + at, length - at)) == 0)
            return;
}

static bool begins(const char *at, const char *end, const char *word)
{
    size_t length = strlen(word);
    return (size_t)(end - at) >= length && strncasecmp(at, word, length) == 0;
}

/* The position after the tag at `at`; for a script or a style, after what it encloses. */
static const char *skip_tag(const char *at, const char *end)
{
    const char *closing = begins(at, end, "<script")  ? "</script"
                          : begins(at, end, "<style") ? "</style"
                                                      : NULL;
    if (closing)
        do
            at = memchr(at + 1, '<', (size_t)(end - at - 1));
        while (at && !begins(at, end, closing));
    const char *stop = at ? memchr(at, '>', (size_t)(end - at)) : NULL;
    return stop ? stop + 1 : end;
}

static void put_html(struct line *line, const char *at, const char *end)
{
    while (at < end) {
        if (*at == '<') {
            at = skip_tag(at, end);
            line->gap = true;
            continue;
        }
        size_t size = put_character(line, at, (size_t)(end - at));
        if (size == 0)
            return;
        at += size;
    }
}

/* The error member's string, or its message's. */
static const json_t *error_words(const json_t *answer)
{
    const json_t *error = json_object_get(answer, "error");
    return json_is_object(error) ? json_object_get(error, "message") : error;
}

static bool put_json(struct line *line, const char *body, size_t length)
{
    json_t *answer = length <= ERROR_BODY_MAXIMUM ? jsontext_read(body, length, NULL, NULL) : NULL;
    const json_t *words = error_words(answer), *hint = json_object_get(answer, "hint");
    bool known = json_string_length(words) > 0;
    if (known) {
        put_text(line, json_string_value(words), json_string_length(words));
        if (json_string_length(hint) > 0 && put(line, ":", 1)) {
            line->gap = true;
            put_text(line, json_string_value(hint), json_string_length(hint));
        }
    }
    json_decref(answer);
    return known;
}

void platform_error_text(const char *body, size_t length, char *text, size_t size)
{
    struct line line = {.text = text, .size = size};
    if (size == 0)
        return;
    text[0] = '\0';
    size_t start = 0;
    while (start < length && strchr(" \t\r\n", body[start]) && body[start])
        start++;
    if (start == length)
        return;
    if (body[start] == '<')
        put_html(&line, body + start, body + length);
    else if (body[start] != '{' || !put_json(&line, body + start, length - start))
        put_text(&line, body + start, length - start);
}
