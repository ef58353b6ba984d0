/* Single questions to the platform as a workspace, without serving it: its state is not locked, its
 * inbox stays as it is. Each runs the host's loop until its answer is there. */
#ifndef MOLECULE_HOST_ERRAND_H
#define MOLECULE_HOST_ERRAND_H

#include "host/host.h"
#include "molecule/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether the address is right and the token is this workspace's (contract §1.13). false: `problem`
 * says what is wrong. */
bool errand_probe(struct host *host, const struct molecule_workspace_options *options,
                  char *problem, size_t problem_size);

/* The workspaces it may talk to (contract §1.14): the platform's JSON, an array; `*list` is yours
 * to free. `query`: a part of the name; NULL: all. */
bool errand_peers(struct host *host, const struct molecule_workspace_options *options,
                  const char *query, char **list, char *problem, size_t problem_size);

/* Sends a text to a peer and waits for its answer: the response, or, from a peer that polls, its
 * message in our inbox. `*answer` is yours to free; NULL: none came in time, but the peer has the
 * message. */
bool errand_send(struct host *host, const struct molecule_workspace_options *options,
                 const char *peer, const char *text, int64_t timeout_ms, char **answer,
                 char *problem, size_t problem_size);

#endif
