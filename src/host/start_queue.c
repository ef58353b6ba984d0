/* The first registrations of many workspaces, a few at a time: the platform is not to meet all of a
 * fleet at once. */
#include "host/workspace.h"

#include "base/clock.h"

#define AT_ONCE 20 /* in flight */
#define GAP_MS 5   /* on average, between two */

static void give_turns(struct host *host);

static void on_timer(uv_timer_t *timer)
{
    give_turns(timer->data);
}

static void give_turns(struct host *host)
{
    while (host->starting && host->registering < AT_ONCE) {
        int64_t now = clock_monotonic_ms();
        int64_t free_ms = host->next_start_ms > host->start_quiet_ms ? host->next_start_ms
                                                                     : host->start_quiet_ms;
        if (now < free_ms) {
            workspace_arm(&host->start_timer, on_timer, free_ms - now);
            return;
        }
        host->next_start_ms = now + (int64_t)(host_random() % (2 * GAP_MS + 1));
        struct workspace *workspace = host->starting;
        host->starting = workspace->starting_next;
        if (!host->starting)
            host->starting_end = &host->starting;
        workspace->starting = false;
        workspace->counted = true;
        host->registering++;
        registration_begin(workspace);
    }
}

void start_queue_take(struct workspace *workspace)
{
    struct host *host = workspace->host;
    workspace->starting = true;
    workspace->starting_next = NULL;
    *host->starting_end = workspace;
    host->starting_end = &workspace->starting_next;
    give_turns(host);
}

static void leave_queue(struct workspace *workspace)
{
    struct host *host = workspace->host;
    struct workspace **link = &host->starting;
    while (*link != workspace)
        link = &(*link)->starting_next;
    *link = workspace->starting_next;
    if (!*link)
        host->starting_end = link;
    workspace->starting = false;
}

void start_queue_leave(struct workspace *workspace)
{
    if (workspace->starting)
        leave_queue(workspace);
    if (!workspace->counted)
        return;
    workspace->counted = false;
    workspace->host->registering--;
    /* one address has one budget on older platforms */
    if (workspace->budget.quiet_until_ms > workspace->host->start_quiet_ms)
        workspace->host->start_quiet_ms = workspace->budget.quiet_until_ms;
    give_turns(workspace->host);
}
