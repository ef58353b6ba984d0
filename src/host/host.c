#include "host/host.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "host/workspace.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define USER_AGENT "molecule/" MOLECULE_VERSION

static struct http_client *open_client(struct host *host, const char *ca_file, struct http_client *share)
{
    struct http_client_options options = {
        .ca_file = ca_file, .user_agent = USER_AGENT, .keep_addresses = true, .share = share};
    return http_client_open(&host->network.loop, &options);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct host *host = handle->data;
    log_info(NULL, "%s: %s", number == SIGTERM ? "SIGTERM" : "SIGINT",
             host->stops ? "ending now" : "stopping; messages under way are finished first (again to end now)");
    host_stop(host);
}

static void watch_signals(struct host *host)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uv_signal_init(&host->network.loop, &host->signals[i]);
        host->signals[i].data = host;
        uv_signal_start(&host->signals[i], on_signal, numbers[i]);
        uv_unref((uv_handle_t *)&host->signals[i]);
    }
}

struct host *host_open(const char *ca_file, bool handle_signals, char *problem, size_t problem_size)
{
    struct host *host = memory_allocate(sizeof *host);
    host->started_ms = clock_monotonic_ms();
    host->handle_signals = handle_signals;
    if (handle_signals)
        signal(SIGPIPE, SIG_IGN);
    int result = thread_adopt(&host->network, "network");
    if (result < 0) {
        snprintf(problem, problem_size, "cannot make an event loop: %s", uv_strerror(result));
        free(host);
        return NULL;
    }
    host->client = open_client(host, ca_file, NULL);
    host->heartbeats = host->client ? open_client(host, ca_file, host->client) : NULL;
    if (!host->heartbeats) {
        snprintf(problem, problem_size, "cannot set up libcurl");
        http_client_close(host->client);
        thread_close(&host->network);
        free(host);
        return NULL;
    }
    if (handle_signals)
        watch_signals(host);
    result = disk_open(&host->disk);
    if (result == 0) {
        result = thread_start(&host->worker, "worker", NULL, NULL);
        if (result < 0)
            disk_close(&host->disk);
    }
    if (result < 0) {
        snprintf(problem, problem_size, "cannot start a thread: %s", uv_strerror(result));
        http_client_close(host->heartbeats);
        http_client_close(host->client);
        thread_close(&host->network);
        free(host);
        return NULL;
    }
    return host;
}

enum host_exit host_run(struct host *host)
{
    if (host->open_workspaces > 0)
        uv_run(&host->network.loop, UV_RUN_DEFAULT);
    return host->exit_code;
}

void host_close(struct host *host)
{
    for (struct workspace *workspace = host->workspaces; workspace; workspace = workspace->next)
        workspace_close(workspace);
    http_client_close(host->heartbeats);
    http_client_close(host->client);
    thread_close(&host->worker);
    disk_close(&host->disk);
    thread_close(&host->network);
    while (host->workspaces) { /* their timers were on the loop until now */
        struct workspace *workspace = host->workspaces;
        host->workspaces = workspace->next;
        free(workspace);
    }
    free(host);
}

void host_stop(struct host *host)
{
    if (++host->stops > 1) {
        /* what is saved is saved; a message under way comes again */
        log_flush();
        _exit(HOST_EXIT_STOPPED);
    }
    for (struct workspace *workspace = host->workspaces; workspace; workspace = workspace->next)
        workspace_stop(workspace);
}

struct stop_task {
    struct task task;
    struct host *host;
};

static void run_stop(struct task *task)
{
    host_stop(((struct stop_task *)task)->host);
    free(task);
}

void host_request_stop(struct host *host)
{
    struct stop_task *stop = memory_allocate(sizeof *stop);
    stop->task.run = run_stop;
    stop->host = host;
    if (!thread_post(&host->network, &stop->task))
        free(stop);
}

void host_workspace_ended(struct host *host, enum host_exit code)
{
    if (host->exit_code == HOST_EXIT_STOPPED)
        host->exit_code = code;
    if (--host->open_workspaces == 0)
        uv_stop(&host->network.loop);
}

struct disk_task {
    struct task task;
    struct host *host;
    void (*work)(void *context);
    void (*done)(void *context);
    void *context;
};

static void run_done(struct task *task)
{
    struct disk_task *work = (struct disk_task *)task;
    work->done(work->context);
    free(work);
}

static void run_work(struct task *task)
{
    struct disk_task *work = (struct disk_task *)task;
    work->work(work->context);
    work->task.run = run_done;
    thread_post(&work->host->network, &work->task);
}

void host_on_disk(struct host *host, void (*work)(void *context), void (*done)(void *context), void *context)
{
    struct disk_task *task = memory_allocate(sizeof *task);
    *task = (struct disk_task){.task.run = run_work, .host = host, .work = work, .done = done, .context = context};
    thread_post(&host->disk.thread, &task->task);
}

uint64_t host_random(void)
{
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        number = (uint64_t)clock_monotonic_us() * 0x9e3779b97f4a7c15u;
    return number;
}
