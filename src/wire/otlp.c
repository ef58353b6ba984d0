#include "wire/otlp.h"

#include "base/memory.h"
#include "wire/jsontext.h"
#include "wire/otlp_names.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *text_value(const char *text)
{
    return json_pack("{s:o}", "stringValue", jsontext_string(text, strlen(text)));
}

static void add(json_t *list, const char *key, json_t *value)
{
    json_array_append_new(list, json_pack("{s:s, s:o}", "key", key, "value", value));
}

/* 64-bit integers are strings in this encoding. */
static json_t *number_value(int64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)number);
    return json_pack("{s:s}", "intValue", text);
}

static json_t *nanoseconds(int64_t us)
{
    char text[32];
    snprintf(text, sizeof text, "%lld000", (long long)us);
    return json_string(text);
}

static json_t *attributes_of(const struct trace_kept *span)
{
    json_t *list = json_array();
    for (size_t i = 0; i < span->value_count; i++) {
        const struct trace_value *value = &span->values[i];
        add(list, otlp_names[value->attribute],
            value->text ? text_value(value->text) : number_value(value->number));
    }
    return list;
}

static json_t *encode_span(const struct trace_kept *span)
{
    json_t *object = json_pack(
        "{s:s, s:s, s:o, s:i, s:o, s:o, s:o, s:i}", "traceId", span->context.trace_id, "spanId",
        span->context.span_id, "name", jsontext_string(span->name, strlen(span->name)), "kind",
        (int)span->kind, "startTimeUnixNano", nanoseconds(span->began_us), "endTimeUnixNano",
        nanoseconds(span->ended_us), "attributes", attributes_of(span), "flags", 1);
    if (*span->parent)
        json_object_set_new(object, "parentSpanId", json_string(span->parent));
    if (span->problem)
        json_object_set_new(object, "status",
                            json_pack("{s:i, s:o}", "code", 2, "message",
                                      jsontext_string(span->problem, strlen(span->problem))));
    return object;
}

void otlp_decode_percent(char *text)
{
    char *out = text;
    for (const char *at = text; *at; at++) {
        char digits[3] = {0};
        if (*at == '%' && isxdigit((unsigned char)at[1]) && isxdigit((unsigned char)at[2])) {
            memcpy(digits, at + 1, 2);
            *out++ = (char)strtol(digits, NULL, 16);
            at += 2;
        } else {
            *out++ = *at;
        }
    }
    *out = '\0';
}

/* "k=v,k=v" */
static void add_given(json_t *list, const char *given)
{
    char *copy = memory_copy_text(given), *rest = copy, *pair;
    while ((pair = strsep(&rest, ","))) {
        char *value = strchr(pair, '=');
        if (!value)
            continue;
        *value++ = '\0';
        otlp_decode_percent(value);
        pair += strspn(pair, " ");
        if (*pair && strcmp(pair, "service.name") != 0)
            add(list, pair, text_value(value));
    }
    free(copy);
}

char *otlp_encode(const struct otlp_resource *resource, const struct trace_kept *spans,
                  size_t *length)
{
    json_t *list = json_array(), *about = json_array();
    add(about, "service.name", text_value(resource->service));
    if (resource->attributes)
        add_given(about, resource->attributes);
    for (const struct trace_kept *span = spans; span; span = span->next)
        json_array_append_new(list, encode_span(span));
    json_t *body = json_pack("{s:[{s:{s:o}, s:[{s:{s:s, s:s}, s:o}]}]}", "resourceSpans",
                             "resource", "attributes", about, "scopeSpans", "scope", "name",
                             "molecule", "version", resource->version, "spans", list);
    char *text = body ? jsontext_print(body) : NULL;
    json_decref(body);
    *length = text ? strlen(text) : 0;
    return text;
}
