/* Command-line options: one table per command. Parsing, defaults from the environment, --help and
 * the tables of docs/configuration.md come from it. What several commands share is declared in
 * include/molecule/options.def; the rest is a list of such lines in the command's own file. */
#ifndef MOLECULE_COMMANDS_OPTIONS_H
#define MOLECULE_COMMANDS_OPTIONS_H

#include "base/option.h"
#include "script/table_file.h"

#include <stdio.h>

/* A text about the option of this name. */
struct option_note {
    const char *name, *text;
};

/* Where `molecule --help` lists a command. X(enumerator, heading) */
#define COMMAND_GROUPS(X)                   \
    X(COMMAND_WRITE, "Write an agent")      \
    X(COMMAND_RUN, "Run it for a platform") \
    X(COMMAND_LOOK, "Look after it")
enum command_group {
#define X(name, heading) name,
    COMMAND_GROUPS(X)
#undef X
};

struct command {
    const char *name;
    enum command_group group;
    const char *usage;       /* after "molecule <name>" */
    const char *summary;     /* one line */
    const char *description; /* paragraphs */
    const char *examples;
    const struct option *options; /* of two with one name the first counts */
    size_t option_count;
    /* What to say of options that only other commands have; those in `options` are not the
     * command's either. Defaults that differ from those in `options`. Both may be NULL, and end
     * with a NULL name. */
    const struct option_note *elsewhere, *standards;
    size_t positional_maximum;
    int (*run)(const struct command *command, int argc, char **argv);
};

enum options_result {
    OPTIONS_PARSED,
    OPTIONS_HELP, /* --help was printed; exit 0 */
    OPTIONS_WRONG /* the reason was printed; exit 2 */
};

/* Where a value comes from; a later one replaces an earlier one, but adds to pairs and lists. */
enum option_origin { OPTION_FROM_FILE = 1, OPTION_FROM_ENVIRONMENT = 2, OPTION_FROM_FLAG = 4 };
struct option_source {
    unsigned origins; /* 0: the default */
    unsigned line;    /* in the config file */
};

/* The sources of a command's values. */
struct options_sources {
    struct option_source *of; /* each option of the command's table */
    const char *path;         /* the config file, borrowed; NULL: none */
    bool has_secret;          /* it holds a token or the like */
    struct table_file file;   /* the texts of values are borrowed from these two */
    json_t *kept;
};

/* Fills `values` (zeroed by this) and up to positional_maximum arguments. Texts are borrowed. */
enum options_result options_parse(const struct command *command, int argc, char **argv,
                                  void *values, const char **positionals, size_t *positional_count);
/* The same, of a command with --config: the values of that file, too. Free the sources in any case,
 * after the values. */
enum options_result options_parse_with_file(const struct command *command, int argc, char **argv,
                                            void *values, const char **positionals,
                                            size_t *positional_count,
                                            struct options_sources *sources);
void options_free_sources(struct options_sources *sources);
/* Where the option of this name has its value from: enum option_origin; 0: the default, or there is
 * no such option. */
unsigned options_origins(const struct command *command, const struct options_sources *sources,
                         const char *name);
/* The same in steps, for values that come from elsewhere. `options_from_environment`: 0, or 2 after
 * saying what is wrong. */
void options_set_defaults(const struct command *command, void *values);
int options_from_environment(const struct command *command, void *values);
/* Frees the pairs and lists. */
void options_free(const struct command *command, void *values);
void options_print_help(const struct command *command, FILE *out);

/* The command's options in the order of --help: the one after `before`, the first one for NULL.
 * NULL: that was the last one. */
const struct option *options_next(const struct command *command, const struct option *before);
/* NULL: none of this name. */
const struct option *options_find(const struct command *command, const char *name);
/* The option's default for this command, as one would type it; NULL: none. */
const char *options_standard(const struct command *command, const struct option *option);

/* Prints "molecule <command>: <text>" and how to get help; returns 2. */
int options_complain(const struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
