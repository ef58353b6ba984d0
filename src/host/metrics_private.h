/* What metrics.c (the text) and metrics_look.c (the numbers) share. Only they include this. */
#ifndef MOLECULE_HOST_METRICS_PRIVATE_H
#define MOLECULE_HOST_METRICS_PRIVATE_H

#include "base/histogram.h"
#include "host/metrics.h"
#include "messages/message_counts.h"
#include "wire/retry.h"

#define HISTOGRAM_NUMBERS (HISTOGRAM_BUCKETS + 1) /* and the sum, in seconds */
#define PENDING_STATES(X)                                              \
    X(PENDING_WAITING, "waiting")     /* for their turn, or a retry */ \
    X(PENDING_RUNNING, "running")     /* the script has them */        \
    X(PENDING_ANSWERING, "answering") /* their outcome or reply is on its way */
enum pending_state {
#define X(name, text) name,
    PENDING_STATES(X)
#undef X
        PENDING_STATE_COUNT
};

/* Of one workspace, or the sum of several. */
struct workspace_numbers {
    double received[MESSAGE_KIND_COUNT];
    double finished[MESSAGE_OUTCOME_COUNT];
    double pending[PENDING_STATE_COUNT];
    double deferred, oldest_pending;
    double attempts[MESSAGE_ATTEMPT_KINDS];
    double repeats_avoided, steps, questions;
    double wall[HISTOGRAM_NUMBERS], cpu[HISTOGRAM_NUMBERS], reply[HISTOGRAM_NUMBERS];
    double requests[RETRY_CLASS_COUNT];
    double last_poll, last_heartbeat, reachable, stream;
    double wedged, lua_bytes;
    double tokens[2]; /* input, output */
    double ledger_bytes, ledger_writable, commit[HISTOGRAM_NUMBERS];
};

#define WORKSPACE_STATES(X)                 \
    X(WORKSPACE_LOADING, "loading")         \
    X(WORKSPACE_REGISTERING, "registering") \
    X(WORKSPACE_RUNNING, "running")         \
    X(WORKSPACE_DRAINING, "draining")       \
    X(WORKSPACE_CLOSING, "closing")         \
    X(WORKSPACE_CLOSED, "closed")

struct process_numbers {
    double workspaces[6]; /* by WORKSPACE_STATES */
    double spans_dropped;
    double state_free_bytes;
    double cpu_seconds, resident_bytes, virtual_bytes, open_fds, max_fds, start_time, threads;
};

struct workspace;
void metrics_look_workspace(const struct workspace *workspace, struct workspace_numbers *numbers);
/* Of one that is gone the counters alone: it has no gauges. */
void metrics_add_counters(struct workspace_numbers *all, const struct workspace_numbers *one);
void metrics_look_process(const struct host *host, struct process_numbers *numbers);

#endif
