/* The control socket of a live workspace, <state-dir>/<id>.sock (0600): one JSON line in, one JSON
 * line out.
 *
 *   {"do": "status"}                      -> {"ok": true, "status": {…}}
 *   {"do": "dead retry", "row_id": "…"}   -> {"ok": true, "found": true}
 *   {"do": "dead drop", "row_id": "…"}    -> {"ok": true, "found": true}
 *   {"do": "store set", "key": "…", "value": "JSON"}  -> {"ok": true}
 *   {"do": "store delete", "key": "…"}    -> {"ok": true}
 *   {"do": "timers"}                      -> {"ok": true, "timers": [{id, every_ms, …}, …]}
 *   {"do": "timer run", "id": 1}          -> {"ok": true, "found": true}
 *   {"do": "answer", "code": "K7QD", "text": "yes"}   -> {"ok": true}; without a text: canceled
 *   {"do": "card", "name": "agent"}       -> {"ok": true, "all": {…}, "only_1_0": {…}}
 *   anything else                         -> {"ok": false, "error": "…"}
 *
 * The <id>.sock of a fleet's workspaces lead to one socket, fleet-<pid>.sock, where each request
 * names its "workspace". */
#ifndef MOLECULE_HOST_CONTROL_H
#define MOLECULE_HOST_CONTROL_H

#include "base/thread.h"
#include "journal/journal.h"
#include "molecule/options.h"
#include "script/script.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct control;

/* What the sockets of one process share. Owned by the host. */
struct controls {
    struct thread *network;
    bool fleet;
    struct control *workspaces; /* those that are served */
    struct control *shared;     /* a fleet's sockets, one for each state directory */
};

/* Texts are borrowed for the call; times are wall clock, 0: never. */
struct control_status {
    const char *state; /* "running", … */
    const char *wake;  /* "stream", "poll", "push" or "serve" */
    const char *cursor;
    int64_t started_ms, last_poll_ms, last_heartbeat_ms;
    size_t waiting; /* messages neither being handled nor answered now */
    size_t pending; /* all that are not finished */
    unsigned long answered, finished;
    int64_t away_ms; /* since when the platform has been unreachable */
    const char *away_reason;
    json_t *questions; /* open ones, of questions_list; the callee's */
    json_t *running;   /* some of the handlers: [{row, from, seconds}]; the callee's */
    json_t *failure;   /* the last one of a handler: {row, at, reason}, or NULL; the callee's */
    json_t *schedules; /* an array of {name, spec, timezone, next}; the callee's */
};

/* What a workspace's socket serves. Borrowed until control_close. */
struct control_env {
    const struct molecule_workspace_options *options;
    struct journal *journal;
    void (*look)(void *context, struct control_status *status);
    /* Retries a dead letter. Takes it. */
    void (*retry)(void *context, struct journal_loaded *loaded);
    /* The script's timers, or one of them to run now: script/script.h. `id` 0: all. false: there is
     * no script now. */
    bool (*timers)(void *context, int64_t id, script_timers_callback *then, void *then_context);
    /* Answers the question of this code; `text` NULL: cancels it. `then` follows when that is
     * recorded. false: it cannot be answered so, and `problem` says why. */
    bool (*answer)(void *context, const char *code, const char *text, void (*then)(void *client),
                   void *client, char *problem, size_t problem_size);
    /* The agent card as molecule serve would show it, with this name if the script gives none.
     * NULL: `problem` says what is wrong with it. */
    json_t *(*card)(void *context, const char *name, bool only_1_0, char *problem,
                    size_t problem_size);
    void *context;
};

/* As JSON; takes the callee's arrays. `counts` NULL: the ledger was not asked. */
json_t *control_describe(const char *id, const struct control_status *now,
                         const struct ledger_counts *counts);

/* NULL: the socket cannot be created; that is logged, and the workspace runs without it. */
struct control *control_open(struct controls *controls, const struct control_env *env);
void control_close(struct control *control); /* NULL is fine */
/* What the workspaces of a fleet shared. */
void control_close_shared(struct controls *controls);

#endif
