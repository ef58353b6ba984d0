/* Where secrets come from besides options, and whether their files are for us alone. */
#ifndef MOLECULE_COMMANDS_SECRETS_H
#define MOLECULE_COMMANDS_SECRETS_H

#include "commands/options.h"

/* The path of a credential of systemd, $CREDENTIALS_DIRECTORY/NAME; yours to free. NULL: there is
 * no such file. */
char *secrets_credential(const char *name);
/* … for the token of a workspace: "<id>.token"; `alone`: or "token", which comes first. */
char *secrets_token_credential(const char *id, bool alone);

/* Of a value of the option: yours to free, without what is likely to be a secret. */
char *secrets_hide(const struct option *option, const char *text);

/* After the log has been opened. 0, or 2 after saying that --strict refuses the file. NULL: 0. */
int secrets_check_file(const struct command *command, const char *path, const char *what);
/* The same of the config file, if it has secrets; a warning without --strict. */
int secrets_check_config(const struct command *command, const struct options_sources *sources);

#endif
