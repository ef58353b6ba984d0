#include "script/child_line.h"

#include "base/memory.h"
#include "wire/jsontext.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_there(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return value && !json_is_null(value);
}

enum child_line child_line_kind(const json_t *value)
{
    if (!json_is_object(value))
        return CHILD_LINE_OTHER;
    if (!json_is_string(json_object_get(value, "method")) || json_object_get(value, "result") ||
        is_there(value, "error"))
        return CHILD_LINE_ANSWER;
    return is_there(value, "id") ? CHILD_LINE_REQUEST : CHILD_LINE_NOTICE;
}

bool child_line_answers(const json_t *answer, long long question)
{
    char text[24];
    const json_t *id = json_object_get(answer, "id");
    if (json_is_number(id))
        return json_number_value(id) == (double)question;
    snprintf(text, sizeof text, "%lld", question);
    return json_is_string(id) && json_string_length(id) == strlen(text) &&
           strcmp(json_string_value(id), text) == 0;
}

bool child_line_is_nameless(const json_t *answer)
{
    return !is_there(answer, "id") &&
           (json_object_get(answer, "result") || is_there(answer, "error"));
}

char *child_line_refuse(const json_t *request)
{
    json_t *answer = json_pack("{s:s, s:O, s:{s:i, s:s}}", "jsonrpc", "2.0", "id",
                               json_object_get(request, "id"), "error", "code", -32601, "message",
                               "method not found: molecule answers no requests");
    char *text = answer ? jsontext_print(answer) : NULL,
         *line = text ? memory_format("%s\n", text) : NULL;
    json_decref(answer);
    free(text);
    return line;
}

json_t *child_line_read(const char *bytes, size_t length)
{
    static const char mark[] = "\xef\xbb\xbf";
    if (length >= 3 && memcmp(bytes, mark, 3) == 0) {
        bytes += 3;
        length -= 3;
    }
    json_t *value = jsontext_read(bytes, length, NULL, NULL);
    const char *brace = value ? NULL : memchr(bytes, '{', length);
    if (brace && brace > bytes)
        value = jsontext_read(brace, length - (size_t)(brace - bytes), NULL, NULL);
    if (json_is_object(value) || json_is_array(value))
        return value;
    json_decref(value);
    return NULL;
}
