/* The emulator of `molecule dev`: alone on the main thread, or on a thread beside the host that is
 * connected to it. Both print where it listens, or why it does not. */
#ifndef MOLECULE_COMMANDS_DEV_EMULATOR_H
#define MOLECULE_COMMANDS_DEV_EMULATOR_H

#include "base/thread.h"
#include "commands/dev_host.h"
#include "commands/dev_terminal.h"
#include "script/emulator.h"

#include <stdbool.h>
#include <uv.h>

struct dev_emulator {
    struct dev_terminal *terminal; /* knows which replies the host posts; NULL: it runs alone */
    struct thread thread;
    struct emulator *emulator;
    struct dev_host *host; /* to stop when the emulator is told to quit; NULL: none */
    uv_loop_t *loop;       /* of an emulator that runs alone */
    const char *state_directory, *workspace_id; /* of the host; borrowed */
    bool brief; /* who watches it is told of the playground, and of nothing else */
    struct emulator_options options;
    char problem[512];
    uv_sem_t ready;
};

/* Until a signal, or until it is told to quit. The exit code. */
int dev_emulator_run(struct emulator_options *options);

/* With `terminal` and what belongs to the host set, the rest zeroed. false: there is nothing to
 * close. */
bool dev_emulator_open(struct dev_emulator *emulator, const struct emulator_options *options);
/* For dev_host.changed: from any thread. */
void dev_emulator_tell_host(struct dev_emulator *emulator, bool running, const char *why);
void dev_emulator_close(struct dev_emulator *emulator);

#endif
