#include "host/host.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/plural.h"
#include "doors/a2a_server.h"
#include "host/workspace.h"
#include "net/http_client.h"
#include "state/atomic_file.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define USER_AGENT "molecule/" MOLECULE_VERSION
/* idle ones per client. By default libcurl keeps four per request under way and closes the rest:
 * while a backlog was answered, every fifth post had to reconnect */
#define CONNECTIONS_KEPT 64
#define FLEET_AT_ONCE 256 /* connections per client to one platform; further requests wait */

static struct http_client *open_client(struct host *host, struct http_client *share)
{
    struct http_client_options options = {
        .ca_file = host->options.ca_file,
        .user_agent = USER_AGENT,
        .keep_addresses = true,
        .share = share,
        .connections_maximum = (int)descriptors_connections(CONNECTIONS_KEPT),
        .connections_at_once = host->options.fleet ? (int)descriptors_connections(FLEET_AT_ONCE)
                                                   : 0,
    };
    return http_client_open(&host->network.loop, &options);
}

/* The first shares its addresses and sessions with the others. */
static void close_clients(struct host *host)
{
    http_client_close(host->link.watchers);
    http_client_close(host->link.heartbeats);
    http_client_close(host->link.client);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct host *host = handle->data;
    if (number == SIGHUP) {
        log_reopen();
        host->reloads++;
        a2a_server_reload(host->a2a);
        if (host->options.reload && !host->stops)
            host->options.reload(host->options.context);
        else
            host_reload(host);
        return;
    }
    if (number == SIGXCPU && host->stops > 0)
        return; /* sent every second */
    log_info(LOG_HOST_STOPPING, NULL, "%s: %s",
             number == SIGTERM  ? "SIGTERM"
             : number == SIGINT ? "SIGINT"
                                : "SIGXCPU (CPU time limit)",
             host->stops ? "exiting now"
                         : "stopping; finishing messages in progress (signal again to exit now)");
    host_stop(host);
}

static void watch_signals(struct host *host)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGXCPU};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uv_signal_init(&host->network.loop, &host->signals[i]);
        host->signals[i].data = host;
        uv_signal_start(&host->signals[i], on_signal, numbers[i]);
        uv_unref((uv_handle_t *)&host->signals[i]);
    }
}

static void close_workers(struct host *host)
{
    for (size_t i = 0; i < host->worker_count; i++)
        thread_close(&host->workers[i].thread);
    free(host->workers);
}

static int start_workers(struct host *host)
{
    size_t wanted = host->options.workers ? host->options.workers : 1;
    host->workers = memory_allocate(wanted * sizeof *host->workers);
    while (host->worker_count < wanted) {
        int result = thread_start(&host->workers[host->worker_count].thread, "worker", NULL, NULL);
        if (result < 0)
            return result;
        host->worker_count++;
    }
    return 0;
}

static int start_threads(struct host *host)
{
    int result = disk_open(&host->disk);
    if (result < 0)
        return result;
    result = start_workers(host);
    if (result < 0) {
        close_workers(host);
        disk_close(&host->disk);
    }
    return result;
}

static void ignore_unless_handled(int number)
{
    struct sigaction action;
    if (sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_DFL)
        signal(number, SIG_IGN);
}

static bool may_open_stream(void *context)
{
    struct host *host = context;
    return descriptors_allow_stream(&host->descriptors, host->open_workspaces, host->link.streams);
}

static void on_awake(uv_timer_t *timer)
{
    (void)timer;
    clock_awake_ms();
    log_tell_repeats();
}

struct host *host_open(const struct host_options *options, char *problem, size_t problem_size)
{
    if (!limits_allow_files(LIMITS_FILES_LEAST, problem, problem_size))
        return NULL;
    struct host *host = memory_allocate(sizeof *host);
    host->options = *options;
    host->started_ms = clock_monotonic_ms();
    host->began_ms = clock_wall_ms();
    host->link.network = host->controls.network = &host->network;
    host->link.disk = &host->disk;
    host->link.fleet = host->controls.fleet = options->fleet;
    host->link.may_open_stream = may_open_stream;
    host->link.context = host;
    /* whoever asks over the control socket may be gone before the answer */
    ignore_unless_handled(SIGPIPE);
    /* a write beyond the limit on file sizes fails like one to a full disk */
    ignore_unless_handled(SIGXFSZ);
    int result = thread_adopt(&host->network, "network");
    if (result < 0) {
        snprintf(problem, problem_size, "cannot create an event loop: %s", uv_strerror(result));
        free(host);
        return NULL;
    }
    host->link.client = open_client(host, NULL);
    host->link.heartbeats = host->link.client ? open_client(host, host->link.client) : NULL;
    struct http_client_options watching = {.ca_file = options->ca_file,
                                           .user_agent = USER_AGENT,
                                           .keep_addresses = true,
                                           .share = host->link.client,
                                           .connections_maximum = 1,
                                           .read_size = 4096};
    host->link.watchers = host->link.heartbeats ? http_client_open(&host->network.loop, &watching)
                                                : NULL;
    if (!host->link.watchers) {
        snprintf(problem, problem_size, "cannot set up libcurl");
        close_clients(host);
        thread_close(&host->network);
        free(host);
        return NULL;
    }
    start_queue_open(&host->link.starts, &host->network.loop);
    uv_timer_init(&host->network.loop, &host->awake_timer);
    uv_timer_start(&host->awake_timer, on_awake, 0, 1000);
    uv_unref((uv_handle_t *)&host->awake_timer);
    if (options->handle_signals)
        watch_signals(host);
    result = start_threads(host);
    if (result < 0) {
        snprintf(problem, problem_size, "cannot start a thread: %s", uv_strerror(result));
        close_clients(host);
        thread_close(&host->network);
        free(host);
        return NULL;
    }
    reserve_open(&host->reserve);
    host->ledgers.reserve = &host->reserve;
    descriptors_open(&host->descriptors, &host->ledgers);
    descriptors_share(&host->descriptors, 0);
    return host;
}

struct worker *host_take_worker(struct host *host)
{
    struct worker *least = &host->workers[0];
    for (size_t i = 1; i < host->worker_count; i++)
        if (host->workers[i].workspaces < least->workspaces)
            least = &host->workers[i];
    least->workspaces++;
    return least;
}

bool host_serve(struct host *host, const struct molecule_serve_options *options, bool pushed,
                char *problem, size_t problem_size)
{
    host->serve = *options;
    host->a2a = a2a_server_open(&host->network.loop, options, pushed, problem, problem_size);
    return host->a2a;
}

enum host_exit host_run(struct host *host)
{
    host->running = true;
    if (host->open_workspaces > 0)
        thread_run(&host->network);
    return host->exit_code;
}

/* Closes what was opened but never ran; its scripts are loaded, or being loaded. */
static void end_unserved(struct host *host)
{
    for (struct workspace *workspace = host->workspaces; workspace;
         workspace = workspace_next(workspace))
        workspace_stop(workspace);
    if (host->open_workspaces > 0)
        thread_run(&host->network);
}

void host_close(struct host *host)
{
    if (!host->running)
        end_unserved(host);
    host->closing = true;
    for (struct workspace *workspace = host->workspaces; workspace;
         workspace = workspace_next(workspace))
        workspace_close(workspace);
    a2a_server_close(host->a2a);
    control_close_shared(&host->controls);
    close_clients(host);
    close_workers(host);
    disk_close(&host->disk);
    reserve_lend(&host->reserve);
    thread_close(&host->network);
    while (host->workspaces) { /* their timers were on the loop until now */
        struct workspace *workspace = host->workspaces;
        host->workspaces = workspace_next(workspace);
        workspace_free(workspace);
    }
    free(host->swept_directory);
    free(host->departed);
    free(host);
}

void host_exit_now(const struct host *host, int code)
{
    log_flush();
    if (host->options.leaving)
        host->options.leaving(host->options.context);
    _exit(code);
}

void host_stop(struct host *host)
{
    if (++host->stops > 1)
        host_exit_now(host, HOST_EXIT_STOPPED); /* messages in progress are redelivered */
    a2a_server_drain(host->a2a);
    if (host->options.fleet)
        host->exit_code = HOST_EXIT_STOPPED; /* as requested; earlier failures were logged */
    for (struct workspace *workspace = host->workspaces; workspace;
         workspace = workspace_next(workspace))
        workspace_stop(workspace);
}

void host_reload(struct host *host)
{
    for (struct workspace *workspace = host->workspaces; workspace;
         workspace = workspace_next(workspace))
        workspace_reload(workspace);
}

struct call_task {
    struct task task;
    void (*function)(void *context);
    void *context;
};

static void run_call(struct task *task)
{
    struct call_task *call = (struct call_task *)task;
    call->function(call->context);
    free(call);
}

bool host_call(struct host *host, void (*function)(void *context), void *context)
{
    struct call_task *call = memory_allocate(sizeof *call);
    call->task.run = run_call;
    call->function = function;
    call->context = context;
    bool posted = thread_post(&host->network, &call->task);
    if (!posted)
        free(call);
    return posted;
}

static void call_stop(void *host)
{
    host_stop(host);
}

static void call_reload(void *host)
{
    host_reload(host);
}

void host_request_stop(struct host *host)
{
    host_call(host, call_stop, host);
}

void host_request_reload(struct host *host)
{
    host_call(host, call_reload, host);
}

static void end_if_last(struct host *host)
{
    if (host->open_workspaces == 0)
        uv_stop(&host->network.loop);
}

static void unlink_workspace(struct host *host, struct workspace *workspace)
{
    struct workspace *previous = NULL;
    for (struct workspace *each = host->workspaces; each != workspace; each = workspace_next(each))
        previous = each;
    if (previous)
        workspace_link(previous, workspace_next(workspace));
    else
        host->workspaces = workspace_next(workspace);
}

/* It has nothing left on the loop. */
static void on_gone(void *context, struct workspace *workspace)
{
    struct host *host = context;
    if (host->closing)
        return;
    bool was_open = workspace_worker(workspace) != NULL;
    char *id = was_open ? memory_copy_text(workspace_id(workspace)) : NULL;
    enum host_exit code = workspace_exit_code(workspace);
    unlink_workspace(host, workspace);
    workspace_close(workspace);
    workspace_free(workspace);
    if (!was_open)
        return;
    if (host->options.ended)
        host->options.ended(host->options.context, id, code);
    free(id);
    host->open_workspaces--;
    descriptors_share(&host->descriptors, host->open_workspaces);
    end_if_last(host);
}

void host_workspace_refused(struct host *host, struct workspace *workspace)
{
    if (host->options.fleet)
        workspace_leave_loop(workspace, on_gone, host);
}

void host_workspace_ended(struct host *host, struct workspace *workspace)
{
    enum host_exit code = workspace_exit_code(workspace);
    if (host->exit_code == HOST_EXIT_STOPPED)
        host->exit_code = code;
    workspace_worker(workspace)->workspaces--;
    if (code != HOST_EXIT_STOPPED && host->open_workspaces > 1)
        log_error(LOG_WORKSPACE_ENDED, workspace_id(workspace),
                  "this workspace has ended (alone it would be exit code %d); %zu other%s keep%s "
                  "running",
                  (int)code, host->open_workspaces - 1, plural(host->open_workspaces - 1),
                  host->open_workspaces == 2 ? "s" : "");
    if (host->options.fleet) {
        workspace_leave_loop(workspace, on_gone, host);
        return;
    }
    host->open_workspaces--;
    end_if_last(host);
}

bool host_has_leftovers(struct host *host, const char *directory)
{
    if (!host->options.fleet || host->running)
        return true;
    if (!host->swept_directory || strcmp(host->swept_directory, directory) != 0) {
        free(host->swept_directory);
        host->swept_directory = memory_copy_text(directory);
        host->leftovers = atomic_file_leftovers(directory);
    }
    return host->leftovers;
}
