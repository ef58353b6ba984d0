/* Reads a fleet file from disk. */
#ifndef MOLECULE_COMMANDS_FLEET_READ_H
#define MOLECULE_COMMANDS_FLEET_READ_H

#include "script/fleet_file.h"

#include <stdbool.h>
#include <stddef.h>

/* As fleet_file_run, with the text of the file at `path`. */
bool fleet_read(struct fleet_file *file, const char *path, char *problem, size_t problem_size);

#endif
