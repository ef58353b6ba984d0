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
 * One host per process at a time: it owns the log (standard error) and its thread. All functions but molecule_stop
 * and molecule_reload belong to the thread that called molecule_open. Texts are UTF-8, NUL-terminated, and borrowed until
 * molecule_close unless it is said otherwise; times are milliseconds. Out of memory ends the process (the state on disk is safe). */
#ifndef MOLECULE_MOLECULE_H
#define MOLECULE_MOLECULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How a host ends; the exit codes of the program. */
enum molecule_result {
    MOLECULE_STOPPED = 0,  /* as asked; of molecule_add: added */
    MOLECULE_FAILED = 1,   /* the reason was logged */
    MOLECULE_USAGE = 2,    /* wrong options, or a script that does not load */
    MOLECULE_STUCK = 75,   /* a script is stuck in C code: this process should be started again */
    MOLECULE_REFUSED = 77  /* the platform refuses the workspace's credentials, or it was removed */
};

struct molecule; /* a host: its threads, connections and workspaces */

/* What becomes of a message. */
enum molecule_event_kind {
    MOLECULE_EVENT_REPLY,   /* its reply is about to be posted, for the first time or once more */
    MOLECULE_EVENT_LATER,   /* this attempt brought no outcome; it is tried again */
    MOLECULE_EVENT_FINISHED /* it has its outcome */
};

/* All texts are borrowed for the call. */
struct molecule_event {
    enum molecule_event_kind kind;
    const char *workspace_id, *row_id;
    const char *outcome;     /* FINISHED: "replied", "no_reply", "skipped", "dead", "answer" */
    const char *reason;      /* LATER, FINISHED; NULL: none is known */
    int64_t again_ms;        /* LATER: from now */
    const char *reply;       /* REPLY: the request's body, reply_length bytes */
    size_t reply_length;
};

struct molecule_options {
    const char *ca_file;  /* PEM file of certificates to trust: for the platform instead of the system's, for what scripts fetch
                             beside them. NULL: CURL_CA_BUNDLE, SSL_CERT_FILE, SSL_CERT_DIR, else the system's */
    bool handle_signals;  /* SIGTERM and SIGINT drain, a second one ends at once. SIGPIPE is ignored in any case, unless the
                             program has a handler for it */
    bool verbose;         /* log at debug level */
    unsigned workers;     /* threads that run scripts; a workspace lives on one of them; 0: one */
    bool fleet;           /* many workspaces: starts are spread, and descriptors are used sparingly */
    /* These two may be NULL; they are called inside molecule_run, on its thread, and may call molecule_add and molecule_remove. */
    void (*on_reload)(void *context); /* SIGHUP; NULL: every script is loaded anew */
    /* of a fleet: the workspace has ended for good, its texts may be freed; it may be added again */
    void (*on_ended)(void *context, const char *id, enum molecule_result result);
    /* NULL: nobody watches. Called inside molecule_run, on its thread, and must not wait */
    void (*on_event)(void *context, const struct molecule_event *event);
    /* NULL: nothing is left to do. The process ends at once, without molecule_run returning (a second stop, a script that is stuck);
       on the thread of molecule_run, while others still run */
    void (*on_exit)(void *context);
    void *context;
};

/* NAME=VALUE for a script or a backend. */
struct molecule_option {
    const char *name, *value;
};

/* What `molecule connect --help` says of the flag of the same name holds here. Zero values mean what the comment says;
 * molecule_workspace_defaults fills in the defaults of the flags. */
struct molecule_workspace_options {
    const char *id;               /* required: [A-Za-z0-9][A-Za-z0-9._-]{0,127}; a UUID is lower-cased */
    const char *script;           /* path of a Lua file; exactly one of script and backend */
    const char *backend;
    const struct molecule_option *backend_options;
    size_t backend_option_count;
    const struct molecule_option *script_options;
    size_t script_option_count;
    bool sandbox;                 /* the script gets no files, programs, environment or C modules, */
    const char *const *allowed_hosts; /* and no http but to these: HOST, HOST:PORT or *.NAME */
    size_t allowed_host_count;
    const char *const *file_hosts; /* where file:read() may go though they are not public, or only have http */
    size_t file_host_count;
    const char *const *allowed_senders; /* "canvas", peers' ids: who is answered, the others are skipped */
    size_t allowed_sender_count;  /* 0: everybody */
    const char *api_url;          /* required: http or https */
    const char *platform_name;    /* whose the state on disk is, wherever it listens; NULL: that of api_url */
    const char *org_id;           /* NULL: no X-Molecule-Org-Id header */
    const char *token;            /* the token itself; NULL: token_file, else what --bootstrap kept */
    const char *token_file;       /* read again after a 401 */
    const char *state_directory;  /* required; made with mode 0700 if it is missing */
    bool temporary_state;         /* state_directory is gone when the host ends: the log names no commands that look into it */
    const char *name;             /* of the agent card; NULL: what the script says */
    const char *description;
    const char *error_reply;      /* told to the sender of a message that is given up; NULL: nothing */
    const char *record_file;      /* JSON lines of every finished message are appended; NULL: none */
    bool bootstrap, reset_state, insecure_http;
    int64_t interval_ms;          /* between polls, at least 1 */
    bool wake_by_stream;          /* the platform's event stream, where it has one, says when to poll; polls go on */
    int64_t since_secs;           /* first window in seconds, at least 1 */
    int64_t heartbeat_ms;         /* at least 10 */
    int64_t drain_ms;             /* 0: do not wait */
    int64_t stuck_after_ms;       /* 0: never */
    int64_t cpu_limit_ms;         /* of one message; 0: none */
    int64_t timeout_ms;           /* of one message; 0: none */
    int64_t reply_ttl_ms;         /* a message without an outcome for so long is set aside; 0: never */
    size_t memory_limit;          /* bytes of the Lua state; 0: none */
    size_t max_pending;           /* rows fetched ahead of the cursor, at least 1 */
    size_t max_pending_bytes;     /* the same in bytes, at least 1; all workspaces of a process: 512 MiB */
    unsigned register_attempts;   /* 0: for ever */
    int64_t refusal_patience_ms;  /* how long the platform must refuse the credentials before MOLECULE_REFUSED */
    unsigned max_attempts;        /* at least 1 */
    int max_hops;                 /* replies to replies between agents with answers_replies, at least 1 */
    unsigned breaker;             /* turns a minute with a peer that answers each reply of ours; 0: any number */
    bool watch;                   /* reload the script when one of its files changes */
    unsigned concurrency;         /* 0: what the script says, else 1 */
};

/* NULL: `problem` says why. */
struct molecule *molecule_open(const struct molecule_options *options, char *problem, size_t problem_size);
void molecule_close(struct molecule *molecule); /* NULL is fine */

void molecule_workspace_defaults(struct molecule_workspace_options *options);

/* Locks the workspace's state and starts loading its script; the rest happens in molecule_run. Anything but
 * MOLECULE_STOPPED: not added, and `problem` says why. */
enum molecule_result molecule_add(struct molecule *molecule, const struct molecule_workspace_options *options,
                                  char *problem, size_t problem_size);

/* Whether molecule_add could take these: the address of the platform, a token, a script that compiles or a backend that there
 * is. Needs no host, reads files, changes nothing. false: `problem` says what is wrong. */
bool molecule_check(const struct molecule_workspace_options *options, char *problem, size_t problem_size);

/* Loads the script, calls nothing of it, and prints on standard output what molecule_add and molecule_run would do.
 * Sends and writes nothing. */
enum molecule_result molecule_rehearse(struct molecule *molecule, const struct molecule_workspace_options *options);

/* Serves until every workspace has ended: stopped, or failed for good. The first result that is not MOLECULE_STOPPED
 * wins. A stuck script ends the whole process with MOLECULE_STUCK (see --stuck-after). */
enum molecule_result molecule_run(struct molecule *molecule);

/* One workspace, in callbacks of molecule_run: drains it (on_ended follows), or loads its script anew. false: there is none
 * of this id that has not ended. */
bool molecule_remove(struct molecule *molecule, const char *id);
bool molecule_reload_one(struct molecule *molecule, const char *id);

/* It was told to end, and takes no more workspaces. In callbacks of molecule_run. */
bool molecule_stops(const struct molecule *molecule);

/* From any thread, until molecule_close: the function is called on the thread of molecule_run, within it. false: that is
 * over. */
bool molecule_call(struct molecule *molecule, void (*function)(void *context), void *context);

/* From any thread: loads every script anew; one that does not load changes nothing, and the log says why. */
void molecule_reload(struct molecule *molecule);

/* From any thread: drains. The second call ends the process. */
void molecule_stop(struct molecule *molecule);

#ifdef __cplusplus
}
#endif

#endif
