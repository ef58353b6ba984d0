/* The file with the lines that were typed at the prompt of `molecule repl`. */
#ifndef MOLECULE_COMMANDS_REPL_HISTORY_H
#define MOLECULE_COMMANDS_REPL_HISTORY_H

/* $XDG_STATE_HOME/molecule/repl_history, or below ~/.local/state; its directories are made, with
 * mode 0700. Yours to free. NULL: there is no place for it. */
char *repl_history_path(void);

#endif
