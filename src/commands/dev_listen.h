/* Where the host of `molecule dev --mode push` gets its messages. */
#ifndef MOLECULE_COMMANDS_DEV_LISTEN_H
#define MOLECULE_COMMANDS_DEV_LISTEN_H

#include "molecule/molecule.h"

#include <stddef.h>

/* Listens on 127.0.0.1 at any free port; `listener` is filled, and borrowed for the life of the
 * host. The URL for the platform, yours; NULL: `problem` says why there is none. */
char *dev_listen(struct molecule *molecule, struct molecule_serve_options *listener, char *problem,
                 size_t problem_size);

#endif
