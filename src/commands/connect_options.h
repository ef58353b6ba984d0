/* The options that `molecule connect` and `molecule dev` share, which mean the same in both: one
 * row each. */
#ifndef MOLECULE_COMMANDS_CONNECT_OPTIONS_H
#define MOLECULE_COMMANDS_CONNECT_OPTIONS_H

#include "commands/options.h"

#include <stddef.h>

struct connect_options {
    const char *script, *backend, *token, *token_file, *mode, *api_url, *org_id, *state_directory,
        *name, *description, *ca_file, *error_reply, *record_file, *wake;
    struct option_pairs backend_options, script_options;
    struct option_list allowed_hosts, file_hosts, allowed_senders;
    int64_t interval_ms, since_secs, heartbeat_ms, drain_ms, stuck_after_ms, register_attempts,
        max_attempts, max_pending, max_pending_bytes, cpu_limit_ms, timeout_ms, memory_limit,
        concurrency, reply_ttl_ms, max_hops;
    int64_t breaker, workers, refusal_patience_ms;
    bool sandbox, bootstrap, reset_state, dry_run, verbose, insecure_http, watch;
};

#define CONNECT_FIELD(member) offsetof(struct connect_options, member)
#define CONNECT_HOURS(n) ((int64_t)(n)*3600000)

/* Who answers, and whom. Rows of a table of options whose values are, or begin with, a struct
 * connect_options. */
#define CONNECT_ANSWERING_OPTIONS                                                              \
    {"script",                                                                                 \
     's',                                                                                      \
     OPTION_TEXT,                                                                              \
     "FILE",                                                                                   \
     NULL,                                                                                     \
     NULL,                                                                                     \
     "the Lua script that answers messages",                                                   \
     CONNECT_FIELD(script),                                                                    \
     0,                                                                                        \
     0},                                                                                       \
        {"backend",                                                                            \
         'b',                                                                                  \
         OPTION_TEXT,                                                                          \
         "NAME",                                                                               \
         NULL,                                                                                 \
         NULL,                                                                                 \
         "answer with a backend instead of a script: a built-in one (mock, exec, http, "       \
         "openai, stdio, claude-code) or NAME.lua on LUA_PATH",                                \
         CONNECT_FIELD(backend),                                                               \
         0,                                                                                    \
         0},                                                                                   \
        {"backend-opt",                                                                        \
         0,                                                                                    \
         OPTION_PAIRS,                                                                         \
         "K=V",                                                                                \
         NULL,                                                                                 \
         NULL,                                                                                 \
         "set an option of the backend; repeatable",                                           \
         CONNECT_FIELD(backend_options),                                                       \
         0,                                                                                    \
         0},                                                                                   \
        {"script-opt",                                                                         \
         0,                                                                                    \
         OPTION_PAIRS,                                                                         \
         "K=V",                                                                                \
         NULL,                                                                                 \
         NULL,                                                                                 \
         "set ctx.options.K for the script; repeatable",                                       \
         CONNECT_FIELD(script_options),                                                        \
         0,                                                                                    \
         0},                                                                                   \
        {"sandbox",                                                                            \
         0,                                                                                    \
         OPTION_FLAG,                                                                          \
         NULL,                                                                                 \
         NULL,                                                                                 \
         NULL,                                                                                 \
         "deny the script files, programs, the environment and C modules, and HTTP except to " \
         "--allow-host",                                                                       \
         CONNECT_FIELD(sandbox),                                                               \
         0,                                                                                    \
         0},                                                                                   \
        {"allow-host",                                                                         \
         0,                                                                                    \
         OPTION_LIST,                                                                          \
         "HOST[:PORT]",                                                                        \
         NULL,                                                                                 \
         NULL,                                                                                 \
         "with --sandbox: allow HTTP to this host, on any port unless one is given; *.NAME "   \
         "matches every subdomain; repeatable",                                                \
         CONNECT_FIELD(allowed_hosts),                                                         \
         0,                                                                                    \
         0},                                                                                   \
        {"allow-file-host",                                                                    \
         0,                                                                                    \
         OPTION_LIST,                                                                          \
         "HOST[:PORT]",                                                                        \
         NULL,                                                                                 \
         NULL,                                                                                 \
         "let file:read() fetch from this host over plain http or at a private address; "      \
         "repeatable [https to public addresses only]",                                        \
         CONNECT_FIELD(file_hosts),                                                            \
         0,                                                                                    \
         0},                                                                                   \
    {                                                                                          \
        "allow-from", 0, OPTION_LIST, "WHO", NULL, NULL,                                       \
            "answer only this sender, canvas or a peer's id, and skip all others; repeatable " \
            "[everyone]",                                                                      \
            CONNECT_FIELD(allowed_senders), 0, 0                                               \
    }

/* How the workspace is served. */
#define CONNECT_SERVING_OPTIONS                                                                    \
    {"reset-state",                                                                                \
     0,                                                                                            \
     OPTION_FLAG,                                                                                  \
     NULL,                                                                                         \
     NULL,                                                                                         \
     NULL,                                                                                         \
     "move the cursor file aside and start over",                                                  \
     CONNECT_FIELD(reset_state),                                                                   \
     0,                                                                                            \
     0},                                                                                           \
        {"name",                                                                                   \
         0,                                                                                        \
         OPTION_TEXT,                                                                              \
         "TEXT",                                                                                   \
         NULL,                                                                                     \
         NULL,                                                                                     \
         "name on the agent card [the agent's own, or molecule]",                                  \
         CONNECT_FIELD(name),                                                                      \
         0,                                                                                        \
         0},                                                                                       \
        {"description",                                                                            \
         0,                                                                                        \
         OPTION_TEXT,                                                                              \
         "TEXT",                                                                                   \
         NULL,                                                                                     \
         NULL,                                                                                     \
         "description on the agent card",                                                          \
         CONNECT_FIELD(description),                                                               \
         0,                                                                                        \
         0},                                                                                       \
        {"wake",                                                                                   \
         0,                                                                                        \
         OPTION_TEXT,                                                                              \
         "stream|poll",                                                                            \
         "stream",                                                                                 \
         NULL,                                                                                     \
         "how to learn of new messages: from the platform's event stream, where it has one, or "   \
         "by polling alone",                                                                       \
         CONNECT_FIELD(wake),                                                                      \
         0,                                                                                        \
         0},                                                                                       \
        {"heartbeat-ms",                                                                           \
         0,                                                                                        \
         OPTION_MILLISECONDS,                                                                      \
         "TIME",                                                                                   \
         "20000",                                                                                  \
         NULL,                                                                                     \
         "time between heartbeats; the platform considers a workspace stale after 90 s; in "       \
         "milliseconds, or like 10s",                                                              \
         CONNECT_FIELD(heartbeat_ms),                                                              \
         10,                                                                                       \
         80000},                                                                                   \
        {"since-secs",                                                                             \
         0,                                                                                        \
         OPTION_SECONDS,                                                                           \
         "TIME",                                                                                   \
         "30",                                                                                     \
         NULL,                                                                                     \
         "how far back the first fetch looks when there is no cursor; in seconds, or like 5m",     \
         CONNECT_FIELD(since_secs),                                                                \
         1,                                                                                        \
         2592000},                                                                                 \
        {"concurrency",                                                                            \
         0,                                                                                        \
         OPTION_NUMBER,                                                                            \
         "N",                                                                                      \
         NULL,                                                                                     \
         NULL,                                                                                     \
         "handlers that may run at once, each for another conversation [the agent's own setting, " \
         "or 1]",                                                                                  \
         CONNECT_FIELD(concurrency),                                                               \
         1,                                                                                        \
         1000},                                                                                    \
        {"max-pending",                                                                            \
         0,                                                                                        \
         OPTION_NUMBER,                                                                            \
         "N",                                                                                      \
         "500",                                                                                    \
         NULL,                                                                                     \
         "stop fetching while this many messages are unfinished",                                  \
         CONNECT_FIELD(max_pending),                                                               \
         1,                                                                                        \
         100000},                                                                                  \
        {"max-pending-bytes",                                                                      \
         0,                                                                                        \
         OPTION_SIZE,                                                                              \
         "SIZE",                                                                                   \
         "64MiB",                                                                                  \
         NULL,                                                                                     \
         "stop fetching while unfinished messages take this much memory; all workspaces of a "     \
         "process share 512MiB",                                                                   \
         CONNECT_FIELD(max_pending_bytes),                                                         \
         1,                                                                                        \
         0},                                                                                       \
        {"max-attempts",                                                                           \
         0,                                                                                        \
         OPTION_NUMBER,                                                                            \
         "N",                                                                                      \
         "5",                                                                                      \
         NULL,                                                                                     \
         "attempts before a failing message is dead-lettered",                                     \
         CONNECT_FIELD(max_attempts),                                                              \
         1,                                                                                        \
         1000},                                                                                    \
        {"error-reply",                                                                            \
         0,                                                                                        \
         OPTION_TEXT,                                                                              \
         "TEXT",                                                                                   \
         NULL,                                                                                     \
         NULL,                                                                                     \
         "reply sent for a message that is dead-lettered [none]",                                  \
         CONNECT_FIELD(error_reply),                                                               \
         0,                                                                                        \
         0},                                                                                       \
        {"max-hops",                                                                               \
         0,                                                                                        \
         OPTION_NUMBER,                                                                            \
         "N",                                                                                      \
         "8",                                                                                      \
         NULL,                                                                                     \
         "length of a chain of replies between agents, for an agent with answers_replies",         \
         CONNECT_FIELD(max_hops),                                                                  \
         1,                                                                                        \
         1000},                                                                                    \
        {"breaker",                                                                                \
         0,                                                                                        \
         OPTION_NUMBER,                                                                            \
         "N",                                                                                      \
         "300",                                                                                    \
         NULL,                                                                                     \
         "exchanges per minute with a peer that answers every reply; beyond that its messages "    \
         "wait; 0: no limit",                                                                      \
         CONNECT_FIELD(breaker),                                                                   \
         0,                                                                                        \
         1000000},                                                                                 \
        {"reply-ttl",                                                                              \
         0,                                                                                        \
         OPTION_DURATION,                                                                          \
         "TIME",                                                                                   \
         "24h",                                                                                    \
         NULL,                                                                                     \
         "how long to keep retrying a message or its reply before it is dead-lettered; 0: "        \
         "forever",                                                                                \
         CONNECT_FIELD(reply_ttl_ms),                                                              \
         0,                                                                                        \
         CONNECT_HOURS(8760)},                                                                     \
        {"record",                                                                                 \
         0,                                                                                        \
         OPTION_TEXT,                                                                              \
         "FILE",                                                                                   \
         NULL,                                                                                     \
         NULL,                                                                                     \
         "append each message's envelope, outcome and reply as JSON lines",                        \
         CONNECT_FIELD(record_file),                                                               \
         0,                                                                                        \
         0},                                                                                       \
        {"timeout",                                                                                \
         0,                                                                                        \
         OPTION_DURATION,                                                                          \
         "TIME",                                                                                   \
         "300s",                                                                                   \
         NULL,                                                                                     \
         "wall-clock limit for one message, including waits; 0: none",                             \
         CONNECT_FIELD(timeout_ms),                                                                \
         0,                                                                                        \
         CONNECT_HOURS(24)},                                                                       \
        {"cpu-limit",                                                                              \
         0,                                                                                        \
         OPTION_DURATION,                                                                          \
         "TIME",                                                                                   \
         "10s",                                                                                    \
         NULL,                                                                                     \
         "CPU time limit for one message; 0: none",                                                \
         CONNECT_FIELD(cpu_limit_ms),                                                              \
         0,                                                                                        \
         CONNECT_HOURS(24)},                                                                       \
        {"memory-limit",                                                                           \
         0,                                                                                        \
         OPTION_SIZE,                                                                              \
         "SIZE",                                                                                   \
         "256MiB",                                                                                 \
         NULL,                                                                                     \
         "memory limit of the script's Lua state; 0: none",                                        \
         CONNECT_FIELD(memory_limit),                                                              \
         0,                                                                                        \
         0},                                                                                       \
        {"stuck-after",                                                                            \
         0,                                                                                        \
         OPTION_DURATION,                                                                          \
         "TIME",                                                                                   \
         "300s",                                                                                   \
         NULL,                                                                                     \
         "exit with code 75 when the script has been stuck in C code this long; 0: never",         \
         CONNECT_FIELD(stuck_after_ms),                                                            \
         0,                                                                                        \
         CONNECT_HOURS(24)},                                                                       \
        {"register-attempts",                                                                      \
         0,                                                                                        \
         OPTION_NUMBER,                                                                            \
         "N",                                                                                      \
         "5",                                                                                      \
         NULL,                                                                                     \
         "registration attempts while the platform is down at startup, or a proxy answers in its " \
         "place; 0: forever",                                                                      \
         CONNECT_FIELD(register_attempts),                                                         \
         0,                                                                                        \
         1000000},                                                                                 \
        {"refusal-patience",                                                                       \
         0,                                                                                        \
         OPTION_DURATION,                                                                          \
         "TIME",                                                                                   \
         "75s",                                                                                    \
         NULL,                                                                                     \
         "exit with code 77 once the platform has refused the credentials at least 3 times over "  \
         "longer than this; "                                                                      \
         "a reply it refuses with 403 for longer is dead-lettered",                                \
         CONNECT_FIELD(refusal_patience_ms),                                                       \
         0,                                                                                        \
         CONNECT_HOURS(24)},                                                                       \
    {                                                                                              \
        "ca-file", 0, OPTION_TEXT, "FILE", NULL, NULL,                                             \
            "trust these certificates: instead of the system's for the platform, in addition to "  \
            "them for scripts",                                                                    \
            CONNECT_FIELD(ca_file), 0, 0                                                           \
    }

#endif
