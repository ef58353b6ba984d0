/* A call into a script that does not return: Lua code is ended by its limits where it has any, but
 * C code that it calls (a pathological pattern) cannot be interrupted. Many calls that each return
 * are none, however long they take together. The worker is asked for a sign of life while anything
 * of the script may run; the heartbeat says "wedged" when it gives none, and the process ends with
 * code 75 after
 * --stuck-after. */
#ifndef MOLECULE_HOST_WATCHDOG_H
#define MOLECULE_HOST_WATCHDOG_H

#include "base/thread.h"
#include "molecule/options.h"
#include "script/script.h"

#include <stdbool.h>
#include <stdint.h>

/* Whose script its worker is in: the watched one, or another of the same worker that holds it up.
 */
struct watchdog_culprit {
    struct script *script;
    const struct molecule_workspace_options *options;
    const struct message *message; /* NULL: it is in none */
    bool naming;                   /* in conversation(msg) of that */
};

struct watchdog {
    const struct molecule_workspace_options *options;
    struct thread *network;
    struct script *script; /* NULL: there is none, or none any more */
    /* Nothing of the script can be under way. */
    bool (*may_rest)(void *context);
    void (*find_culprit)(void *context, struct watchdog_culprit *culprit);
    /* `wedged` has changed. */
    void (*changed)(void *context);
    /* It has been stuck for --stuck-after: the process is to end. */
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
