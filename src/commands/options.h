/* Command-line options: one table per command. Parsing, defaults from the environment, --help and
 * the tables of docs/configuration.md come from it. */
#ifndef MOLECULE_COMMANDS_OPTIONS_H
#define MOLECULE_COMMANDS_OPTIONS_H

#include "molecule/molecule.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum option_type {
    OPTION_FLAG,   /* bool */
    OPTION_TEXT,   /* const char *; borrowed from argv or the environment */
    OPTION_NUMBER, /* int64_t, between minimum and maximum */
    /* int64_t milliseconds: "30s", "5m", "250ms", or seconds; minimum and maximum in ms */
    OPTION_DURATION,
    OPTION_MILLISECONDS, /* the same, but a plain number is one of milliseconds */
    /* int64_t seconds: a plain number, or a duration; minimum and maximum in seconds */
    OPTION_SECONDS,
    OPTION_SIZE,  /* int64_t bytes: "256MiB", "64K", or bytes */
    OPTION_PAIRS, /* struct option_pairs, K=V, repeatable */
    OPTION_LIST   /* struct option_list, repeatable; the texts are borrowed */
};

struct option_pairs {
    struct molecule_option *pairs;
    size_t count;
};

struct option_list {
    const char **items;
    size_t count;
};

struct option {
    const char *name; /* without "--" */
    char letter;      /* 0: none */
    enum option_type type;
    const char *argument;    /* what --help calls its value; NULL for flags */
    const char *standard;    /* the default, as it would be typed; NULL: none */
    const char *environment; /* used when the flag is not given; NULL: none */
    const char *help;
    size_t offset; /* of the field in the command's structure */
    int64_t minimum, maximum;
};

/* An option that another command has: what to say of it here. */
struct option_hint {
    const char *name, *text;
};

struct command {
    const char *name;
    const char *usage;       /* after "molecule <name>" */
    const char *summary;     /* one line */
    const char *description; /* paragraphs */
    const char *examples;
    const struct option *options;        /* ends with a NULL name */
    const struct option_hint *elsewhere; /* NULL: none; ends with a NULL name */
    size_t positional_maximum;
    int (*run)(const struct command *command, int argc, char **argv);
};

enum options_result {
    OPTIONS_PARSED,
    OPTIONS_HELP, /* --help was printed; exit 0 */
    OPTIONS_WRONG /* the reason was printed; exit 2 */
};

/* Fills `values` (zeroed by this) and up to positional_maximum arguments. Texts are borrowed. */
enum options_result options_parse(const struct command *command, int argc, char **argv,
                                  void *values, const char **positionals, size_t *positional_count);
/* The same in steps, for values that come from elsewhere. `options_set`: why the text is no value
 * for the option, or NULL after storing it; the text is borrowed, but for pairs.
 * `options_from_environment`: 0, or 2 after saying what is wrong. */
void options_set_defaults(const struct command *command, void *values);
int options_from_environment(const struct command *command, void *values);
/* NULL: there is none */
const struct option *options_find(const struct command *command, const char *name);
const char *options_set(const struct option *option, const char *text, void *values);
/* Frees the pairs and lists. */
void options_free(const struct command *command, void *values);
void options_print_help(const struct command *command, FILE *out);

/* Prints "molecule <command>: <text>" and how to get help; returns 2. */
int options_complain(const struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
