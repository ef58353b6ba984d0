/* A call into a script that does not return: Lua code is ended by its limits where it has any, but
 * C code that it calls (a pathological pattern) cannot be interrupted. Many calls that each return
 * are none, however long they take together. The worker is asked for a sign of life while anything
 * of the script may run; the heartbeat says "wedged" when it gives none, and the process ends with
 * code 75 after --stuck-after. */
#include "host/workspace.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>

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

static void ping(struct workspace *workspace)
{
    /* 0 is none; a process that was stopped is not stuck */
    workspace->ping_sent_ms = clock_awake_ms() + 1;
    script_ping(workspace->script, on_alive, workspace);
}

struct workspace *watchdog_culprit(struct workspace *workspace)
{
    if (script_current(workspace->script))
        return workspace;
    struct workspace *other = workspace->host->workspaces;
    while (other &&
           (other->worker != workspace->worker || !other->script || !script_current(other->script)))
        other = other->next;
    return other ? other : workspace;
}

/* NULL: none is under way, it is stuck elsewhere. */
static const struct message *stuck_message(const struct workspace *workspace)
{
    const struct script_job *job = script_current(workspace->script);
    return job && job->message ? job->message : naming_current(workspace);
}

static void name_place(const struct workspace *workspace, char *text, size_t size)
{
    const struct message *message = stuck_message(workspace);
    if (message)
        snprintf(text, size, "with message %s from %s%s", message->row_id,
                 message->source_id ? message->source_id : "the canvas",
                 message == naming_current(workspace) ? " (in conversation(msg))" : "");
    else
        snprintf(text, size, "outside of any message: in a timer, at its start or its stop");
}

static void say_wedged(struct workspace *workspace, int64_t silent_ms)
{
    const char *id = workspace->settings.id;
    const struct workspace *culprit = watchdog_culprit(workspace);
    char place[400];
    workspace->wedged = true;
    name_place(culprit, place, sizeof place);
    bool in_lua = script_call(culprit->script).in_lua;
    if (culprit == workspace && in_lua)
        log_error(id,
                  "the script has been running Lua code for %lld s %s without waiting or returning "
                  "(--cpu-limit %lld s); "
                  "heartbeats continue",
                  (long long)silent_ms / 1000, place,
                  (long long)culprit->settings.cpu_limit_ms / 1000);
    else if (culprit == workspace)
        log_error(id,
                  "the script has been stuck in C code for %lld s %s, and cannot be interrupted; "
                  "heartbeats continue%s",
                  (long long)silent_ms / 1000, place,
                  workspace->settings.stuck_after_ms ? "" : " (--stuck-after 0: forever)");
    else
        log_error(id,
                  "its messages have been waiting for %lld s: the script of workspace %s, on the "
                  "same worker, %s; heartbeats "
                  "continue",
                  (long long)silent_ms / 1000, culprit->settings.id,
                  in_lua ? "runs Lua code without waiting or returning" : "is stuck in C code");
    heartbeat_now(workspace);
}

static void end_stuck(struct workspace *workspace)
{
    const struct message *message = stuck_message(watchdog_culprit(workspace));
    log_error(workspace->settings.id,
              "still stuck after %lld s (--stuck-after): ending with exit code %d, so that the "
              "supervisor restarts it; %s%s "
              "comes again then",
              (long long)workspace->settings.stuck_after_ms / 1000, HOST_EXIT_STUCK,
              message ? "message " : "what was under way", message ? message->row_id : "");
    workspace_fail(workspace, HOST_EXIT_STUCK);
}

/* Nothing of the script can be under way, and the worker has shown that it is alive. */
static bool may_rest(const struct workspace *workspace)
{
    return inbox_running(workspace->inbox) == 0 && !workspace->naming && !workspace->wedged &&
           !workspace->ping_sent_ms && workspace->state != WORKSPACE_LOADING &&
           !script_has_timers(workspace->script);
}

/* How long the worker has been in one call without an answer to the ping; 0 while it is in Lua code
 * that a limit will end. */
static int64_t silence(const struct workspace *workspace, const struct workspace *culprit)
{
    int64_t silent = clock_awake_ms() - workspace->ping_sent_ms;
    struct script_call call = script_call(culprit->script);
    if (call.will_end)
        return 0;
    return call.ms > 0 && call.ms < silent ? call.ms : silent;
}

static void on_watchdog(uv_timer_t *timer)
{
    struct workspace *workspace = timer->data;
    const struct molecule_workspace_options *settings = &workspace->settings;
    if (!workspace->script || may_rest(workspace)) {
        uv_timer_stop(timer);
        return;
    }
    thread_look(&workspace->host->network); /* for what the worker finished before it got stuck */
    if (!workspace->ping_sent_ms) {
        ping(workspace);
        return;
    }
    const struct workspace *culprit = watchdog_culprit(workspace);
    int64_t silent = silence(workspace, culprit);
    int64_t patience = culprit->settings.cpu_limit_ms + SLACK_MS;
    if (settings->stuck_after_ms && patience >= settings->stuck_after_ms)
        patience = settings->stuck_after_ms / 2; /* the platform hears of it before the end */
    if (!workspace->wedged && silent >= patience)
        say_wedged(workspace, silent);
    if (settings->stuck_after_ms && silent >= settings->stuck_after_ms &&
        !workspace_over(workspace))
        end_stuck(workspace);
}

void watchdog_look(struct workspace *workspace)
{
    if (!workspace->ping_sent_ms)
        ping(workspace);
    watchdog_start(workspace);
}

void watchdog_start(struct workspace *workspace)
{
    if (!uv_is_active((uv_handle_t *)&workspace->watchdog))
        uv_timer_start(&workspace->watchdog, on_watchdog, EVERY_MS, EVERY_MS);
}
