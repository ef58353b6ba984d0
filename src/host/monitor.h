/* What Prometheus, a supervisor and an operator ask of a running process, over HTTP on a place of
 * its own (--metrics), never on one that clients of the agent reach:
 *
 *   GET /metrics  metrics.h
 *   GET /healthz  200: the network loop turns
 *   GET /readyz   200: every workspace is registered, polls and can write; else 503 and a line each
 *   GET /status   JSON: what `molecule status --json` shows of the workspaces
 *
 * No answer holds secrets, and none tells what messages say. On the network thread. */
#ifndef MOLECULE_HOST_MONITOR_H
#define MOLECULE_HOST_MONITOR_H

#include <stddef.h>

struct host;
struct monitor;

/* NULL: `problem` says why. */
struct monitor *monitor_open(struct host *host, const char *place, char *problem,
                             size_t problem_size);
void monitor_close(struct monitor *monitor); /* NULL is fine */

/* Why this workspace is not ready: one line; NULL: it is. Yours to free. */
struct workspace;
char *monitor_unready(const struct workspace *workspace);

#endif
