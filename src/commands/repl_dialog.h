/* What is typed at the prompt of `molecule repl`, and what is answered: lines of Lua go to the
 * script's state, `:send` goes to the agent, by way of the emulator. */
#ifndef MOLECULE_COMMANDS_REPL_DIALOG_H
#define MOLECULE_COMMANDS_REPL_DIALOG_H

#include "commands/try_session.h"

#include <stdbool.h>

struct repl;

struct repl_options {
    bool terminal;     /* somebody types here, and reads the answers */
    const char *agent; /* who answers `:send`; NULL: nobody */
};

/* The options are borrowed. Takes SIGINT, SIGTERM and SIGHUP from now on. NULL after saying why
 * not. */
struct repl *repl_open(const struct repl_options *options);
/* For try_session_run. */
struct try_dialog repl_dialog(struct repl *repl);
void repl_close(struct repl *repl);

#endif
