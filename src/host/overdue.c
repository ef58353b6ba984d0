/* A script stuck in C, or a disk that hangs, must not keep the process from exiting. */
#include "base/log.h"
#include "base/timer.h"
#include "host/host.h"
#include "host/parts.h"

void workspace_close_overdue(uv_timer_t *timer)
{
    struct workspace *workspace = timer->data;
    const struct host *host = workspace->host;
    const char *id = workspace_id(workspace);
    int64_t stuck_after_ms = workspace->options.stuck_after_ms;
    if (workspace->overdue && !host->stops) {
        log_error(LOG_SHUTDOWN_STUCK, id,
                  "the script still did not shut down: exiting with code %d", HOST_EXIT_STUCK);
        host_exit_now(host, HOST_EXIT_STUCK);
    }
    if (!host->stops && host->open_workspaces > 1 && workspace->exit_code != HOST_EXIT_STUCK) {
        if (stuck_after_ms == 0)
            return;
        log_error(LOG_SHUTDOWN_STUCK, id,
                  "the script did not release the workspace; the others continue for %lld s "
                  "(--stuck-after), then this process exits with code %d",
                  (long long)stuck_after_ms / 1000, HOST_EXIT_STUCK);
        workspace->overdue = true;
        timer_arm(timer, workspace_close_overdue, stuck_after_ms);
        return;
    }
    log_error(LOG_SHUTDOWN_STUCK, id,
              "the script or the disk did not shut down in time; exiting anyway");
    host_exit_now(host, workspace->exit_code);
}
