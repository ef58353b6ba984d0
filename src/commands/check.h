/* What `molecule check` says, for the commands that take --check. */
#ifndef MOLECULE_COMMANDS_CHECK_H
#define MOLECULE_COMMANDS_CHECK_H

#include "molecule/options.h"

#include <stdbool.h>
#include <stddef.h>

/* Checks each workspace's script or backend with its options, and prints what it finds; `online`:
 * asks each one's platform, too, about address and token. The exit code: 0 or 2. */
int check_workspaces(const struct molecule_workspace_options *const *workspaces, size_t count,
                     bool online, const char *ca_file);

#endif
