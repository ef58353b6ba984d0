/* molecule config: the options that a command would run with, and where each comes from. */
#include "commands/commands.h"

#include "base/memory.h"
#include "base/secret_file.h"
#include "base/terminal.h"
#include "commands/config_file.h"
#include "commands/local_state.h"
#include "commands/secrets.h"
#include "wire/jsonmemory.h"

#include <stdlib.h>
#include <string.h>

#define POSITIONALS_MAXIMUM 1024
#define VALUE_WIDTH 40 /* longer values move what follows them */
#define NAME_WIDTH 20

/* Lines like those of include/molecule/options.def. */
/* The first one is left to the command that is named. */
#define CONFIG_OPTIONS(X)                                                                   \
    X(PATH, config, "config", "the config file, as for those commands", .argument = "FILE", \
      .environment = "MOLECULE_CONFIG")                                                     \
    X(FLAG, check, "check",                                                                 \
      "print nothing unless something is wrong; without a command, look at all three")      \
    X(FLAG, json, "json",                                                                   \
      "print JSON: {\"command\", \"options\": {NAME: {\"value\", \"sources\": [{\"from\", …}]}}}")

struct config_options {
    CONFIG_OPTIONS(MOLECULE_MEMBER)
};

static const struct option options[] = {
#define X(...) OPTION_ROW(struct config_options, __VA_ARGS__),
    CONFIG_OPTIONS(X)
#undef X
};

static const struct command *const readers[] = {&command_connect, &command_fleet, &command_serve};

#define READER_COUNT (sizeof readers / sizeof *readers)

/* What one of them would run with. */
struct effective {
    const struct command *command;
    void *values;
    const char *positionals[POSITIONALS_MAXIMUM];
    size_t positional_count;
    struct options_sources sources;
    json_t *list; /* with --json */
};

/* --- sources --- */

/* A source as the texts and the JSON have it. */
static void add_source(json_t *sources, const char *from, const char *member, const char *value,
                       unsigned line)
{
    json_t *source = json_pack("{s:s}", "from", from);
    if (member)
        json_object_set_new(source, member, json_string(value));
    if (line > 0)
        json_object_set_new(source, "line", json_integer(line));
    json_array_append_new(sources, source);
}

static json_t *list_sources(const struct effective *effective, const struct option *option)
{
    const struct option_source *source =
        &effective->sources.of[option - effective->command->options];
    bool adds = option->type == OPTION_PAIRS || option->type == OPTION_LIST;
    unsigned origins = source->origins;
    json_t *sources = json_array();
    if (!adds && origins & OPTION_FROM_FLAG)
        origins = OPTION_FROM_FLAG;
    if (origins & OPTION_FROM_FILE)
        add_source(sources, "file", "path", effective->sources.path, source->line);
    if (origins & OPTION_FROM_ENVIRONMENT)
        add_source(sources, "environment", "variable", option->environment, 0);
    if (origins & OPTION_FROM_FLAG)
        add_source(sources, "flag", NULL, NULL, 0);
    return sources;
}

/* "file agent.lua:3, flag"; yours to free. */
static char *describe_sources(const json_t *sources)
{
    char *text = memory_copy_text("");
    size_t i;
    const json_t *each;
    json_array_foreach (sources, i, each) {
        const char *from = json_string_value(json_object_get(each, "from"));
        const char *path = json_string_value(json_object_get(each, "path"));
        const char *variable = json_string_value(json_object_get(each, "variable"));
        long long line = json_integer_value(json_object_get(each, "line"));
        char *longer = memory_format("%s%s%s%s%s", text, i > 0 ? ", " : "", from,
                                     path || variable ? " " : "",
                                     path       ? path
                                     : variable ? variable
                                                : "");
        free(text);
        text = line > 0 ? memory_format("%s:%lld", longer, line) : memory_copy_text(longer);
        free(longer);
    }
    return text;
}

/* What a command finds where nothing was given; yours to free. NULL: nothing. */
static char *find_value(const struct effective *effective, const struct option *option,
                        json_t *sources)
{
    const struct command *command = effective->command;
    char *path = NULL;
    if (strcmp(option->name, "state-dir") == 0) {
        const char *variable = getenv("STATE_DIRECTORY");
        if (variable && *variable)
            add_source(sources, "environment", "variable", "STATE_DIRECTORY", 0);
        return local_state_directory(NULL);
    }
    bool has_token = options_origins(command, &effective->sources, "token") != 0;
    if (strcmp(option->name, "token-file") == 0 && command == &command_connect && !has_token) {
        const char *id = effective->positional_count > 0 ? effective->positionals[0] : "";
        path = secrets_token_credential(id, effective->positional_count <= 1);
    } else if (strcmp(option->name, "auth-token-file") == 0 &&
               !options_origins(command, &effective->sources, "no-auth") &&
               !options_origins(command, &effective->sources, "insecure-no-auth")) {
        path = secrets_credential("auth-tokens");
    }
    if (path)
        add_source(sources, "credential", "path", path, 0);
    return path;
}

/* --- one option --- */

static json_t *json_value(const struct option *option, const char *text)
{
    const char *equals = strchr(text, '=');
    switch (option->type) {
    case OPTION_FLAG: return json_boolean(strcmp(text, "true") == 0);
    case OPTION_NUMBER: return json_integer(strtoll(text, NULL, 10));
    case OPTION_PAIRS: return json_pack("{s%:s}", text, (size_t)(equals - text), equals + 1);
    default: return json_string(text);
    }
}

static void add_json(const struct effective *effective, const struct option *option,
                     const char *const *texts, size_t count, json_t *sources)
{
    json_t *value = option->type == OPTION_PAIRS  ? json_object()
                    : option->type == OPTION_LIST ? json_array()
                                                  : json_null();
    for (size_t i = 0; i < count; i++) {
        json_t *each = json_value(option, texts[i]);
        if (option->type == OPTION_LIST) {
            json_array_append_new(value, each);
        } else if (option->type == OPTION_PAIRS) {
            json_object_update(value, each);
            json_decref(each);
        } else {
            value = each;
        }
    }
    char *key = config_file_key(option);
    json_object_set_new(effective->list, key,
                        json_pack("{s:o, s:O}", "value", value, "sources", sources));
    free(key);
}

static void print_rows(const struct option *option, const char *const *texts, size_t count,
                       const json_t *sources)
{
    char *key = config_file_key(option), *described = describe_sources(sources);
    for (size_t i = 0; i < count || i == 0; i++) {
        char *value = count > 0 ? terminal_copy(texts[i], TERMINAL_WORD) : memory_copy_text("-");
        terminal_print(stdout, "%-*s  %-*s%s%s\n", NAME_WIDTH, i == 0 ? key : "",
                       i == 0 ? VALUE_WIDTH : 0, value, i == 0 ? "  " : "",
                       i == 0 ? described : "");
        free(value);
    }
    free(described);
    free(key);
}

static int compare_texts(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static void show(const struct effective *effective, const struct option *option)
{
    size_t count = option_count(option, effective->values);
    char **texts = memory_allocate((count + 1) * sizeof *texts);
    json_t *sources = list_sources(effective, option);
    for (size_t i = 0; i < count; i++) {
        char *text = option_text(option, effective->values, i);
        texts[i] = secrets_hide(option, text);
        memory_wipe(text);
    }
    if (option->type == OPTION_PAIRS) /* a table of Lua has no order */
        qsort(texts, count, sizeof *texts, compare_texts);
    if (count == 0 && (*texts = find_value(effective, option, sources)))
        count = 1;
    if (json_array_size(sources) == 0)
        add_source(sources, "default", NULL, NULL, 0);
    if (effective->list)
        add_json(effective, option, (const char *const *)texts, count, sources);
    else
        print_rows(option, (const char *const *)texts, count, sources);
    json_decref(sources);
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
}

static void show_all(struct effective *effective, bool json)
{
    static const char *const errands[] = {"check", "online", "dry-run"};
    const struct command *command = effective->command;
    effective->list = json ? json_object() : NULL;
    for (const struct option *option = NULL; (option = options_next(command, option));) {
        bool is_errand = false;
        for (size_t i = 0; i < sizeof errands / sizeof *errands; i++)
            is_errand = is_errand || strcmp(option->name, errands[i]) == 0;
        if (!is_errand)
            show(effective, option);
    }
    if (!json)
        return;
    json_t *all = json_pack("{s:s, s:o}", "command", command->name, "options", effective->list);
    char *text = json_dumps(all, JSON_INDENT(2));
    terminal_print(stdout, "%s\n", text);
    free(text);
    json_decref(all);
}

/* --- the command --- */

static size_t size_of_values(const struct command *command)
{
    size_t size = 0;
    for (size_t i = 0; i < command->option_count; i++) {
        const struct option *option = &command->options[i];
        size_t end = option->offset +
                     (option->size > sizeof(void *) ? option->size : sizeof(void *));
        size_t count_end = option->count_offset + sizeof(size_t);
        size = end > size ? end : size;
        size = count_end > size ? count_end : size;
    }
    return size;
}

static bool is_true(const struct effective *effective, const char *name)
{
    const struct option *option = options_find(effective->command, name);
    return option && *((const bool *)effective->values + option->offset);
}

/* 0, or 2 after saying what is wrong. `first`: the file has not been looked at before. */
static int look(const struct command *command, int argc, char **argv,
                const struct config_options *given, bool first)
{
    struct effective *effective = memory_allocate(sizeof *effective);
    effective->command = command;
    effective->values = memory_allocate(size_of_values(command));
    enum options_result parsed = options_parse_with_file(
        command, argc, argv, effective->values, effective->positionals,
        &effective->positional_count, &effective->sources);
    int code = parsed == OPTIONS_PARSED ? 0 : 2;
    if (code == 0 && first) {
        secret_file_set_strict(is_true(effective, "strict"));
        code = secrets_check_config(command, &effective->sources);
    }
    if (code == 0 && !given->check)
        show_all(effective, given->json);
    options_free(command, effective->values);
    options_free_sources(&effective->sources);
    free(effective->values);
    free(effective);
    return code;
}

/* Takes a flag of this command out of the words; false: it is not among them. */
static bool take_flag(int *argc, char **argv, const char *flag)
{
    for (int i = 0; i < *argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], flag) == 0) {
            memmove(argv + i, argv + i + 1, (size_t)(*argc - i - 1) * sizeof *argv);
            --*argc;
            return true;
        }
    return false;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct config_options given = {0};
    const struct command *named = NULL;
    if (take_flag(&argc, argv, "--help") || take_flag(&argc, argv, "-h")) {
        options_print_help(command, stdout);
        return 0;
    }
    given.check = take_flag(&argc, argv, "--check");
    given.json = take_flag(&argc, argv, "--json");
    for (size_t i = 0; i < READER_COUNT && argc > 0; i++)
        if (strcmp(argv[0], readers[i]->name) == 0)
            named = readers[i];
    if (!named && argc > 0 && argv[0][0] != '-')
        return options_complain(command, "\"%s\" reads no config file; connect, fleet and serve do",
                                argv[0]);
    if (named)
        return look(named, argc - 1, argv + 1, &given, true);
    int code = look(readers[0], argc, argv, &given, true);
    for (size_t i = 1; i < READER_COUNT && given.check && code == 0; i++)
        code = look(readers[i], argc, argv, &given, false);
    return code;
}

const struct command command_config = {
    .name = "config",
    .group = COMMAND_LOOK,
    .usage = "[connect|fleet|serve] [options and arguments of that command]",
    .summary = "print a command's effective options and where they come from",
    .description =
        "Reads the command line, the environment and the file of --config as that command does, "
        "runs nothing, and\n"
        "prints each option with its value and where it comes from: flag, environment, file, "
        "credential or default.\n"
        "Without a command: connect. Secrets are shown as [hidden].\n\n"
        "Exit codes: 0 fine, 2 something is wrong; the reason is on standard error.",
    .examples = "  molecule config connect --config agent.config.lua\n"
                "  molecule config serve agent.lua --config agent.config.lua --json\n"
                "  molecule config --check --config agent.config.lua",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .run = run,
};
