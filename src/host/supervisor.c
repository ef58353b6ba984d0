#include "host/supervisor.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/plural.h"
#include "host/monitor.h"
#include "host/parts.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LOOK_MS 200
#define EXTENSION_MS 10000 /* asked for again and again */

struct supervisor {
    struct host *host;
    uv_timer_t timer; /* freed with it */
    int socket;
    int64_t feed_every_ms, fed_ms; /* 0: no watchdog */
    int64_t extended_ms;
    bool ready, was_ready, stopping;
    unsigned reloads;
    char status[256];
};

/* systemd reads it at once; a socket that is full loses a line, and the next one follows. */
static void tell(const struct supervisor *supervisor, const char *text)
{
    (void)send(supervisor->socket, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* --- what there is to tell --- */

struct summary {
    size_t workspaces, unready;
    unsigned long answered, dead;
    size_t pending;
    char *why; /* the first that is not ready; NULL: none */
};

static struct summary summarize(const struct host *host)
{
    struct summary all = {0};
    for (const struct workspace *each = host->workspaces; each; each = workspace_next(each)) {
        char *why = monitor_unready(each);
        if (workspace_over(each)) {
            free(why);
            continue;
        }
        all.workspaces++;
        all.unready += why != NULL;
        all.answered += each->dispatch.answered;
        all.dead += each->dispatch.dead;
        all.pending += inbox_pending(each->inbox) + inbox_deferred(each->inbox);
        if (!all.why)
            all.why = why;
        else
            free(why);
    }
    return all;
}

static void tell_status(struct supervisor *supervisor, const struct summary *all)
{
    char text[sizeof supervisor->status];
    int length = snprintf(
        text, sizeof text, "STATUS=%zu workspace%s, %zu pending, %lu answered, %lu dead-lettered",
        all->workspaces, plural(all->workspaces), all->pending, all->answered, all->dead);
    if (all->why)
        snprintf(text + length, sizeof text - (size_t)length, "; %.*s",
                 (int)strcspn(all->why, "\n"), all->why);
    if (strcmp(text, supervisor->status) == 0)
        return;
    memcpy(supervisor->status, text, sizeof text);
    tell(supervisor, text);
}

/* A poll is under way, which has a time limit, or has its time. What the platform answers, and how
 * long it wants to be left alone, does not matter: a restart would not change it. */
static bool polls_progress(const struct workspace *workspace)
{
    const struct poller *poller = &workspace->poller;
    bool polls = workspace->state == WORKSPACE_RUNNING && !workspace->options.serve &&
                 !workspace->link.pushed && poller->running && !poller->paused && !poller->taking;
    return !polls || call_busy(&poller->call) || uv_is_active((const uv_handle_t *)&poller->timer);
}

static bool is_alive(const struct host *host)
{
    for (const struct workspace *each = host->workspaces; each; each = workspace_next(each))
        if (!polls_progress(each))
            return false;
    return true;
}

/* --- when --- */

static void feed(struct supervisor *supervisor, int64_t now_ms)
{
    if (supervisor->feed_every_ms == 0 || now_ms - supervisor->fed_ms < supervisor->feed_every_ms ||
        !is_alive(supervisor->host))
        return;
    supervisor->fed_ms = now_ms;
    tell(supervisor, "WATCHDOG=1");
}

/* While it starts or stops, systemd waits for it, as long as it says so. */
static void extend(struct supervisor *supervisor, int64_t now_ms)
{
    char text[64];
    if (supervisor->extended_ms && now_ms - supervisor->extended_ms < EXTENSION_MS / 4)
        return;
    supervisor->extended_ms = now_ms;
    snprintf(text, sizeof text, "EXTEND_TIMEOUT_USEC=%lld", (long long)EXTENSION_MS * 1000);
    tell(supervisor, text);
}

static void stop(struct supervisor *supervisor, int64_t now_ms)
{
    if (!supervisor->stopping)
        tell(supervisor, "STOPPING=1");
    supervisor->stopping = true;
    extend(supervisor, now_ms);
}

static void reload(struct supervisor *supervisor)
{
    char text[64];
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    tell(supervisor, text);
    supervisor->reloads = supervisor->host->reloads;
    supervisor->ready = false; /* told with the next look, whatever the platform does meanwhile */
}

static void on_look(uv_timer_t *timer)
{
    struct supervisor *supervisor = timer->data;
    const struct host *host = supervisor->host;
    int64_t now_ms = clock_monotonic_ms();
    feed(supervisor, now_ms);
    struct summary all = summarize(host);
    tell_status(supervisor, &all);
    if (host->stops > 0)
        stop(supervisor, now_ms);
    else if (supervisor->reloads != host->reloads)
        reload(supervisor);
    else if (!supervisor->ready &&
             (supervisor->was_ready || (all.workspaces > 0 && all.unready == 0))) {
        supervisor->ready = supervisor->was_ready = true;
        tell(supervisor, "READY=1");
    } else if (!supervisor->was_ready)
        extend(supervisor, now_ms); /* the platform is away, perhaps */
    free(all.why);
}

/* --- opening --- */

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if ((*path != '/' && *path != '@') || length >= sizeof address.sun_path)
        return -1;
    memcpy(address.sun_path, path, length);
    if (*path == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address,
                           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* The watchdog's half, if it is meant for this process. */
static int64_t read_watchdog(void)
{
    const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    bool ours = us && (!pid || atoll(pid) == (long long)getpid());
    int64_t half_ms = ours ? atoll(us) / 2000 : 0;
    return ours && half_ms < 1 ? 1 : half_ms;
}

struct supervisor *supervisor_open(struct host *host)
{
    const char *path = getenv("NOTIFY_SOCKET");
    int fd = path ? connect_to(path) : -1;
    int64_t feed_every_ms = read_watchdog();
    unsetenv("NOTIFY_SOCKET"); /* of this process alone, not of programs that scripts run */
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    if (fd < 0)
        return NULL;
    struct supervisor *supervisor = memory_allocate(sizeof *supervisor);
    supervisor->host = host;
    supervisor->socket = fd;
    supervisor->feed_every_ms = feed_every_ms;
    uv_timer_init(&host->network.loop, &supervisor->timer);
    uv_unref((uv_handle_t *)&supervisor->timer);
    supervisor->timer.data = supervisor;
    uint64_t look_ms = feed_every_ms > 0 && feed_every_ms < LOOK_MS ? (uint64_t)feed_every_ms
                                                                    : LOOK_MS;
    uv_timer_start(&supervisor->timer, on_look, 0, look_ms);
    return supervisor;
}

static void free_supervisor(uv_handle_t *timer)
{
    free(timer->data);
}

void supervisor_close(struct supervisor *supervisor)
{
    if (!supervisor)
        return;
    if (!supervisor->stopping) /* it ended sooner than anybody looked */
        tell(supervisor, "STOPPING=1");
    close(supervisor->socket);
    uv_close((uv_handle_t *)&supervisor->timer, free_supervisor);
}
