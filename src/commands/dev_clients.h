/* `molecule dev --listen`: A2A clients ask the script, too. */
#ifndef MOLECULE_COMMANDS_DEV_CLIENTS_H
#define MOLECULE_COMMANDS_DEV_CLIENTS_H

#include "molecule/molecule.h"

#include <stdbool.h>
#include <stddef.h>

/* What was given; borrowed. */
struct dev_clients {
    const char *const *listens;
    size_t listen_count; /* 0: nobody but the emulator asks */
    const char *token_file;
};

/* Why these make no sense; yours to free. NULL: they do. */
char *dev_clients_problem(const struct dev_clients *clients);
/* In the host. `listener` is filled, and borrowed for its life. false: `problem` says why not. */
bool dev_clients_listen(struct molecule *molecule, const struct dev_clients *clients,
                        struct molecule_serve_options *listener, char *problem,
                        size_t problem_size);
/* Prints where they reach the script, and unless it is said `again`, how to try it. */
void dev_clients_say(const struct molecule *molecule, const struct dev_clients *clients,
                     bool again);

#endif
