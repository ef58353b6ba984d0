/* libmolecule: the host of `molecule connect`, embeddable.
 *
 *   struct molecule_options options = {0};
 *   struct molecule_workspace_options workspace;
 *   char problem[1024];
 *
 *   struct molecule *host = molecule_open(&options, problem, sizeof problem);
 *   molecule_workspace_defaults(&workspace);
 *   workspace.id = "7f1d0c9e-…";
 *   workspace.api_url = "https://acme.example.com";
 *   workspace.token_file = "/etc/agent/token";
 *   workspace.script = "agent.lua";
 *   if (!host || molecule_add(host, &workspace, problem, sizeof problem) != MOLECULE_STOPPED)
 *       fprintf(stderr, "%s\n", problem);
 *   else
 *       code = molecule_run(host);
 *   molecule_close(host);
 *
 * One host per process at a time: it owns the log (standard error) and its thread. All functions
 * but molecule_stop and molecule_reload belong to the thread that called molecule_open. Texts are
 * UTF-8, NUL-terminated, and borrowed until molecule_close unless stated otherwise; times are
 * milliseconds. Out of memory ends the process (the state on disk is safe). */
#ifndef MOLECULE_MOLECULE_H
#define MOLECULE_MOLECULE_H

#include "molecule/event.h"
#include "molecule/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How a host ends; the exit codes of the program. */
enum molecule_result {
    MOLECULE_STOPPED = 0, /* as asked; of molecule_add: added */
    MOLECULE_FAILED = 1,  /* the reason was logged */
    MOLECULE_USAGE = 2,   /* wrong options, or a script that does not load */
    MOLECULE_STUCK = 75,  /* a script is stuck in C code: this process should be restarted */
    MOLECULE_REFUSED = 77 /* the platform refuses the workspace's credentials, or it was removed */
};

struct molecule; /* a host: its threads, connections and workspaces */

struct molecule_options {
    /* ca_file, workers, strict, verbose, log_level, log_format, log_file, color and metrics:
       options.def says what they mean. The log and `strict` are the process's: the last
       molecule_open decides */
#define MOLECULE_HOST_OPTION MOLECULE_MEMBER
#define MOLECULE_SERVICE_OPTION MOLECULE_MEMBER
#include "molecule/options.def"
    /* SIGTERM and SIGINT drain, a second one exits at once. SIGPIPE is ignored in any case, unless
       the program handles it */
    bool handle_signals;
    /* many workspaces: starts are spread, and descriptors are used sparingly */
    bool fleet;
    /* These two may be NULL; they are called inside molecule_run, on its thread, and may call
     * molecule_add and molecule_remove. */
    void (*on_reload)(void *context); /* SIGHUP; NULL: every script is reloaded */
    /* of a fleet: the workspace has ended for good, its texts may be freed; it may be added again
     */
    void (*on_ended)(void *context, const char *id, enum molecule_result result);
    /* NULL: no observer. Called inside molecule_run, on its thread, and must not wait */
    void (*on_event)(void *context, const struct molecule_event *event);
    /* NULL: no cleanup. Called when the process ends at once, without molecule_run returning (a
     * second stop, a script that is stuck); on the thread of molecule_run, while others still run
     */
    void (*on_exit)(void *context);
    void *context;
};

/* Opens the process's log as these options say: for what is logged before molecule_open, which does
 * the same. false: `problem` says why not. */
bool molecule_open_log(const struct molecule_options *options, char *problem, size_t problem_size);
/* NULL: `problem` says why. */
struct molecule *molecule_open(const struct molecule_options *options, char *problem,
                               size_t problem_size);
void molecule_close(struct molecule *molecule); /* NULL is fine */

void molecule_workspace_defaults(struct molecule_workspace_options *options);

/* Locks the workspace's state and starts loading its script; the rest happens in molecule_run.
 * Anything but MOLECULE_STOPPED: not added, and `problem` says why. */
enum molecule_result molecule_add(struct molecule *molecule,
                                  const struct molecule_workspace_options *options, char *problem,
                                  size_t problem_size);

/* Listens for A2A clients of workspaces with `serve` or `serve_as`, which are added afterwards;
 * `pushed`: for the platform of the one with `push`. Borrowed for the life of the host. Once,
 * before molecule_run. false: `problem` says why not. */
bool molecule_serve(struct molecule *molecule, const struct molecule_serve_options *options,
                    bool pushed, char *problem, size_t problem_size);
/* Where that server is reached: its public_url, or where it listens. NULL: there is none. */
const char *molecule_serve_url(const struct molecule *molecule);
void molecule_serve_defaults(struct molecule_serve_options *options);

/* Whether molecule_add could take these: the address of the platform, a token, a script that
 * compiles or a backend that exists. Needs no host, reads files, changes nothing. false: `problem`
 * says what is wrong. */
bool molecule_check(const struct molecule_workspace_options *options, char *problem,
                    size_t problem_size);

/* Loads the script or backend, without its `start` and without HTTP, which it is refused meanwhile.
 * Needs no platform and no token; changes nothing. false: `problem` says what is wrong. */
bool molecule_load(struct molecule *molecule, const struct molecule_workspace_options *options,
                   char *problem, size_t problem_size);

/* Asks the platform whether the address is right and the token is this workspace's; changes nothing
 * there. false: `problem` says what is wrong. */
bool molecule_probe(struct molecule *molecule, const struct molecule_workspace_options *options,
                    char *problem, size_t problem_size);

/* The workspaces it may talk to: the platform's JSON, an array; free() it. `query`: a part of the
 * name; NULL: all. Needs no workspace that is served. false: `problem` says why not. */
bool molecule_peers(struct molecule *molecule, const struct molecule_workspace_options *options,
                    const char *query, char **list, char *problem, size_t problem_size);
/* Sends a text to a peer, as the workspace, and waits for its answer; free() it. NULL: none came in
 * time, but the peer has the message. false: `problem` says why it was not sent, or what failed. */
bool molecule_send(struct molecule *molecule, const struct molecule_workspace_options *options,
                   const char *peer, const char *text, int64_t timeout_ms, char **answer,
                   char *problem, size_t problem_size);

/* Loads the script without calling it, and prints on standard output what molecule_add and
 * molecule_run would do. Sends and writes nothing. */
enum molecule_result molecule_rehearse(struct molecule *molecule,
                                       const struct molecule_workspace_options *options);

/* Serves until every workspace has ended: stopped, or failed for good. The first result that is not
 * MOLECULE_STOPPED wins. A stuck script ends the whole process with MOLECULE_STUCK (see
 * --stuck-after). */
enum molecule_result molecule_run(struct molecule *molecule);

/* One workspace, in callbacks of molecule_run: drains it (on_ended follows), or reloads its script.
 * false: no running workspace has this id. */
bool molecule_remove(struct molecule *molecule, const char *id);
bool molecule_reload_one(struct molecule *molecule, const char *id);

/* What became of code that was typed. `result`: what to show, in several lines perhaps, borrowed
 * for the call; NULL: nothing. `incomplete`: the code has no end yet, and did not run. */
struct molecule_evaluated {
    const char *result;
    bool incomplete, failed;
};
/* Runs code in the script of a workspace, as a timer's function runs: with the limits of a message,
 * and what it stores is kept when it ends. `function` is one of lua/molecule/repl.lua ("run" takes
 * a name, the number of the first line and the code); both texts are copied. `done` is called once,
 * on the thread of molecule_run. One at a time; in callbacks of molecule_run. false: no running
 * workspace has this id, or one is under way already. */
bool molecule_evaluate(struct molecule *molecule, const char *id, const char *function,
                       const char *text,
                       void (*done)(void *context, const struct molecule_evaluated *evaluated),
                       void *context);
/* Ends that code, and the handlers of messages, wherever they are; a message that is ended so is
 * "canceled". In callbacks of molecule_run. false: no running workspace has this id. */
bool molecule_interrupt(struct molecule *molecule, const char *id);

/* Whether it is stopping, and so takes no more workspaces. In callbacks of molecule_run. */
bool molecule_stops(const struct molecule *molecule);

/* From any thread, until molecule_close: the function is called on the thread of molecule_run,
 * inside it. false: molecule_run has returned. */
bool molecule_call(struct molecule *molecule, void (*function)(void *context), void *context);

/* From any thread: reloads every script; one that does not load changes nothing, and the log says
 * why. */
void molecule_reload(struct molecule *molecule);

/* From any thread: drains. The second call ends the process. */
void molecule_stop(struct molecule *molecule);

#ifdef __cplusplus
}
#endif

#endif
