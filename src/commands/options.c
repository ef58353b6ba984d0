#include "commands/options.h"

#include "base/memory.h"
#include "base/nearest.h"
#include "base/terminal.h"
#include "commands/config_file.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define HELP_WIDTH 100
#define HELP_COLUMN 26

int options_complain(const struct command *command, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    va_end(arguments);
    terminal_print(stderr, "molecule %s: %s\nTry: molecule %s --help\n", command->name,
                   text ? text : "wrong usage", command->name);
    free(text);
    return 2;
}

/* --- the table --- */

static const char *find_note(const struct option_note *note, const char *name)
{
    while (note && note->name && strcmp(note->name, name) != 0)
        note++;
    return note && note->name ? note->text : NULL;
}

/* Neither another command's, nor replaced by an earlier one. */
static bool is_here(const struct command *command, const struct option *option)
{
    const struct option *first = command->options;
    while (strcmp(first->name, option->name) != 0)
        first++;
    return first == option && !find_note(command->elsewhere, option->name);
}

const struct option *options_next(const struct command *command, const struct option *before)
{
    size_t at = before ? (size_t)(before - command->options) + 1 : 0;
    while (at < command->option_count && !is_here(command, &command->options[at]))
        at++;
    return at < command->option_count ? &command->options[at] : NULL;
}

const struct option *options_find(const struct command *command, const char *name)
{
    const struct option *option = NULL;
    while ((option = options_next(command, option)) && strcmp(option->name, name) != 0)
        ;
    return option;
}

const char *options_standard(const struct command *command, const struct option *option)
{
    const char *other = find_note(command->standards, option->name);
    return other ? other : option->standard;
}

/* --- values --- */

void options_set_defaults(const struct command *command, void *values)
{
    for (const struct option *option = NULL; (option = options_next(command, option));) {
        const char *standard = options_standard(command, option);
        if (standard)
            option_set(option, standard, values);
    }
}

int options_from_environment(const struct command *command, void *values)
{
    for (const struct option *option = NULL; (option = options_next(command, option));) {
        const char *text = option->environment ? getenv(option->environment) : NULL;
        const char *problem = text && *text ? option_set(option, text, values) : NULL;
        if (problem)
            return options_complain(command, "%s=%s (for --%s) %s", option->environment, text,
                                    option->name, problem);
    }
    return 0;
}

/* `name`: what follows "--"; NULL: it was a letter. */
static void complain_unknown(const struct command *command, const char *text, const char *name,
                             size_t length)
{
    char *word = name ? memory_copy(name, length) : memory_copy_text(text + 1);
    struct nearest nearest = {.word = word};
    const char *hint = name ? find_note(command->elsewhere, word) : NULL;
    for (const struct option *option = NULL; (option = options_next(command, option));)
        nearest_offer(&nearest, option->name);
    if (hint)
        options_complain(command, "no option --%s here: %s", word, hint);
    else if (nearest.best && strlen(word) > 1)
        options_complain(command, "unknown option %s; did you mean --%s?", text, nearest.best);
    else
        options_complain(command, "unknown option %s", text);
    free(word);
}

/* By its letter, or by the first bytes of `name`. */
static const struct option *find_typed(const struct command *command, const char *name,
                                       size_t length, char letter)
{
    const struct option *option = NULL;
    while ((option = options_next(command, option)))
        if (letter ? option->letter == letter
                   : strlen(option->name) == length && strncmp(option->name, name, length) == 0)
            break;
    return option;
}

/* One argument that begins with "-". Returns how many of argv it used, 0 after saying what is
 * wrong. */
static int take_option(const struct command *command, char **argv, int left, void *values)
{
    const char *text = argv[0], *value = NULL;
    bool is_long = text[1] == '-';
    const char *name = text + (is_long ? 2 : 1);
    size_t length = is_long ? strcspn(name, "=") : 1;
    const struct option *option = find_typed(command, name, length, is_long ? 0 : *name);
    if (!option || (!is_long && name[1])) {
        complain_unknown(command, text, is_long ? name : NULL, length);
        return 0;
    }
    if (is_long && name[length] == '=')
        value = name + length + 1;
    int used = 1;
    if (!value && option->type == OPTION_FLAG) {
        value = "true";
    } else if (!value && left > 1) {
        value = argv[1];
        used = 2;
    } else if (!value) {
        options_complain(command, "--%s needs a value (%s)", option->name, option->argument);
        return 0;
    }
    const char *problem = option_set(option, value, values);
    if (problem) {
        options_complain(command, "--%s %s; got \"%s\"", option->name, problem, value);
        return 0;
    }
    return used;
}

/* --- sources --- */

unsigned options_origins(const struct command *command, const struct options_sources *sources,
                         const char *name)
{
    const struct option *option = options_find(command, name);
    return option ? sources->of[option - command->options].origins : 0;
}

/* What will be taken from flags and the environment; complaints come when it is. */
static void note_sources(const struct command *command, int argc, char **argv,
                         struct options_sources *sources)
{
    for (const struct option *option = NULL; (option = options_next(command, option));) {
        const char *text = option->environment ? getenv(option->environment) : NULL;
        bool is_config = strcmp(option->name, "config") == 0;
        if (text && *text)
            sources->of[option - command->options].origins = OPTION_FROM_ENVIRONMENT;
        if (text && *text && is_config)
            sources->path = text;
    }
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        bool is_long = argv[i][0] == '-' && argv[i][1] == '-';
        const char *name = argv[i] + (is_long ? 2 : 1);
        size_t length = is_long ? strcspn(name, "=") : 1;
        const struct option *option = argv[i][0] == '-' && *name
                                          ? find_typed(command, name, length, is_long ? 0 : *name)
                                          : NULL;
        if (!option)
            continue;
        const char *value = is_long && name[length] == '=' ? name + length + 1 : NULL;
        if (!value && option->type != OPTION_FLAG && i + 1 < argc)
            value = argv[++i];
        sources->of[option - command->options].origins |= OPTION_FROM_FLAG;
        if (value && strcmp(option->name, "config") == 0)
            sources->path = value;
    }
}

void options_free_sources(struct options_sources *sources)
{
    config_file_free(sources);
    free(sources->of);
    sources->of = NULL;
}

/* --- all of it --- */

static bool take_file(const struct command *command, int argc, char **argv, void *values,
                      struct options_sources *sources)
{
    char problem[1024];
    sources->of = memory_allocate((command->option_count + 1) * sizeof *sources->of);
    note_sources(command, argc, argv, sources);
    if (!sources->path || !*sources->path ||
        config_file_take(command, sources, values, problem, sizeof problem))
        return true;
    options_complain(command, "%s", problem);
    return false;
}

static enum options_result parse(const struct command *command, int argc, char **argv, void *values,
                                 const char **positionals, size_t *positional_count,
                                 struct options_sources *sources)
{
    *positional_count = 0;
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            options_print_help(command, stdout);
            return OPTIONS_HELP;
        }
    options_set_defaults(command, values);
    if (sources && !take_file(command, argc, argv, values, sources))
        return OPTIONS_WRONG;
    if (options_from_environment(command, values) != 0)
        return OPTIONS_WRONG;
    bool only_positionals = false;
    for (int i = 0; i < argc;) {
        if (!only_positionals && strcmp(argv[i], "--") == 0) {
            only_positionals = true;
            i++;
        } else if (!only_positionals && argv[i][0] == '-' && argv[i][1]) {
            int used = take_option(command, argv + i, argc - i, values);
            if (used == 0)
                return OPTIONS_WRONG;
            i += used;
        } else if (*positional_count < command->positional_maximum) {
            positionals[(*positional_count)++] = argv[i++];
        } else {
            options_complain(command, "unexpected argument \"%s\"", argv[i]);
            return OPTIONS_WRONG;
        }
    }
    return OPTIONS_PARSED;
}

enum options_result options_parse(const struct command *command, int argc, char **argv,
                                  void *values, const char **positionals, size_t *positional_count)
{
    return parse(command, argc, argv, values, positionals, positional_count, NULL);
}

enum options_result options_parse_with_file(const struct command *command, int argc, char **argv,
                                            void *values, const char **positionals,
                                            size_t *positional_count,
                                            struct options_sources *sources)
{
    *sources = (struct options_sources){0};
    return parse(command, argc, argv, values, positionals, positional_count, sources);
}

void options_free(const struct command *command, void *values)
{
    for (const struct option *option = NULL; (option = options_next(command, option));)
        option_free(option, values);
}

/* --- help --- */

/* Words of `text` from the given column on; breaks lines at HELP_WIDTH. */
static void print_wrapped(FILE *out, const char *text, int column, int at)
{
    while (*text) {
        int length = (int)strcspn(text, " "), blank = at > column;
        if (at + blank + length > HELP_WIDTH && at > column) {
            fprintf(out, "\n%*s", column, "");
            at = column;
            blank = 0;
        }
        fprintf(out, "%*s%.*s", blank, "", length, text);
        at += blank + length;
        text += length + strspn(text + length, " ");
    }
    fputc('\n', out);
}

static void print_option(const struct command *command, const struct option *option, FILE *out)
{
    char left[128], letter[8] = "", help[1024];
    const char *standard = options_standard(command, option);
    if (option->letter)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    int length = snprintf(left, sizeof left, "  %s--%s%s%s", letter, option->name,
                          option->argument ? " " : "", option->argument ? option->argument : "");
    int wrote = snprintf(help, sizeof help, "%s", option->help);
    if (standard)
        wrote += snprintf(help + wrote, sizeof help - (size_t)wrote, " [%s]", standard);
    if (option->environment)
        snprintf(help + wrote, sizeof help - (size_t)wrote, " ($%s)", option->environment);
    fprintf(out, "%s", left);
    if (length >= HELP_COLUMN - 1)
        fprintf(out, "\n%*s", HELP_COLUMN, "");
    else
        fprintf(out, "%*s", HELP_COLUMN - length, "");
    print_wrapped(out, help, HELP_COLUMN, HELP_COLUMN);
}

void options_print_help(const struct command *command, FILE *out)
{
    fprintf(out, "Usage: molecule %s%s%s\n\n%s\n", command->name, *command->usage ? " " : "",
            command->usage, command->description);
    if (command->option_count > 0)
        fprintf(out, "\nOptions:\n");
    for (const struct option *option = NULL; (option = options_next(command, option));)
        print_option(command, option, out);
    if (command->examples)
        fprintf(out, "\nExamples:\n%s\n", command->examples);
}
