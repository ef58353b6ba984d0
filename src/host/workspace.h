/* One workspace's life: loading -> registering -> running -> draining -> closing -> closed.
 * Everything here runs on the network thread. */
#ifndef MOLECULE_HOST_WORKSPACE_H
#define MOLECULE_HOST_WORKSPACE_H

#include "host/host.h"
#include "molecule/options.h"

#include <stdbool.h>
#include <stddef.h>

struct workspace;

/* Takes the lock, reads the cursor file and starts loading the script; the options are copied, and
 * what they point to is borrowed. false: `problem` and `*code` say why not. */
bool workspace_open(struct host *host, const struct molecule_workspace_options *options,
                    enum host_exit *code, char *problem, size_t problem_size);
/* Drains: stops fetching, finishes what runs, saves. */
void workspace_stop(struct workspace *workspace);
/* Reloads its script (script_reload). */
void workspace_reload(struct workspace *workspace);
/* Once it has ended: takes its timers off the loop, then calls `gone`, which may close and free it.
 */
void workspace_leave_loop(struct workspace *workspace,
                          void (*gone)(void *context, struct workspace *workspace), void *context);
/* Frees what it holds. */
void workspace_close(struct workspace *workspace);
/* Frees its own memory: once its timers have left the loop (workspace_leave_loop, host_close). */
void workspace_free(struct workspace *workspace);

const char *workspace_id(const struct workspace *workspace);
bool workspace_over(const struct workspace *workspace); /* closing or closed */
enum host_exit workspace_exit_code(const struct workspace *workspace);
struct worker *workspace_worker(const struct workspace *workspace); /* NULL: it was never opened */
/* The host's list. */
struct workspace *workspace_next(const struct workspace *workspace);
void workspace_link(struct workspace *workspace, struct workspace *next);

#endif
