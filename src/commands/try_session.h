/* What `molecule try` and `molecule replay` have in common: a host with one workspace, connected to
 * an emulator in the same process, with its state in a directory that is removed. */
#ifndef MOLECULE_COMMANDS_TRY_SESSION_H
#define MOLECULE_COMMANDS_TRY_SESSION_H

#include "commands/options.h"
#include "commands/try_input.h"
#include "molecule/molecule.h"

#include <stdbool.h>

/* A command that speaks to the host itself, and says when it is over by calling trial.lua's `done`.
 */
struct try_dialog {
    /* The host is about to run, with the workspace of this id. false: it cannot start, and the
     * reason was printed. */
    bool (*open)(void *context, struct try_emulator *emulator, struct molecule *molecule,
                 const char *id);
    /* The script has loaded, or failed to (`problem`), for the first time or again. On the thread
     * of molecule_run. */
    void (*loaded)(void *context, const char *problem);
    /* The host has ended; after this, nothing of what `open` was given is used. `failed`: a message
     * was not answered as the script meant. Whether all is well. */
    bool (*close)(void *context, bool failed);
    void *context;
};

/* Everything is borrowed for the run. */
struct try_plan {
    const char *command; /* its name, for what is printed on standard error */
    const struct molecule_workspace_options *workspace; /* who answers, and its limits */
    const struct molecule_options *host;
    const char *id;       /* the workspace's, a UUID; NULL: a new one */
    const char *settings; /* of lua/molecule/emulator/trial.lua, JSON */
    const char *store;    /* the file of --store; NULL: none */
    bool offline;
    struct playback *playback; /* what a recording answers although `offline`; NULL: nothing */
    struct try_input input;    /* what is said; its emulator and command are set here */
    const struct try_dialog *dialog; /* instead of `input`; NULL: none */
    /* the function of trial.lua that tells at the end whether all is well; NULL: it is if every
     * message was replied to, needed no reply, or was skipped */
    const char *verdict;
};

/* Options of connect that have no place here. */
extern const struct option_note try_elsewhere[];

/* The exit code, an enum molecule_result; MOLECULE_FAILED too if not all is well. */
int try_session_run(const struct try_plan *plan);

#endif
