/* Reads a file of settings from disk. */
#ifndef MOLECULE_COMMANDS_TABLE_READ_H
#define MOLECULE_COMMANDS_TABLE_READ_H

#include "script/table_file.h"

#include <stdbool.h>
#include <stddef.h>

/* As table_file_run, with the text of the file at `path`. */
bool table_read(struct table_file *file, const struct table_kind *kind, const char *path,
                char *problem, size_t problem_size);

#endif
