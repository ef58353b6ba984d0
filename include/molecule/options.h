/* The options of a workspace. The program that embeds the host fills them in; every floor of the
 * host reads these same ones. */
#ifndef MOLECULE_OPTIONS_H
#define MOLECULE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* NAME=VALUE for a script or a backend. */
struct molecule_option {
    const char *name, *value;
};

/* What `molecule connect --help` says of the flag of the same name holds here. Zero values mean
 * what the comment says; molecule_workspace_defaults fills in the defaults of the flags. */
struct molecule_workspace_options {
    /* required: [A-Za-z0-9][A-Za-z0-9._-]{0,127}; a UUID is lower-cased */
    const char *id;
    const char *script; /* path of a Lua file; exactly one of script and backend */
    const char *backend;
    const struct molecule_option *backend_options;
    size_t backend_option_count;
    const struct molecule_option *script_options;
    size_t script_option_count;
    /* the script gets no files, programs, environment or C modules, */
    bool sandbox;
    const char *const *allowed_hosts; /* and no http but to these: HOST, HOST:PORT or *.NAME */
    size_t allowed_host_count;
    /* where file:read() may go though they are not public, or only have http */
    const char *const *file_hosts;
    size_t file_host_count;
    /* "canvas", peers' ids: who is answered, the others are skipped */
    const char *const *allowed_senders;
    size_t allowed_sender_count; /* 0: everybody */
    const char *api_url;         /* required: http or https */
    /* whose the state on disk is, wherever it listens; NULL: that of api_url */
    const char *platform_name;
    const char *org_id; /* NULL: no X-Molecule-Org-Id header */
    /* the token itself; NULL: token_file, else what --bootstrap kept */
    const char *token;
    const char *token_file;      /* read again after a 401 */
    const char *state_directory; /* required; made with mode 0700 if it is missing */
    /* state_directory is gone when the host ends: the log names no commands that look into it */
    bool temporary_state;
    const char *name; /* of the agent card; NULL: what the script says */
    const char *description;
    /* told to the sender of a message that is given up; NULL: nothing */
    const char *error_reply;
    /* JSON lines of every finished message are appended; NULL: none */
    const char *record_file;
    bool bootstrap, reset_state, insecure_http;
    int64_t interval_ms; /* between polls, at least 1 */
    /* the platform's event stream, where it has one, says when to poll; polls go on */
    bool wake_by_stream;
    int64_t since_secs;     /* first window in seconds, at least 1 */
    int64_t heartbeat_ms;   /* at least 10 */
    int64_t drain_ms;       /* 0: do not wait */
    int64_t stuck_after_ms; /* 0: never */
    int64_t cpu_limit_ms;   /* of one message; 0: none */
    int64_t timeout_ms;     /* of one message; 0: none */
    /* a message without an outcome for so long is set aside; 0: never */
    int64_t reply_ttl_ms;
    size_t memory_limit; /* bytes of the Lua state; 0: none */
    size_t max_pending;  /* rows fetched ahead of the cursor, at least 1 */
    /* the same in bytes, at least 1; all workspaces of a process: 512 MiB */
    size_t max_pending_bytes;
    unsigned register_attempts; /* 0: for ever */
    /* how long the platform must refuse the credentials before MOLECULE_REFUSED */
    int64_t refusal_patience_ms;
    unsigned max_attempts; /* at least 1 */
    /* replies to replies between agents with answers_replies, at least 1 */
    int max_hops;
    /* turns a minute with a peer that answers each reply of ours; 0: any number */
    unsigned breaker;
    bool watch;           /* reload the script when one of its files changes */
    unsigned concurrency; /* 0: what the script says, else 1 */
};

#endif
