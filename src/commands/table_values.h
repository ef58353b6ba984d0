/* Values of a file of settings become options. */
#ifndef MOLECULE_COMMANDS_TABLE_VALUES_H
#define MOLECULE_COMMANDS_TABLE_VALUES_H

#include "base/option.h"
#include "script/table_file.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* The file that is read, and where complaints go. */
struct table_source {
    const struct table_file *file;
    const char *path;
    char *directory; /* of the file, with a slash; "" for the current one */
    char *problem;
    size_t problem_size;
};

/* Yours to free. */
char *table_directory(const char *path);

/* Says what is wrong, with file and line: `word` is looked for in the file, after `after` (NULL:
 * anywhere). Always false. */
bool table_complain(const struct table_source *source, const char *after, const char *word,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* What the values become. */
struct table_target {
    const struct table_source *source;
    void *options;
    json_t *kept;      /* an object: the texts of options are borrowed from it, by key */
    const char *owner; /* a workspace's id, for complaints; NULL: the file has one of each key */
};

/* Adds to pairs and lists. A path is relative to the file. false: `problem` says what is wrong. */
bool table_set_value(const struct table_target *target, const struct option *option,
                     const char *key, const json_t *value);

#endif
