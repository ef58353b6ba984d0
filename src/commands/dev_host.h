/* The host of `molecule dev` as a process: it is started, killed when somebody wants to see what
 * becomes of its messages, and started again. It is this program with the same arguments. */
#ifndef MOLECULE_COMMANDS_DEV_HOST_H
#define MOLECULE_COMMANDS_DEV_HOST_H

#include "commands/dev_report.h"

#include <stdbool.h>
#include <uv.h>

/* What the process is told besides its arguments; the texts are borrowed. */
struct dev_host_orders {
    const char *url, *workspace_id, *state_directory;
    const char *script;    /* NULL: a backend */
    const char *served_as; /* the name for A2A clients; NULL: there are none */
    bool again;            /* an earlier process has ended */
};

struct dev_host {
    char **argv;
    struct dev_host_orders orders;
    struct dev_report report; /* its callbacks are the caller's to set */
    /* it was killed; it runs again: on the thread of dev_host_run */
    void (*changed)(void *context, bool running, const char *why);
    void *context;
    /* the rest is dev_host.c's */
    uv_loop_t loop;
    uv_process_t process;
    uv_signal_t signals[3];
    uv_async_t asked;
    uv_poll_t readable;
    uv_timer_t again;
    uv_mutex_t mutex;
    bool kill, stop;      /* asked for */
    bool running, killed; /* we have killed it */
    bool stopping;
    int quick_deaths;  /* in a row, and not by us */
    int again_count;   /* how often it was started again */
    int64_t broken_ns; /* the time stamp of a script that does not load */
    int looks;
    uint64_t started_ms;
    int code;
};

/* Before any other thread could call dev_host_stop. false: `problem` says why; nothing to close. */
bool dev_host_open(struct dev_host *host, char *problem, size_t problem_size);
/* Until the host has ended: by itself, after dev_host_stop, or after a signal to this process. Its
 * exit code. */
int dev_host_run(struct dev_host *host);
void dev_host_close(struct dev_host *host);

/* From any thread. */
void dev_host_stop(struct dev_host *host);
/* SIGKILL, and a new one. false: none runs now. */
bool dev_host_kill(struct dev_host *host);

/* In the started process: what it was told, which stays valid, and where it reports. false: this
 * is no such process. */
bool dev_host_is_one(struct dev_host_orders *orders, int *fd);

#endif
