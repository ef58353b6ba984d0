/* The process: its threads, its HTTP clients, its signals, and the workspaces that live in it. */
#ifndef MOLECULE_HOST_HOST_H
#define MOLECULE_HOST_HOST_H

#include "base/thread.h"
#include "net/http_client.h"
#include "state/disk.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* How the process ends. The values are exit codes and part of the interface. */
enum host_exit {
    HOST_EXIT_STOPPED = 0,      /* as asked */
    HOST_EXIT_FAILED = 1,
    HOST_EXIT_USAGE = 2,        /* wrong usage, or a script that does not load */
    HOST_EXIT_STUCK = 75,       /* a script is stuck in C: restart me (EX_TEMPFAIL) */
    HOST_EXIT_REFUSED = 77      /* the platform refuses this workspace's credentials (EX_NOPERM) */
};

struct workspace;

struct host {
    struct thread network;          /* the thread that runs host_run */
    struct thread worker;
    struct disk disk;
    struct http_client *client;     /* registrations, polls, replies */
    struct http_client *heartbeats; /* connections of their own */
    uv_signal_t signals[2];
    struct workspace *workspaces;   /* linked by `next` */
    size_t open_workspaces;
    unsigned stops;                 /* how often we were asked to stop */
    enum host_exit exit_code;
    int64_t started_ms;             /* monotonic */
    int64_t quiet_until_ms;         /* the platform's rate budget is nearly spent: no replies until then */
    bool handle_signals;
};

/* NULL: `problem` says why. `ca_file` NULL: the system's. */
struct host *host_open(const char *ca_file, bool handle_signals, char *problem, size_t problem_size);
/* Runs until every workspace has ended. The exit code. */
enum host_exit host_run(struct host *host);
void host_close(struct host *host);

/* Drains all workspaces; the second time the process ends at once. On the network thread. */
void host_stop(struct host *host);
/* From any thread. */
void host_request_stop(struct host *host);

/* A workspace has ended with this code; the first code that is not 0 is the process's. */
void host_workspace_ended(struct host *host, enum host_exit code);

/* Runs `work` on the disk thread, then `done` on the network thread. */
void host_on_disk(struct host *host, void (*work)(void *context), void (*done)(void *context), void *context);

uint64_t host_random(void);

#endif
