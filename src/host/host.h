/* The process: its threads, its HTTP clients, its signals, and the workspaces that live in it. */
#ifndef MOLECULE_HOST_HOST_H
#define MOLECULE_HOST_HOST_H

#include "base/reserve.h"
#include "base/thread.h"
#include "host/control.h"
#include "host/descriptors.h"
#include "journal/open_ledgers.h"
#include "link/link.h"
#include "molecule/options.h"
#include "state/disk.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* How the process ends. The values are exit codes and part of the interface. */
enum host_exit {
    HOST_EXIT_STOPPED = 0, /* as asked */
    HOST_EXIT_FAILED = 1,
    HOST_EXIT_USAGE = 2,   /* wrong usage, or a script that does not load */
    HOST_EXIT_STUCK = 75,  /* a script is stuck in C: restart me (EX_TEMPFAIL) */
    HOST_EXIT_REFUSED = 77 /* the platform refuses this workspace's credentials (EX_NOPERM) */
};

struct a2a_server;
struct workspace;
struct workspace_numbers; /* host/metrics_private.h */
struct molecule_event;    /* molecule/event.h */

/* Runs scripts; a workspace lives on one. */
struct worker {
    struct thread thread;
    size_t workspaces; /* that live on it */
};

/* Borrowed for the life of the host. */
struct host_options {
    const char *ca_file; /* NULL: the system's */
    bool handle_signals;
    unsigned workers; /* 0: one */
    /* many workspaces: starts are spread, files and sockets are shared or closed when idle */
    bool fleet;
    /* both may be NULL, and are called on the network thread */
    void (*reload)(void *context); /* instead of host_reload */
    /* the workspace is gone, its lock free */
    void (*ended)(void *context, const char *workspace_id, enum host_exit code);
    /* what becomes of messages; NULL: no observer */
    void (*event)(void *context, const struct molecule_event *event);
    void (*leaving)(void *context); /* before host_exit_now ends the process; NULL: nothing */
    void *context;
};

struct host {
    struct thread network; /* the thread that runs host_run */
    struct worker *workers;
    size_t worker_count;
    struct host_options options;
    struct disk disk;
    struct link_shared link;
    struct a2a_server *a2a; /* of workspaces that are served; NULL: none is */
    struct molecule_serve_options serve;
    struct open_ledgers ledgers;
    struct descriptors descriptors;
    struct controls controls;
    struct reserve reserve; /* descriptors for the state's files */
    uv_signal_t signals[4];
    uv_timer_t awake_timer;             /* asks clock_awake_ms every second */
    struct workspace *workspaces;       /* linked by workspace_next */
    struct workspace_numbers *departed; /* what those counted that are gone; NULL: none is */
    size_t open_workspaces;
    size_t pending_bytes;  /* of the messages of all workspaces */
    bool running;          /* host_run was called */
    char *swept_directory; /* of the workspace that was opened last, before host_run; NULL: none */
    bool leftovers;        /* there were temporary files in it */
    bool closing;          /* host_close frees everything */
    unsigned stops;        /* how often we were asked to stop */
    unsigned reloads;      /* … and, by SIGHUP, to reload */
    enum host_exit exit_code;
    int64_t started_ms; /* monotonic */
    int64_t began_ms;   /* the same on the wall clock */
};

/* NULL: `problem` says why. */
struct host *host_open(const struct host_options *options, char *problem, size_t problem_size);
/* Runs until every workspace has ended. The exit code. */
/* Listens for clients of workspaces that are served; `pushed`: for the platform. Before any of
 * these is opened; the options are borrowed for the life of the host. false: `problem` says why
 * not. */
bool host_serve(struct host *host, const struct molecule_serve_options *options, bool pushed,
                char *problem, size_t problem_size);
enum host_exit host_run(struct host *host);
void host_close(struct host *host);
/* Exits at once, without saving anything more. */
_Noreturn void host_exit_now(const struct host *host, int code);

/* Drains all workspaces; the second time the process ends at once. On the network thread. */
void host_stop(struct host *host);
/* Reloads every workspace's script. On the network thread. */
void host_reload(struct host *host);
/* From any thread. host_call runs the function on the network thread; false: that thread has
 * ended. */
bool host_call(struct host *host, void (*function)(void *context), void *context);
void host_request_stop(struct host *host);
void host_request_reload(struct host *host);

/* The worker with the fewest workspaces; counts one more. */
struct worker *host_take_worker(struct host *host);

/* The workspace has ended with its exit code; the first code that is not 0 is the process's. It is
 * freed soon. */
void host_workspace_ended(struct host *host, struct workspace *workspace);
/* It could not be opened: it is freed soon, or by host_close. */
void host_workspace_refused(struct host *host, struct workspace *workspace);

/* Whether writers that were killed may have left temporary files in this state directory: of many
 * workspaces that open at the start, not every one needs to search the same large directory. */
bool host_has_leftovers(struct host *host, const char *directory);

#endif
