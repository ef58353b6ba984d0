/* What `molecule connect` was given. `molecule dev` and the workspaces of a fleet have most of it
 * in common, and the checks. */
#ifndef MOLECULE_COMMANDS_CONNECT_OPTIONS_H
#define MOLECULE_COMMANDS_CONNECT_OPTIONS_H

#include "commands/options.h"
#include "molecule/molecule.h"

struct connect_options {
    struct molecule_workspace_options workspace;
    struct molecule_options host;
    struct molecule_serve_options serve; /* where the platform pushes to */
#define MOLECULE_COMMAND_OPTION MOLECULE_MEMBER
#define MOLECULE_CONFIG_OPTION MOLECULE_MEMBER
#include "molecule/options.def"
};

/* Why these options make no sense for this id; yours to free. NULL: they do. */
char *connect_find_problem(const struct molecule_workspace_options *workspace,
                           const char *workspace_id);

/* The script that stands without --script; NULL: none does. false after saying that there is one
 * with --script as well. */
bool connect_take_script(const struct command *command,
                         struct molecule_workspace_options *workspace, const char *script);

/* The token in a text that may have blanks around it. Yours to wipe. NULL: `*problem` says what is
 * wrong, not what it holds. */
char *connect_take_token(const char *text, const char **problem);

/* The path with the id in place of {id} or %s. Yours to free; NULL for NULL. */
char *connect_token_path(const char *pattern, const char *workspace_id);

#endif
