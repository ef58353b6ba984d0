/* The file of --config: a flat table of options, for any of the commands that read one. Keys that
 * only another of them knows are left out. */
#ifndef MOLECULE_COMMANDS_CONFIG_FILE_H
#define MOLECULE_COMMANDS_CONFIG_FILE_H

#include "commands/options.h"

/* Reads the file at sources->path, and puts what it says of this command's options into `values`,
 * except what the sources name a flag or a variable for. false: `problem` says what is wrong, with
 * file and line. */
bool config_file_take(const struct command *command, struct options_sources *sources, void *values,
                      char *problem, size_t problem_size);
/* Leaves nothing behind of secrets in it. */
void config_file_free(struct options_sources *sources);

/* What the file calls the option: its key, or its flag with _ for -. Yours to free. */
char *config_file_key(const struct option *option);

#endif
