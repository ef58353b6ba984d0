/* --check --online: one question to the platform, whether the address is right and the token is
 * this workspace's. Changes nothing there (contract §1.13). */
#ifndef MOLECULE_HOST_PROBE_H
#define MOLECULE_HOST_PROBE_H

#include "host/host.h"
#include "molecule/options.h"

#include <stdbool.h>
#include <stddef.h>

/* Runs the host's loop until the answer is there. false: `problem` says what is wrong. */
bool probe_platform(struct host *host, const struct molecule_workspace_options *options,
                    char *problem, size_t problem_size);

#endif
