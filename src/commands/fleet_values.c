#include "commands/fleet_reading.h"

#include "base/secret_file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/nearest.h"
#include "commands/commands.h"
#include "commands/secrets.h"

#include <stdlib.h>
#include <string.h>

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
        return table_complain(
            &reading->source, where, key,
            "%s: unknown key \"%s\"; the keys are the options of molecule connect, "
            "with _ for -",
            where, key);
    return table_complain(&reading->source, where, key,
                          "%s: unknown key \"%s\"; did you mean \"%s\"?", where, key, found);
}

bool fleet_set_value(const struct reading *reading, struct member *member, const char *key,
                     const json_t *value)
{
    const struct table_target target = {.source = &reading->source,
                                        .options = &member->options,
                                        .kept = member->values,
                                        .owner = member->id};
    return table_set_value(&target, fleet_find_option(key), key, value);
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
        secret_wipe_variable(name);
    }
    return json_string_value(json_object_get(known, name));
}

bool fleet_take_token(struct reading *reading, struct member *member)
{
    const char *token = json_string_value(json_object_get(member->values, "token"));
    const char *pattern = json_string_value(json_object_get(member->values, "token_file"));
    const json_t *variable = json_object_get(member->values, "token_env");
    if (variable && !json_is_string(variable))
        return table_complain(&reading->source, member->id, "token_env",
                              "%s: \"token_env\" must be the name of a variable", member->id);
    if (!token && variable) {
        token = read_variable(json_string_value(variable));
        if (!token)
            return table_complain(&reading->source, member->id, "token_env",
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
            return table_complain(&reading->source, member->id, variable ? "token_env" : "token",
                                  "%s: the token %s", member->id, wrong);
    }
    member->token_file = token     ? NULL
                         : pattern ? connect_token_path(pattern, member->id)
                                   : secrets_token_credential(member->id, false);
    return true;
}
