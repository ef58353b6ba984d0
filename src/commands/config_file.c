#include "commands/config_file.h"

#include "base/memory.h"
#include "base/nearest.h"
#include "commands/commands.h"
#include "commands/table_read.h"
#include "commands/table_values.h"
#include "script/call_words.h"
#include "wire/jsonmemory.h"

#include <stdlib.h>
#include <string.h>

static const struct table_kind kind = {"config file", "{api_url = \"https://…\", …}"};

static const struct command *const readers[] = {&command_connect, &command_fleet, &command_serve};

/* --- keys --- */

char *config_file_key(const struct option *option)
{
    char *key = memory_copy_text(option->key ? option->key : option->name);
    for (char *at = key; *at; at++)
        *at = *at == '-' ? '_' : *at;
    return key;
}

/* What is asked of a run, and no setting. */
static bool is_errand(const struct option *option)
{
    static const char *const names[] = {"config", "check", "online", "dry-run"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(option->name, names[i]) == 0)
            return true;
    return false;
}

static const struct option *find_option(const struct command *command, const char *key)
{
    const struct option *option = NULL;
    while ((option = options_next(command, option))) {
        char *own = config_file_key(option);
        bool same = strcmp(own, key) == 0;
        free(own);
        if (same)
            break;
    }
    return option;
}

/* script_opt for script_options, script-options for script_options */
static bool means(const char *word, const struct option *option, const char *key)
{
    char *plain = memory_copy_text(word);
    for (char *at = plain; *at; at++)
        *at = *at == '_' ? '-' : *at;
    bool same = strcmp(plain, option->name) == 0;
    for (char *at = plain; *at; at++)
        *at = *at == '-' ? '_' : *at;
    same = same || strcmp(plain, key) == 0;
    free(plain);
    return same;
}

/* The key that the word may stand for, yours to free; NULL where none is close. */
static char *find_nearest(const char *word)
{
    struct nearest nearest = {.word = word};
    const char *meant = NULL;
    json_t *keys = json_object(); /* owns the candidates */
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        for (const struct option *option = NULL; (option = options_next(readers[i], option));) {
            char *key = is_errand(option) ? NULL : config_file_key(option);
            if (key)
                json_object_set_new(keys, key, json_string(key));
            const char *kept = key ? json_string_value(json_object_get(keys, key)) : NULL;
            if (kept && means(word, option, kept))
                meant = kept;
            free(key);
        }
    const char *key;
    json_t *kept;
    json_object_foreach (keys, key, kept)
        nearest_offer(&nearest, json_string_value(kept));
    char *found = memory_copy_text(meant ? meant : nearest.best);
    json_decref(keys);
    return found;
}

static bool complain_of_key(const struct table_source *source, const char *key)
{
    if (strcmp(key, "workspaces") == 0 || strcmp(key, "defaults") == 0)
        return table_complain(source, NULL, key,
                              "unknown key \"%s\"; a fleet file is given as molecule fleet %s", key,
                              source->path);
    char *nearest = find_nearest(key);
    if (nearest)
        table_complain(source, NULL, key, "unknown key \"%s\"; did you mean \"%s\"?", key, nearest);
    else
        table_complain(source, NULL, key,
                       "unknown key \"%s\"; the keys are the options of molecule connect, fleet "
                       "and serve, with _ for -",
                       key);
    free(nearest);
    return false;
}

static bool check_key(const struct table_source *source, const char *key)
{
    const struct option *option = NULL;
    for (size_t i = 0; i < sizeof readers / sizeof *readers && !option; i++)
        option = find_option(readers[i], key);
    if (!option)
        return complain_of_key(source, key);
    return !is_errand(option) ||
           table_complain(source, NULL, key, "\"%s\" has no place here; give it as --%s", key,
                          option->name);
}

/* --- what wins --- */

static bool is_given(const struct command *command, const struct options_sources *sources,
                     const char *name)
{
    return (options_origins(command, sources, name) &
            (OPTION_FROM_FLAG | OPTION_FROM_ENVIRONMENT)) != 0;
}

/* Whether a flag or a variable takes the place of what the file says of the option. */
static bool is_displaced(const struct command *command, const struct options_sources *sources,
                         const struct option *option)
{
    /* one of the two: what was given elsewhere counts, and the other of the file does not */
    static const char *const others[][2] = {
        {"script", "backend"},
        {"backend", "script"},
        {"backend-opt", "script"},
        {"token", "token-file"},
        {"token-file", "token"},
        {"no-auth", "auth-token-file"},
        {"auth-token-file", "no-auth"},
        {"insecure-no-auth", "auth-token-file"},
        {"auth-token-file", "insecure-no-auth"},
        {"verbose", "log-level"},
    };
    bool adds = option->type == OPTION_PAIRS || option->type == OPTION_LIST;
    if (!adds && is_given(command, sources, option->name))
        return true;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(option->name, others[i][0]) == 0 && is_given(command, sources, others[i][1]))
            return true;
    /* they belong to the file's backend */
    return strcmp(option->name, "backend-opt") == 0 && is_given(command, sources, "backend") &&
           json_object_get(sources->file.root, "backend");
}

/* --- the file --- */

static bool holds_secret(const json_t *root)
{
    const char *key, *name;
    json_t *value, *each;
    json_object_foreach ((json_t *)root, key, value) {
        if (strcmp(key, "token") == 0)
            return true;
        json_object_foreach (value, name, each)
            if (call_words_secret(name, strlen(name)))
                return true;
    }
    return false;
}

static bool take_all(const struct command *command, struct options_sources *sources,
                     const struct table_target *target)
{
    const json_t *root = sources->file.root;
    const char *key;
    json_t *value;
    if (json_array_size(root) > 0)
        return table_complain(target->source, NULL, NULL,
                              "this is a list; a config file returns names and values: %s",
                              kind.shape);
    json_object_foreach ((json_t *)root, key, value) {
        const struct option *option = find_option(command, key);
        if (!check_key(target->source, key))
            return false;
        if (!option || is_displaced(command, sources, option))
            continue;
        if (!table_set_value(target, option, key, value))
            return false;
        struct option_source *source = &sources->of[option - command->options];
        source->origins |= OPTION_FROM_FILE;
        source->line = table_file_line(target->source->file, NULL, key);
    }
    return true;
}

bool config_file_take(const struct command *command, struct options_sources *sources, void *values,
                      char *problem, size_t problem_size)
{
    if (!table_read(&sources->file, &kind, sources->path, problem, problem_size))
        return false;
    sources->kept = json_object();
    sources->has_secret = holds_secret(sources->file.root);
    struct table_source source = {.file = &sources->file,
                                  .path = sources->path,
                                  .directory = table_directory(sources->path),
                                  .problem = problem,
                                  .problem_size = problem_size};
    const struct table_target target = {
        .source = &source, .options = values, .kept = sources->kept};
    bool taken = take_all(command, sources, &target);
    free(source.directory);
    return taken;
}

void config_file_free(struct options_sources *sources)
{
    jsonmemory_wipe(sources->kept);
    sources->kept = NULL;
    table_file_free(&sources->file);
}
