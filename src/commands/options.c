#include "commands/options.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/nearest.h"
#include "base/terminal.h"

#include <errno.h>
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

static bool parse_size(const char *text, int64_t *bytes)
{
    static const struct {
        const char *unit;
        int64_t scale;
    } units[] = {{"", 1},        {"B", 1},         {"K", 1024},    {"KiB", 1024},
                 {"M", 1 << 20}, {"MiB", 1 << 20}, {"G", 1 << 30}, {"GiB", 1 << 30}};
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (end == text || errno || number < 0)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(end, units[i].unit) == 0 && number <= INT64_MAX / units[i].scale) {
            *bytes = number * units[i].scale;
            return true;
        }
    return false;
}

static bool parse_number(const char *text, int64_t *number)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    *number = value;
    return end != text && !*end && !errno;
}

/* A plain number is one of `unit_ms`; a text has units of its own. In milliseconds. */
static bool parse_time(const char *text, int64_t unit_ms, int64_t *milliseconds)
{
    int64_t number;
    if (!parse_number(text, &number))
        return strpbrk(text, "dhms") && clock_parse_duration(text, milliseconds);
    if (number > INT64_MAX / unit_ms || number < INT64_MIN / unit_ms)
        return false;
    *milliseconds = number * unit_ms;
    return true;
}

static void *field_of(const struct option *option, void *values)
{
    return (char *)values + option->offset;
}

static bool add_pair(struct option_pairs *list, const char *text)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return false;
    list->pairs = memory_resize(list->pairs, (list->count + 1) * sizeof *list->pairs);
    list->pairs[list->count].name = memory_copy(text, (size_t)(equals - text));
    list->pairs[list->count].value = memory_copy_text(equals + 1);
    list->count++;
    return true;
}

static const char *add_item(struct option_list *list, const char *text)
{
    list->items = memory_resize(list->items, (list->count + 1) * sizeof *list->items);
    list->items[list->count++] = text;
    return *text ? NULL : "must not be empty";
}

static const char *wanted(enum option_type type)
{
    switch (type) {
    case OPTION_DURATION:
        return "takes a duration like 250ms, 30s, 5m or 2h; a plain number is one of seconds";
    case OPTION_MILLISECONDS:
        return "takes a duration like 250ms, 30s or 5m; a plain number is one of milliseconds";
    case OPTION_SECONDS:
        return "takes a duration like 30s, 5m or 2h; a plain number is one of seconds";
    case OPTION_SIZE: return "takes a size like 64MiB";
    default: return "takes a whole number";
    }
}

static const char *unit_of(enum option_type type)
{
    return type == OPTION_DURATION || type == OPTION_MILLISECONDS ? " ms"
           : type == OPTION_SECONDS                               ? " s"
           : type == OPTION_SIZE                                  ? " bytes"
                                                                  : "";
}

/* Why the text is no value for the option, or NULL after storing it. */
static const char *store(const struct option *option, const char *text, void *values)
{
    static char problem[160];
    void *field = field_of(option, values);
    int64_t number = 0;
    bool parsed = true;
    switch (option->type) {
    case OPTION_FLAG:
        parsed = strcmp(text, "true") == 0 || strcmp(text, "1") == 0 ||
                 strcmp(text, "false") == 0 || strcmp(text, "0") == 0;
        *(bool *)field = *text == 't' || *text == '1';
        return parsed ? NULL : "is true or false";
    case OPTION_TEXT: *(const char **)field = text; return *text ? NULL : "must not be empty";
    case OPTION_PAIRS: return add_pair(field, text) ? NULL : "takes NAME=VALUE";
    case OPTION_LIST: return add_item(field, text);
    case OPTION_NUMBER: parsed = parse_number(text, &number); break;
    case OPTION_DURATION: parsed = clock_parse_duration(text, &number); break;
    case OPTION_MILLISECONDS: parsed = parse_time(text, 1, &number); break;
    case OPTION_SECONDS:
        parsed = parse_time(text, 1000, &number);
        number = (number + 999) / 1000;
        break;
    case OPTION_SIZE: parsed = parse_size(text, &number); break;
    }
    if (!parsed)
        return wanted(option->type);
    if (number < option->minimum || (option->maximum && number > option->maximum)) {
        const char *unit = unit_of(option->type);
        if (option->maximum)
            snprintf(problem, sizeof problem, "must be between %lld and %lld%s",
                     (long long)option->minimum, (long long)option->maximum, unit);
        else
            snprintf(problem, sizeof problem, "must be at least %lld%s", (long long)option->minimum,
                     unit);
        return problem;
    }
    *(int64_t *)field = number;
    return NULL;
}

static const struct option *find(const struct command *command, const char *name, size_t length,
                                 char letter)
{
    for (const struct option *option = command->options; option->name; option++)
        if (letter ? option->letter == letter
                   : strlen(option->name) == length && strncmp(option->name, name, length) == 0)
            return option;
    return NULL;
}

const struct option *options_find(const struct command *command, const char *name)
{
    return find(command, name, strlen(name), 0);
}

const char *options_set(const struct option *option, const char *text, void *values)
{
    return store(option, text, values);
}

void options_set_defaults(const struct command *command, void *values)
{
    for (const struct option *option = command->options; option->name; option++)
        if (option->standard && option->type != OPTION_PAIRS && option->type != OPTION_LIST)
            store(option, option->standard, values);
}

int options_from_environment(const struct command *command, void *values)
{
    for (const struct option *option = command->options; option->name; option++) {
        const char *text = option->environment ? getenv(option->environment) : NULL;
        const char *problem = text && *text ? store(option, text, values) : NULL;
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
    for (const struct option_hint *hint = name ? command->elsewhere : NULL; hint && hint->name;
         hint++)
        if (strcmp(hint->name, word) == 0) {
            options_complain(command, "there is no option --%s here: %s", word, hint->text);
            free(word);
            return;
        }
    for (const struct option *option = command->options; option->name; option++)
        nearest_offer(&nearest, option->name);
    if (nearest.best && strlen(word) > 1)
        options_complain(command, "there is no option %s; did you mean --%s?", text, nearest.best);
    else
        options_complain(command, "there is no option %s", text);
    free(word);
}

/* One argument that begins with "-". Returns how many of argv it used, 0 after saying what is
 * wrong. */
static int take_option(const struct command *command, char **argv, int left, void *values)
{
    const char *text = argv[0], *value = NULL;
    bool is_long = text[1] == '-';
    const char *name = text + (is_long ? 2 : 1);
    size_t length = is_long ? strcspn(name, "=") : 1;
    const struct option *option = find(command, name, length, is_long ? 0 : *name);
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
    const char *problem = store(option, value, values);
    if (problem) {
        options_complain(command, "--%s %s; got \"%s\"", option->name, problem, value);
        return 0;
    }
    return used;
}

enum options_result options_parse(const struct command *command, int argc, char **argv,
                                  void *values, const char **positionals, size_t *positional_count)
{
    *positional_count = 0;
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            options_print_help(command, stdout);
            return OPTIONS_HELP;
        }
    options_set_defaults(command, values);
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
            options_complain(command, "\"%s\" is an unexpected argument", argv[i]);
            return OPTIONS_WRONG;
        }
    }
    return OPTIONS_PARSED;
}

static void free_pairs(struct option_pairs *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free((char *)list->pairs[i].name);
        free((char *)list->pairs[i].value);
    }
    free(list->pairs);
    *list = (struct option_pairs){0};
}

void options_free(const struct command *command, void *values)
{
    for (const struct option *option = command->options; option->name; option++) {
        if (option->type == OPTION_PAIRS)
            free_pairs(field_of(option, values));
        if (option->type == OPTION_LIST) {
            struct option_list *list = field_of(option, values);
            free(list->items);
            *list = (struct option_list){0};
        }
    }
}

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

void options_print_help(const struct command *command, FILE *out)
{
    fprintf(out, "Usage: molecule %s%s%s\n\n%s\n", command->name, *command->usage ? " " : "",
            command->usage, command->description);
    if (command->options->name)
        fprintf(out, "\nOptions:\n");
    for (const struct option *option = command->options; option->name; option++) {
        char left[128], letter[8] = "";
        if (option->letter)
            snprintf(letter, sizeof letter, "-%c, ", option->letter);
        int length = snprintf(left, sizeof left, "  %s--%s%s%s", letter, option->name,
                              option->argument ? " " : "",
                              option->argument ? option->argument : "");
        char help[1024];
        int wrote = snprintf(help, sizeof help, "%s", option->help);
        if (option->standard)
            wrote += snprintf(help + wrote, sizeof help - (size_t)wrote, " [%s]", option->standard);
        if (option->environment)
            snprintf(help + wrote, sizeof help - (size_t)wrote, " ($%s)", option->environment);
        fprintf(out, "%s", left);
        if (length >= HELP_COLUMN - 1)
            fprintf(out, "\n%*s", HELP_COLUMN, "");
        else
            fprintf(out, "%*s", HELP_COLUMN - length, "");
        print_wrapped(out, help, HELP_COLUMN, HELP_COLUMN);
    }
    if (command->examples)
        fprintf(out, "\nExamples:\n%s\n", command->examples);
}
