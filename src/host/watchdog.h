/* Detects a call into a script that does not return. Limits, if set, end Lua code, but C code that
 * it calls (a pathological pattern) cannot be interrupted. Many calls that each return do not
 * count, however long they take together. The worker is pinged while anything of the script may
 * run; if it does not answer, the heartbeat says "wedged", and after --stuck-after the process
 * exits with code 75. */
#ifndef MOLECULE_HOST_WATCHDOG_H
#define MOLECULE_HOST_WATCHDOG_H

#include "base/thread.h"
#include "molecule/options.h"
#include "script/script.h"

#include <stdbool.h>
#include <stdint.h>

/* Whose script its worker is in: the watched one, or another one on the same worker that blocks
 * it. */
struct watchdog_culprit {
    struct script *script;
    const struct molecule_workspace_options *options;
    const struct message *message; /* NULL: it is in none */
    bool naming;                   /* in conversation(msg) for it */
};

struct watchdog {
    const struct molecule_workspace_options *options;
    struct thread *network;
    struct script *script; /* NULL: not loaded, or closed */
    /* Nothing of the script can be under way. */
    bool (*may_rest)(void *context);
    void (*find_culprit)(void *context, struct watchdog_culprit *culprit);
    /* `wedged` has changed. */
    void (*changed)(void *context);
    /* It has been stuck for --stuck-after: the process must exit. */
    void (*stuck)(void *context);
    void *context;
    uv_timer_t timer;     /* the owner takes it off the loop */
    int64_t ping_sent_ms; /* 0: no ping is under way */
    bool wedged;
};

/* Watches while anything of the script may run. */
void watchdog_start(struct watchdog *watchdog);
/* Something was given to the worker that shows nowhere else. */
void watchdog_look(struct watchdog *watchdog);
void watchdog_stop(struct watchdog *watchdog);

#endif
