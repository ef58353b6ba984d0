#include "commands/table_values.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *table_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? memory_copy(path, (size_t)(slash - path) + 1) : memory_copy_text("");
}

/* --- complaints --- */

static bool complain_with(const struct table_source *source, const char *owner, const char *after,
                          const char *word, const char *format, va_list arguments)
{
    char text[768];
    vsnprintf(text, sizeof text, format, arguments);
    snprintf(source->problem, source->problem_size, "%s:%u: %s%s%s", source->path,
             table_file_line(source->file, after, word ? word : ""), owner ? owner : "",
             owner ? ": " : "", text);
    return false;
}

bool table_complain(const struct table_source *source, const char *after, const char *word,
                    const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain_with(source, NULL, after, word, format, arguments);
    va_end(arguments);
    return false;
}

__attribute__((format(printf, 3, 4))) static bool complain(const struct table_target *target,
                                                           const char *word, const char *format,
                                                           ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain_with(target->source, target->owner, target->owner, word, format, arguments);
    va_end(arguments);
    return false;
}

/* --- values --- */

/* The values keep it: texts of options are borrowed from them. */
static const char *keep_text(const struct table_target *target, const char *key, char *text)
{
    json_t *kept = json_string(text);
    memory_wipe(text);
    json_object_set_new(target->kept, key, kept);
    return json_string_value(kept);
}

static char *number_text(const json_t *value)
{
    return json_is_integer(value) ? memory_format("%lld", (long long)json_integer_value(value))
                                  : memory_format("%.17g", json_real_value(value));
}

static char *scalar_text(const json_t *value)
{
    return json_is_string(value)    ? memory_copy_text(json_string_value(value))
           : json_is_number(value)  ? number_text(value)
           : json_is_boolean(value) ? memory_copy_text(json_is_true(value) ? "true" : "false")
                                    : NULL;
}

static bool set_pairs(const struct table_target *target, const struct option *option,
                      const char *key, const json_t *value)
{
    const char *name;
    json_t *each;
    bool is_empty = json_is_array(value) && json_array_size(value) == 0;
    if (!json_is_object(value) && !is_empty)
        return complain(target, key, "\"%s\" is a table of names and values, {NAME = \"VALUE\"}",
                        key);
    json_object_foreach ((json_t *)value, name, each) {
        char *text = scalar_text(each);
        if (!text)
            return complain(target, name, "\"%s.%s\" must be a string, a number or a boolean", key,
                            name);
        char *pair = memory_format("%s=%s", name, text);
        const char *wrong = option_set(option, pair, target->options);
        memory_wipe(text);
        memory_wipe(pair);
        if (wrong)
            return complain(target, name, "\"%s.%s\" %s", key, name, wrong);
    }
    return true;
}

static bool set_list(const struct table_target *target, const struct option *option,
                     const char *key, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *text = json_string_value(json_array_get(value, i));
        const char *wrong = text ? option_set(option, text, target->options) : "must be a string";
        if (wrong)
            return complain(target, key, "\"%s\", number %zu %s", key, i + 1, wrong);
    }
    return json_is_array(value) ||
           complain(target, key, "\"%s\" is a list of strings, {\"one\", \"two\"}", key);
}

static bool set_scalar(const struct table_target *target, const struct option *option,
                       const char *key, const json_t *value)
{
    if (option->type == OPTION_FLAG && !json_is_boolean(value))
        return complain(target, key, "\"%s\" must be true or false", key);
    bool is_text = option->type == OPTION_TEXT || option->type == OPTION_PATH ||
                   option->type == OPTION_EITHER || option->type == OPTION_CHOICE;
    if (is_text && !json_is_string(value))
        return complain(target, key, "\"%s\" must be a string", key);
    char *text = scalar_text(value);
    if (!text)
        return complain(target, key, "\"%s\" cannot be a table", key);
    if (json_is_string(value) && strlen(text) != json_string_length(value)) {
        free(text);
        return complain(target, key, "\"%s\" contains a NUL byte", key);
    }
    if (option->type == OPTION_PATH && *text && *text != '/') {
        char *whole = memory_join(target->source->directory, text);
        free(text);
        text = whole;
    }
    const char *kept = keep_text(target, key, text),
               *wrong = option_set(option, kept, target->options);
    if (wrong)
        return complain(target, key, "\"%s\" %s; got \"%s\"", key, wrong,
                        strcmp(key, "token") == 0 ? "a token" : kept);
    return true;
}

bool table_set_value(const struct table_target *target, const struct option *option,
                     const char *key, const json_t *value)
{
    switch (option->type) {
    case OPTION_PAIRS: return set_pairs(target, option, key, value);
    case OPTION_LIST: return set_list(target, option, key, value);
    default: return set_scalar(target, option, key, value);
    }
}
