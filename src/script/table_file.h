/* A file of settings: Lua text that returns a table. It runs in its own state, with strings,
 * tables, mathematics and os.getenv, within limits of CPU time and memory. */
#ifndef MOLECULE_SCRIPT_TABLE_FILE_H
#define MOLECULE_SCRIPT_TABLE_FILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct table_kind {
    const char *name;  /* "fleet file" */
    const char *shape; /* of the table, as complaints show it */
};

struct table_file {
    json_t *root; /* the table */
    char *text;   /* the file's own, for table_file_line */
};

/* Runs the file's text, NUL-terminated, which becomes the struct's; `path` is what errors call it.
 * false: `problem` says what is wrong, with file and line where Lua knows it. Free it in either
 * case. */
bool table_file_run(struct table_file *file, const struct table_kind *kind, const char *path,
                    char *text, size_t length, char *problem, size_t problem_size);
void table_file_free(struct table_file *file);

/* The line of `word` in the file, after `after` (NULL: anywhere). A word that is not found, because
 * it was put together at run time, has the line of `after`, or 1. */
unsigned table_file_line(const struct table_file *file, const char *after, const char *word);

#endif
