/* What a workspace of a fleet and `molecule connect` share: the options, their checks, and what
 * they mean to the host. */
#ifndef MOLECULE_COMMANDS_CONNECT_H
#define MOLECULE_COMMANDS_CONNECT_H

#include "molecule/molecule.h"

struct connect_options; /* the values of command_connect's options */

/* The defaults, and what the environment says. NULL after saying what is wrong with a variable. */
struct connect_options *connect_options_open(void);
void connect_options_close(struct connect_options *values); /* NULL is fine */

/* Why these options make no sense for this id; yours to free. NULL: they do. */
char *connect_find_problem(const struct connect_options *given, const char *workspace_id);

/* Everything is borrowed. */
struct molecule_workspace_options connect_workspace(const struct connect_options *given,
                                                    const char *workspace_id,
                                                    const char *state_directory, const char *token,
                                                    const char *token_file);

/* Takes a variable out of the environment, and out of where /proc/<pid>/environ shows it. */
void connect_wipe_variable(const char *name);

/* The token in a text that may have blanks around it. Yours to wipe. NULL: `*problem` says what is
 * wrong, not what it holds. */
char *connect_take_token(const char *text, const char **problem);

/* The path with the id in place of {id} or %s. Yours to free; NULL for NULL. */
char *connect_token_path(const char *pattern, const char *workspace_id);

#endif
