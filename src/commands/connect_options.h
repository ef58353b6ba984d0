/* The options that `molecule connect` and `molecule dev` share, which mean the same in both: one row each. */
#ifndef MOLECULE_COMMANDS_CONNECT_OPTIONS_H
#define MOLECULE_COMMANDS_CONNECT_OPTIONS_H

#include "commands/options.h"

#include <stddef.h>

struct connect_options {
    const char *script, *backend, *token, *token_file, *mode, *api_url, *org_id, *state_directory, *name, *description,
        *ca_file, *error_reply, *record_file, *wake;
    struct option_pairs backend_options, script_options;
    struct option_list allowed_hosts, file_hosts, allowed_senders;
    int64_t interval_ms, since_secs, heartbeat_ms, drain_ms, stuck_after_ms, register_attempts, max_attempts, max_pending,
        max_pending_bytes,
        cpu_limit_ms, timeout_ms, memory_limit, concurrency, reply_ttl_ms, max_hops;
    int64_t breaker, workers, refusal_patience_ms;
    bool sandbox, bootstrap, reset_state, dry_run, verbose, insecure_http, watch;
};

#define CONNECT_FIELD(member) offsetof(struct connect_options, member)
#define CONNECT_HOURS(n) ((int64_t)(n) * 3600000)

/* Who answers, and whom. Rows of a table of options whose values are, or begin with, a struct connect_options. */
#define CONNECT_ANSWERING_OPTIONS \
    {"script", 's', OPTION_TEXT, "FILE", NULL, NULL, "the Lua script that answers", CONNECT_FIELD(script), 0, 0}, \
    {"backend", 'b', OPTION_TEXT, "NAME", NULL, NULL, "answer with a backend instead: one in the binary (mock, exec, http, " \
     "openai, stdio, claude-code) or NAME.lua on LUA_PATH", CONNECT_FIELD(backend), 0, 0}, \
    {"backend-opt", 0, OPTION_PAIRS, "K=V", NULL, NULL, "an option of the backend; repeatable", CONNECT_FIELD(backend_options), 0, 0}, \
    {"script-opt", 0, OPTION_PAIRS, "K=V", NULL, NULL, "ctx.options.K for the script; repeatable", CONNECT_FIELD(script_options), 0, 0}, \
    {"sandbox", 0, OPTION_FLAG, NULL, NULL, NULL, \
     "the script gets no files, programs, environment or C modules, and no http but to --allow-host", CONNECT_FIELD(sandbox), 0, 0}, \
    {"allow-host", 0, OPTION_LIST, "HOST[:PORT]", NULL, NULL, \
     "with --sandbox: http may reach it, on any port if none is given; *.NAME is every name below NAME; repeatable", \
     CONNECT_FIELD(allowed_hosts), 0, 0}, \
    {"allow-file-host", 0, OPTION_LIST, "HOST[:PORT]", NULL, NULL, \
     "file:read() may fetch from it though its address is not public, and with http; repeatable [https to public addresses only]", \
     CONNECT_FIELD(file_hosts), 0, 0}, \
    {"allow-from", 0, OPTION_LIST, "WHO", NULL, NULL, \
     "answer only canvas, or the peer of this id, and skip everybody else; repeatable [all are answered]", \
     CONNECT_FIELD(allowed_senders), 0, 0}

/* How the workspace is served. */
#define CONNECT_SERVING_OPTIONS \
    {"reset-state", 0, OPTION_FLAG, NULL, NULL, NULL, "set the cursor file aside and start afresh", CONNECT_FIELD(reset_state), 0, 0}, \
    {"name", 0, OPTION_TEXT, "TEXT", NULL, NULL, "the agent card's name [the agent's own, else molecule]", CONNECT_FIELD(name), 0, 0}, \
    {"description", 0, OPTION_TEXT, "TEXT", NULL, NULL, "the agent card's description", CONNECT_FIELD(description), 0, 0}, \
    {"wake", 0, OPTION_TEXT, "stream|poll", "stream", NULL, \
     "what says that there is a message: the platform's event stream, where it has one, or polls alone", CONNECT_FIELD(wake), 0, 0}, \
    {"heartbeat-ms", 0, OPTION_MILLISECONDS, "TIME", "20000", NULL, \
     "between two heartbeats; the platform calls a workspace stale after 90 s; milliseconds, or as 10s", \
     CONNECT_FIELD(heartbeat_ms), 10, 80000}, \
    {"since-secs", 0, OPTION_SECONDS, "TIME", "30", NULL, \
     "how far back the first fetch looks where there is no cursor; seconds, or as 5m", \
     CONNECT_FIELD(since_secs), 1, 2592000}, \
    {"concurrency", 0, OPTION_NUMBER, "N", NULL, NULL, \
     "handlers at once, of different conversations [what the agent says, else 1]", CONNECT_FIELD(concurrency), 1, 1000}, \
    {"max-pending", 0, OPTION_NUMBER, "N", "500", NULL, "stop fetching while so many messages are unfinished", \
     CONNECT_FIELD(max_pending), 1, 100000}, \
    {"max-pending-bytes", 0, OPTION_SIZE, "SIZE", "64MiB", NULL, \
     "stop fetching while unfinished messages take this much memory; all workspaces of a process share 512MiB", \
     CONNECT_FIELD(max_pending_bytes), 1, 0}, \
    {"max-attempts", 0, OPTION_NUMBER, "N", "5", NULL, "of a message whose handler fails; then it is set aside", \
     CONNECT_FIELD(max_attempts), 1, 1000}, \
    {"error-reply", 0, OPTION_TEXT, "TEXT", NULL, NULL, "what the sender of such a message is told [nothing]", \
     CONNECT_FIELD(error_reply), 0, 0}, \
    {"max-hops", 0, OPTION_NUMBER, "N", "8", NULL, \
     "replies to replies, back and forth, where the agent says answers_replies", CONNECT_FIELD(max_hops), 1, 1000}, \
    {"breaker", 0, OPTION_NUMBER, "N", "300", NULL, \
     "turns a minute with a peer that answers each reply of ours; beyond, its messages wait. 0: any number", \
     CONNECT_FIELD(breaker), 0, 1000000}, \
    {"reply-ttl", 0, OPTION_DURATION, "TIME", "24h", NULL, \
     "how long a message is tried (retries, posts that fail) before it is set aside; 0: for ever", \
     CONNECT_FIELD(reply_ttl_ms), 0, CONNECT_HOURS(8760)}, \
    {"record", 0, OPTION_TEXT, "FILE", NULL, NULL, "append envelope, outcome and reply of each message as JSON lines", \
     CONNECT_FIELD(record_file), 0, 0}, \
    {"timeout", 0, OPTION_DURATION, "TIME", "300s", NULL, "for one message, waiting included; 0: none", \
     CONNECT_FIELD(timeout_ms), 0, CONNECT_HOURS(24)}, \
    {"cpu-limit", 0, OPTION_DURATION, "TIME", "10s", NULL, "of processor time for one message; 0: none", \
     CONNECT_FIELD(cpu_limit_ms), 0, CONNECT_HOURS(24)}, \
    {"memory-limit", 0, OPTION_SIZE, "SIZE", "256MiB", NULL, "of the script's Lua state; 0: none", CONNECT_FIELD(memory_limit), 0, 0}, \
    {"stuck-after", 0, OPTION_DURATION, "TIME", "300s", NULL, \
     "exit with code 75 when the script is stuck in C code for so long; 0: never", CONNECT_FIELD(stuck_after_ms), 0, CONNECT_HOURS(24)}, \
    {"register-attempts", 0, OPTION_NUMBER, "N", "5", NULL, \
     "while the platform is down at the start, or something in front of it answers in its place; 0: for ever", \
     CONNECT_FIELD(register_attempts), 0, 1000000}, \
    {"refusal-patience", 0, OPTION_DURATION, "TIME", "75s", NULL, \
     "exit with code 77 when the platform itself has refused the credentials at least 3 times, for longer than this; " \
     "a reply that it refuses with 403 for longer is a dead letter", \
     CONNECT_FIELD(refusal_patience_ms), 0, CONNECT_HOURS(24)}, \
    {"ca-file", 0, OPTION_TEXT, "FILE", NULL, NULL, \
     "trust these certificates: for the platform instead of the system's, for what scripts fetch beside them", \
     CONNECT_FIELD(ca_file), 0, 0}

#endif
