/* --dry-run: everything that can be checked without the platform and without touching the state,
 * and what would be done, on standard output. Reports every problem. Sends and writes nothing. */
#ifndef MOLECULE_HOST_REHEARSAL_H
#define MOLECULE_HOST_REHEARSAL_H

#include "host/host.h"
#include "molecule/options.h"

/* Loads the script or backend, without its `start`; prints nothing. false: `problem` says why it
 * does not load. */
bool rehearsal_load(struct host *host, const struct molecule_workspace_options *options,
                    char *problem, size_t problem_size);
enum host_exit rehearsal_run(struct host *host, const struct molecule_workspace_options *options);

#endif
