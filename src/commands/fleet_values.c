#include "commands/fleet_reading.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/nearest.h"
#include "commands/commands.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool fleet_complain(struct reading *reading, const char *after, const char *word,
                    const char *format, ...)
{
    char text[768];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    snprintf(reading->problem, reading->problem_size, "%s:%u: %s", reading->path,
             fleet_file_line(reading->file, after, word ? word : ""), text);
    return false;
}

/* --- names --- */

const struct option *fleet_find_option(const char *key)
{
    const struct option *option = NULL;
    while ((option = options_next(&command_connect, option)))
        if (option->key && strcmp(option->key, key) == 0)
            break;
    return option;
}

static bool is_flag(const char *word, const char *flag)
{
    while (*word && *word == (*flag == '-' ? '_' : *flag))
        word++, flag++;
    return !*word && !*flag;
}

/* The key that the word in the file may stand for; NULL where none is close. */
static const char *find_nearest(const char *word)
{
    struct nearest nearest = {.word = word};
    for (const struct option *option = NULL; (option = options_next(&command_connect, option));) {
        if (option->key && is_flag(word, option->name)) /* backend_opt for backend_options */
            return option->key;
        if (option->key)
            nearest_offer(&nearest, option->key);
    }
    nearest_offer(&nearest, "id");
    nearest_offer(&nearest, "token_env");
    return nearest.best;
}

bool fleet_complain_of_key(struct reading *reading, const char *where, const char *key)
{
    const char *found = find_nearest(key);
    if (!found)
        return fleet_complain(
            reading, where, key,
            "%s: unknown key \"%s\"; the keys are the options of molecule connect, "
            "with _ for -",
            where, key);
    return fleet_complain(reading, where, key, "%s: unknown key \"%s\"; did you mean \"%s\"?",
                          where, key, found);
}

/* --- values --- */

/* The values keep it: texts of options are borrowed from them. */
static const char *keep_text(struct member *member, const char *key, char *text)
{
    json_t *kept = json_string(text);
    free(text);
    json_object_set_new(member->values, key, kept);
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

static bool set_pairs(struct reading *reading, struct member *member, const struct option *option,
                      const char *key, const json_t *value)
{
    const char *name;
    json_t *each;
    if (!json_is_object(value) && json_array_size(value) > 0)
        return fleet_complain(reading, member->id, key,
                              "%s: \"%s\" is a table of names and values, {NAME = \"VALUE\"}",
                              member->id, key);
    json_object_foreach ((json_t *)value, name, each) {
        char *text = scalar_text(each);
        if (!text)
            return fleet_complain(reading, member->id, name,
                                  "%s: \"%s.%s\" must be a string, a number or a boolean",
                                  member->id, key, name);
        char *pair = memory_format("%s=%s", name, text);
        const char *wrong = option_set(option, pair, &member->options);
        free(text);
        free(pair);
        if (wrong)
            return fleet_complain(reading, member->id, name, "%s: \"%s.%s\" %s", member->id, key,
                                  name, wrong);
    }
    return true;
}

static bool set_list(struct reading *reading, struct member *member, const struct option *option,
                     const char *key, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *text = json_string_value(json_array_get(value, i));
        const char *wrong = text ? option_set(option, text, &member->options) : "must be a string";
        if (wrong)
            return fleet_complain(reading, member->id, key, "%s: \"%s\", number %zu %s", member->id,
                                  key, i + 1, wrong);
    }
    return json_is_array(value) ||
           fleet_complain(reading, member->id, key,
                          "%s: \"%s\" is a list of strings, {\"one\", \"two\"}", member->id, key);
}

static bool set_scalar(struct reading *reading, struct member *member, const struct option *option,
                       const char *key, const json_t *value)
{
    if (option->type == OPTION_FLAG && !json_is_boolean(value))
        return fleet_complain(reading, member->id, key, "%s: \"%s\" must be true or false",
                              member->id, key);
    bool is_text = option->type == OPTION_TEXT || option->type == OPTION_PATH ||
                   option->type == OPTION_EITHER || option->type == OPTION_CHOICE;
    if (is_text && !json_is_string(value))
        return fleet_complain(reading, member->id, key, "%s: \"%s\" must be a string", member->id,
                              key);
    char *text = scalar_text(value);
    if (!text)
        return fleet_complain(reading, member->id, key, "%s: \"%s\" cannot be a table", member->id,
                              key);
    if (json_is_string(value) && strlen(text) != json_string_length(value)) {
        free(text);
        return fleet_complain(reading, member->id, key, "%s: \"%s\" contains a NUL byte",
                              member->id, key);
    }
    if (option->type == OPTION_PATH && *text && *text != '/') {
        char *whole = memory_format("%s%s", reading->directory, text);
        free(text);
        text = whole;
    }
    const char *kept = keep_text(member, key, text),
               *wrong = option_set(option, kept, &member->options);
    if (wrong)
        return fleet_complain(reading, member->id, key, "%s: \"%s\" %s; got \"%s\"", member->id,
                              key, wrong, strcmp(key, "token") == 0 ? "a token" : kept);
    return true;
}

bool fleet_set_value(struct reading *reading, struct member *member, const char *key,
                     const json_t *value)
{
    const struct option *option = fleet_find_option(key);
    switch (option->type) {
    case OPTION_PAIRS: return set_pairs(reading, member, option, key, value);
    case OPTION_LIST: return set_list(reading, member, option, key, value);
    default: return set_scalar(reading, member, option, key, value);
    }
}

/* --- tokens --- */

/* A variable's original value: it is removed from the environment, where scripts would see it, but
 * needed again when the file is reloaded. */
static const char *read_variable(const char *name)
{
    static json_t *known;
    const char *value = getenv(name);
    if (!known)
        known = json_object();
    if (value && *value) {
        json_object_set_new(known, name, json_string(value));
        memset((char *)value, 'x', strlen(value));
        unsetenv(name);
    }
    return json_string_value(json_object_get(known, name));
}

bool fleet_take_token(struct reading *reading, struct member *member)
{
    const char *token = json_string_value(json_object_get(member->values, "token"));
    const char *pattern = json_string_value(json_object_get(member->values, "token_file"));
    const json_t *variable = json_object_get(member->values, "token_env");
    if (variable && !json_is_string(variable))
        return fleet_complain(reading, member->id, "token_env",
                              "%s: \"token_env\" must be the name of a variable", member->id);
    if (!token && variable) {
        token = read_variable(json_string_value(variable));
        if (!token)
            return fleet_complain(reading, member->id, "token_env",
                                  "%s: the variable %s is not set", member->id,
                                  json_string_value(variable));
        /* with another token it is another workspace */
        json_object_set_new(member->values, "token_env_value", json_string(token));
    }
    if (token) {
        const char *wrong;
        member->token = connect_take_token(token, &wrong);
        log_hide(member->token);
        if (wrong)
            return fleet_complain(reading, member->id, variable ? "token_env" : "token",
                                  "%s: the token %s", member->id, wrong);
    }
    member->token_file = token ? NULL : connect_token_path(pattern, member->id);
    return true;
}
