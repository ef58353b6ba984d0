/* The commands of `molecule repl`, which begin with a colon. */
#ifndef MOLECULE_COMMANDS_REPL_COMMANDS_H
#define MOLECULE_COMMANDS_REPL_COMMANDS_H

#include <stdbool.h>

struct repl;

/* "::name::" is Lua. */
bool repl_is_command(const char *line);
/* false: the session is over. */
bool repl_run_command(struct repl *repl, const char *line);
/* What to insert, then the names that are possible, a line each. Yours to free; NULL: none. */
char *repl_complete_command(const char *text);

#endif
