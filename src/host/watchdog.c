/* A script that does not come back: Lua code is ended by its limits, but C code that it calls (a pathological pattern)
 * cannot be interrupted. The worker is asked for a sign of life while handlers run; the heartbeat says "wedged" when it
 * gives none, and the process ends with code 75 after --stuck-after. */
#include "host/workspace.h"

#include "base/clock.h"
#include "base/log.h"

#define EVERY_MS 1000
#define SLACK_MS 5000 /* beyond --cpu-limit: the hook would have ended Lua code by then */

static void on_alive(void *context)
{
    struct workspace *workspace = context;
    workspace->ping_sent_ms = 0;
    if (workspace->wedged) {
        log_info(workspace->settings.id, "the script answers again");
        workspace->wedged = false;
        heartbeat_now(workspace);
    }
}

struct workspace *watchdog_culprit(struct workspace *workspace)
{
    if (script_current(workspace->script))
        return workspace;
    struct workspace *other = workspace->host->workspaces;
    while (other && (other->worker != workspace->worker || !other->script || !script_current(other->script)))
        other = other->next;
    return other ? other : workspace;
}

static void say_wedged(struct workspace *workspace, const struct inbox_entry *running, int64_t silent_ms)
{
    const char *id = workspace->settings.id;
    const struct workspace *culprit = watchdog_culprit(workspace);
    workspace->wedged = true;
    if (culprit == workspace)
        log_error(id, "the script has been stuck in C code for %lld s with message %s from %s and cannot be interrupted; "
                      "heartbeats go on%s", (long long)silent_ms / 1000,
                  running ? running->row_id : "? (in conversation(msg))", running ? workspace_sender(running) : "?",
                  workspace->settings.stuck_after_ms ? "" : " (--stuck-after 0: for ever)");
    else
        log_error(id, "its messages have been waiting for %lld s: the script of workspace %s, on the same worker, is stuck in C "
                      "code; heartbeats go on", (long long)silent_ms / 1000, culprit->settings.id);
    heartbeat_now(workspace);
}

static void on_watchdog(uv_timer_t *timer)
{
    struct workspace *workspace = timer->data;
    const struct workspace_settings *settings = &workspace->settings;
    const struct inbox_entry *running = inbox_first_running(workspace->inbox);
    if (!running && !workspace->naming && !workspace->wedged) {
        uv_timer_stop(timer);
        return;
    }
    int64_t now = clock_monotonic_ms();
    thread_look(&workspace->host->network); /* for what the worker finished before it got stuck */
    if (!workspace->ping_sent_ms) {
        workspace->ping_sent_ms = now;
        script_ping(workspace->script, on_alive, workspace);
        return;
    }
    int64_t silent = now - workspace->ping_sent_ms;
    int64_t patience = settings->script.cpu_limit_ms + SLACK_MS;
    if (settings->stuck_after_ms && patience >= settings->stuck_after_ms)
        patience = settings->stuck_after_ms / 2; /* the platform hears of it before the end */
    if (!workspace->wedged && silent >= patience)
        say_wedged(workspace, running, silent);
    if (settings->stuck_after_ms && silent >= settings->stuck_after_ms && !workspace_over(workspace)) {
        log_error(settings->id, "still stuck after %lld s (--stuck-after): ending with exit code %d, so that whoever "
                                "supervises this process starts it again; message %s comes again then",
                  (long long)settings->stuck_after_ms / 1000, HOST_EXIT_STUCK, running ? running->row_id : "?");
        workspace_fail(workspace, HOST_EXIT_STUCK);
    }
}

void watchdog_start(struct workspace *workspace)
{
    if (!uv_is_active((uv_handle_t *)&workspace->watchdog))
        uv_timer_start(&workspace->watchdog, on_watchdog, EVERY_MS, EVERY_MS);
}
