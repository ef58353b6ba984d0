/* --sandbox, --allow-host and --allow-file-host, of every command that runs a script. */
#ifndef MOLECULE_COMMANDS_SANDBOX_OPTIONS_H
#define MOLECULE_COMMANDS_SANDBOX_OPTIONS_H

#include "commands/options.h"

/* 0, or 2 after saying what is wrong. */
int sandbox_options_check(const struct command *command, bool sandbox,
                          const struct option_list *allowed_hosts,
                          const struct option_list *file_hosts);
/* The same in words; yours to free. NULL: nothing is wrong. */
char *sandbox_options_problem(bool sandbox, const struct option_list *allowed_hosts,
                              const struct option_list *file_hosts);

#endif
