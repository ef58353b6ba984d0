/* molecule connect: options -> a host with one workspace. */
#include "commands/commands.h"

#include "base/log.h"
#include "base/memory.h"
#include "commands/local_state.h"
#include "molecule/molecule.h"
#include "script/script.h"
#include "wire/platform.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct connect_options {
    const char *script, *backend, *token, *token_file, *mode, *api_url, *org_id, *state_directory, *name, *description,
        *ca_file, *error_reply, *record_file;
    struct option_pairs backend_options, script_options;
    int64_t interval_ms, since_secs, heartbeat_ms, drain_ms, stuck_after_ms, register_attempts, max_attempts, max_pending,
        cpu_limit_ms, timeout_ms, memory_limit, concurrency, reply_ttl_ms, max_hops;
    bool bootstrap, reset_state, dry_run, verbose, insecure_http;
};

#define FIELD(member) offsetof(struct connect_options, member)
#define HOURS(n) ((int64_t)(n) * 3600000)

static const struct option options[] = {
    {"script", 's', OPTION_TEXT, "FILE", NULL, NULL, "the Lua script that answers", FIELD(script), 0, 0},
    {"backend", 'b', OPTION_TEXT, "NAME", NULL, NULL, "answer with a backend instead: one in the binary (mock, exec, http, "
     "claude-code) or NAME.lua on LUA_PATH", FIELD(backend), 0, 0},
    {"backend-opt", 0, OPTION_PAIRS, "K=V", NULL, NULL, "an option of the backend; repeatable", FIELD(backend_options), 0, 0},
    {"script-opt", 0, OPTION_PAIRS, "K=V", NULL, NULL, "ctx.options.K for the script; repeatable", FIELD(script_options), 0, 0},
    {"api-url", 0, OPTION_TEXT, "URL", "http://localhost:8080", "MOLECULE_API_URL", "the platform", FIELD(api_url), 0, 0},
    {"token-file", 0, OPTION_TEXT, "FILE", NULL, "MOLECULE_WORKSPACE_TOKEN_FILE",
     "the workspace's token; read again when the platform refuses it", FIELD(token_file), 0, 0},
    {"token", 0, OPTION_TEXT, "TOKEN", NULL, "MOLECULE_WORKSPACE_TOKEN",
     "the token itself; others on this machine can see a command line, so prefer the environment or a file", FIELD(token), 0, 0},
    {"bootstrap", 0, OPTION_FLAG, NULL, NULL, NULL,
     "register without a token; the one that the platform mints is kept in <state-dir>/<id>.token", FIELD(bootstrap), 0, 0},
    {"org-id", 0, OPTION_TEXT, "ID", NULL, "MOLECULE_ORG_ID", "sent as X-Molecule-Org-Id, where a tenant guard wants it",
     FIELD(org_id), 0, 0},
    {"state-dir", 0, OPTION_TEXT, "DIR", NULL, "MOLECULE_STATE_DIR",
     "where the cursor is kept (also $STATE_DIRECTORY) [~/.config/molecule/state]", FIELD(state_directory), 0, 0},
    {"reset-state", 0, OPTION_FLAG, NULL, NULL, NULL, "set the cursor file aside and start afresh", FIELD(reset_state), 0, 0},
    {"name", 0, OPTION_TEXT, "TEXT", NULL, NULL, "the agent card's name [the agent's own, else molecule]", FIELD(name), 0, 0},
    {"description", 0, OPTION_TEXT, "TEXT", NULL, NULL, "the agent card's description", FIELD(description), 0, 0},
    {"interval-ms", 0, OPTION_NUMBER, "N", "1000", NULL, "between two polls of an empty inbox", FIELD(interval_ms), 1, HOURS(1)},
    {"heartbeat-ms", 0, OPTION_NUMBER, "N", "20000", NULL,
     "between two heartbeats; the platform calls a workspace stale after 90 s", FIELD(heartbeat_ms), 10, 80000},
    {"since-secs", 0, OPTION_NUMBER, "N", "30", NULL, "how far back the first fetch looks where there is no cursor",
     FIELD(since_secs), 1, 2592000},
    {"concurrency", 0, OPTION_NUMBER, "N", NULL, NULL,
     "handlers at once, of different conversations [what the agent says, else 1]", FIELD(concurrency), 1, 1000},
    {"max-pending", 0, OPTION_NUMBER, "N", "500", NULL, "rows fetched ahead of the cursor", FIELD(max_pending), 1, 100000},
    {"max-attempts", 0, OPTION_NUMBER, "N", "5", NULL, "of a message whose handler fails; then it is set aside",
     FIELD(max_attempts), 1, 1000},
    {"error-reply", 0, OPTION_TEXT, "TEXT", NULL, NULL, "what the sender of such a message is told [nothing]",
     FIELD(error_reply), 0, 0},
    {"max-hops", 0, OPTION_NUMBER, "N", "8", NULL,
     "replies to replies, back and forth, where the agent says answers_replies", FIELD(max_hops), 1, 1000},
    {"reply-ttl", 0, OPTION_DURATION, "TIME", "24h", NULL,
     "how long a message is tried (retries, posts that fail) before it is set aside; 0: for ever", FIELD(reply_ttl_ms), 0, HOURS(8760)},
    {"record", 0, OPTION_TEXT, "FILE", NULL, NULL, "append envelope, outcome and reply of each message as JSON lines",
     FIELD(record_file), 0, 0},
    {"timeout", 0, OPTION_DURATION, "TIME", "300s", NULL, "for one message, waiting included; 0: none", FIELD(timeout_ms), 0, HOURS(24)},
    {"cpu-limit", 0, OPTION_DURATION, "TIME", "10s", NULL, "of processor time for one message; 0: none", FIELD(cpu_limit_ms), 0, HOURS(24)},
    {"memory-limit", 0, OPTION_SIZE, "SIZE", "256MiB", NULL, "of the script's Lua state; 0: none", FIELD(memory_limit), 0, 0},
    {"stuck-after", 0, OPTION_DURATION, "TIME", "300s", NULL,
     "exit with code 75 when the script is stuck in C code for so long; 0: never", FIELD(stuck_after_ms), 0, HOURS(24)},
    {"drain", 0, OPTION_DURATION, "TIME", "25s", NULL, "how long a stop waits for what is under way", FIELD(drain_ms), 0, HOURS(1)},
    {"register-attempts", 0, OPTION_NUMBER, "N", "5", NULL, "while the platform is down at the start; 0: for ever",
     FIELD(register_attempts), 0, 1000000},
    {"ca-file", 0, OPTION_TEXT, "FILE", NULL, NULL, "trust these certificates instead of the system's", FIELD(ca_file), 0, 0},
    {"insecure-http", 0, OPTION_FLAG, NULL, NULL, NULL, "allow plain http to another machine: the token travels readable",
     FIELD(insecure_http), 0, 0},
    {"mode", 0, OPTION_TEXT, "poll|push", "poll", NULL, "only poll so far", FIELD(mode), 0, 0},
    {"dry-run", 0, OPTION_FLAG, NULL, NULL, NULL, "load the script, print what would be done, start nothing", FIELD(dry_run), 0, 0},
    {"verbose", 'v', OPTION_FLAG, NULL, NULL, NULL, "log more", FIELD(verbose), 0, 0},
    {.name = NULL},
};

/* Everything that can be wrong with the words themselves; nothing is touched yet. */
static int check(const struct command *command, const struct connect_options *given, const char *workspace_id)
{
    if (!workspace_id)
        return options_complain(command, "which workspace? Its id is missing: molecule connect <workspace-id> --script "
                                         "agent.lua");
    if (!platform_valid_id(workspace_id))
        return options_complain(command, "\"%s\" cannot be a workspace id: letters, digits, dots, dashes and underscores, "
                                         "at most 128, beginning with a letter or digit", workspace_id);
    if (!given->script && !given->backend)
        return options_complain(command, "who answers? Give --script FILE or --backend NAME (%s)", script_backend_names());
    if (given->script && given->backend)
        return options_complain(command, "--script and --backend exclude each other");
    if (given->backend_options.count > 0 && !given->backend)
        return options_complain(command, "--backend-opt needs --backend; a script gets --script-opt");
    if (strcmp(given->mode, "push") == 0)
        return options_complain(command, "--mode push is not there yet: molecule fetches its inbox (poll) and needs no "
                                         "public address; leave --mode away");
    if (strcmp(given->mode, "poll") != 0)
        return options_complain(command, "--mode is poll; got \"%s\"", given->mode);
    if (given->script && access(given->script, R_OK) != 0)
        return options_complain(command, "the script %s cannot be read: %m", given->script);
    return 0;
}

static struct molecule_workspace_options make_workspace(const struct connect_options *given, const char *workspace_id,
                                                        const char *state_directory, const char *token)
{
    return (struct molecule_workspace_options){
        .id = workspace_id,
        .script = given->script,
        .backend = given->backend,
        .backend_options = given->backend_options.pairs,
        .backend_option_count = given->backend_options.count,
        .script_options = given->script_options.pairs,
        .script_option_count = given->script_options.count,
        .api_url = given->api_url,
        .org_id = given->org_id,
        .token = token,
        .token_file = given->token_file,
        .state_directory = state_directory,
        .name = given->name,
        .description = given->description,
        .error_reply = given->error_reply,
        .record_file = given->record_file,
        .reply_ttl_ms = given->reply_ttl_ms,
        .bootstrap = given->bootstrap,
        .reset_state = given->reset_state,
        .insecure_http = given->insecure_http,
        .interval_ms = given->interval_ms,
        .since_secs = given->since_secs,
        .heartbeat_ms = given->heartbeat_ms,
        .drain_ms = given->drain_ms,
        .stuck_after_ms = given->stuck_after_ms,
        .cpu_limit_ms = given->cpu_limit_ms,
        .timeout_ms = given->timeout_ms,
        .memory_limit = (size_t)given->memory_limit,
        .max_pending = (size_t)given->max_pending,
        .register_attempts = (unsigned)given->register_attempts,
        .max_attempts = (unsigned)given->max_attempts,
        .concurrency = (unsigned)given->concurrency,
        .max_hops = (int)given->max_hops,
    };
}

static int start(const struct command *command, const struct connect_options *given,
                 const struct molecule_workspace_options *workspace)
{
    char problem[1024];
    struct molecule_options settings = {.ca_file = given->ca_file, .handle_signals = true, .verbose = given->verbose};
    struct molecule *molecule = molecule_open(&settings, problem, sizeof problem);
    if (!molecule) {
        fprintf(stderr, "molecule %s: %s\n", command->name, problem);
        return MOLECULE_FAILED;
    }
    enum molecule_result result;
    if (given->dry_run) {
        result = molecule_rehearse(molecule, workspace);
    } else {
        result = molecule_add(molecule, workspace, problem, sizeof problem);
        if (result == MOLECULE_STOPPED)
            result = molecule_run(molecule);
        else
            log_error(workspace->id, "%s", problem);
    }
    molecule_close(molecule);
    return (int)result;
}

static bool was_typed(int argc, char **argv, const char *option)
{
    size_t length = strlen(option);
    for (int i = 0; i < argc; i++)
        if (strncmp(argv[i], option, length) == 0 && (argv[i][length] == '\0' || argv[i][length] == '='))
            return true;
    return false;
}

/* Also from where /proc/<pid>/environ shows it. */
static void wipe_variable(const char *name)
{
    char *value = getenv(name);
    if (value)
        memset(value, 'x', strlen(value));
    unsetenv(name);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct connect_options given = {0};
    const char *positionals[1] = {NULL};
    size_t count;
    int code = 2;
    char *state_directory = NULL, *workspace_id = NULL, *token = NULL;
    enum options_result parsed = options_parse(command, argc, argv, &given, positionals, &count);
    if (parsed != OPTIONS_PARSED) {
        code = parsed == OPTIONS_HELP ? 0 : 2;
        goto cleanup;
    }
    if (given.token) /* a line end of the file it came from is not part of it */
        ((char *)given.token)[strcspn(given.token, " \t\r\n")] = '\0';
    log_hide(given.token);
    bool token_typed = was_typed(argc, argv, "--token");
    if (token_typed || !was_typed(argc, argv, "--token-file")) /* a flag beats the environment */
        token = memory_copy_text(given.token);
    if (token_typed) /* not for the process list any longer than it must be */
        memset((char *)given.token, 'x', strlen(given.token));
    wipe_variable("MOLECULE_WORKSPACE_TOKEN"); /* nor for the script and its commands */
    if (check(command, &given, positionals[0]) != 0)
        goto cleanup;
    workspace_id = memory_copy_text(positionals[0]);
    platform_normalise_id(workspace_id); /* as it will stand in the log */
    state_directory = local_state_directory(given.state_directory);
    if (token_typed)
        log_warn(workspace_id, "--token on the command line was readable by others on this machine; MOLECULE_WORKSPACE_TOKEN "
                               "or --token-file is better");
    struct molecule_workspace_options workspace = make_workspace(&given, workspace_id, state_directory, token);
    code = start(command, &given, &workspace);

cleanup:
    options_free(command, &given);
    free(state_directory);
    free(workspace_id);
    free(token);
    return code;
}

const struct command command_connect = {
    .name = "connect",
    .usage = "<workspace-id> (--script FILE | --backend NAME) [options]",
    .summary = "attach this machine to a workspace and answer its messages",
    .description =
        "Registers the workspace, keeps it alive with heartbeats, fetches its inbox, hands every message to\n"
        "the script, posts the reply that the script returns, and remembers how far it got. Needs no public\n"
        "address. Runs until SIGTERM or Ctrl-C.\n\n"
        "Exit codes: 0 stopped as asked, 1 failed, 2 wrong usage or a script that does not load, 75 the\n"
        "script is stuck (restart me), 77 the platform refuses the workspace's credentials.",
    .examples =
        "  molecule connect 7f1d0c9e-… --script agent.lua --api-url https://acme.example.com\n"
        "  molecule connect 7f1d0c9e-… --backend exec --backend-opt cmd='tr a-z A-Z'\n"
        "  molecule connect 7f1d0c9e-… --backend mock --backend-opt reply='you said: %s'",
    .options = options,
    .positional_maximum = 1,
    .run = run,
};
