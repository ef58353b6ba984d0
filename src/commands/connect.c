/* molecule connect: options -> a host with one workspace, or several that are alike. */
#include "commands/connect.h"

#include "commands/commands.h"
#include "commands/connect_options.h"
#include "commands/fleet_limits.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/output.h"
#include "base/terminal.h"
#include "base/uuid.h"
#include "commands/local_state.h"
#include "commands/sandbox_options.h"
#include "molecule/molecule.h"
#include "script/script.h"
#include "wire/platform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IDS_MAXIMUM 1024
#define FIELD(member) offsetof(struct connect_options, member)

static const struct option options[] = {
    CONNECT_ANSWERING_OPTIONS,
    {"watch", 0, OPTION_FLAG, NULL, NULL, NULL,
     "reload the script when its file, or one it requires, changes (SIGHUP does so at any time)",
     FIELD(watch), 0, 0},
    {"api-url", 0, OPTION_TEXT, "URL", "http://localhost:8080", "MOLECULE_API_URL", "the platform",
     FIELD(api_url), 0, 0},
    {"token-file", 0, OPTION_TEXT, "FILE", NULL, "MOLECULE_WORKSPACE_TOKEN_FILE",
     "the workspace's token; read again when the platform refuses it; {id} in it stands for the id",
     FIELD(token_file), 0, 0},
    {"token", 0, OPTION_TEXT, "TOKEN", NULL, "MOLECULE_WORKSPACE_TOKEN",
     "the token itself; visible to other users of this machine, so prefer the environment or a "
     "file",
     FIELD(token), 0, 0},
    {"bootstrap", 0, OPTION_FLAG, NULL, NULL, NULL,
     "register without a token, and keep the one the platform issues in <state-dir>/<id>.token",
     FIELD(bootstrap), 0, 0},
    {"org-id", 0, OPTION_TEXT, "ID", NULL, "MOLECULE_ORG_ID",
     "sent as X-Molecule-Org-Id, for a platform with a tenant guard", FIELD(org_id), 0, 0},
    {"state-dir", 0, OPTION_TEXT, "DIR", NULL, "MOLECULE_STATE_DIR",
     "directory for the cursor and the ledger (also $STATE_DIRECTORY) [~/.config/molecule/state]",
     FIELD(state_directory), 0, 0},
    {"interval-ms", 0, OPTION_MILLISECONDS, "TIME", "1000", NULL,
     "time between polls of an empty inbox; in milliseconds, or like 10s", FIELD(interval_ms), 1,
     CONNECT_HOURS(1)},
    CONNECT_SERVING_OPTIONS,
    {"workers", 0, OPTION_NUMBER, "N", NULL, NULL,
     "threads that run scripts [one per workspace, at most one per processor]", FIELD(workers), 1,
     256},
    {"drain", 0, OPTION_DURATION, "TIME", "25s", NULL,
     "how long to wait for messages in progress when stopping", FIELD(drain_ms), 0,
     CONNECT_HOURS(1)},
    {"insecure-http", 0, OPTION_FLAG, NULL, NULL, NULL,
     "allow plain http to another machine; the token is sent unencrypted", FIELD(insecure_http), 0,
     0},
    {"mode", 0, OPTION_TEXT, "poll|push", "poll", NULL, "delivery mode; only poll is supported",
     FIELD(mode), 0, 0},
    {"dry-run", 0, OPTION_FLAG, NULL, NULL, NULL,
     "check the token, state directory, record file and script, print what would be done, and exit",
     FIELD(dry_run), 0, 0},
    {"verbose", 'v', OPTION_FLAG, NULL, NULL, NULL, "log more", FIELD(verbose), 0, 0},
    {.name = NULL},
};

char *connect_find_problem(const struct connect_options *given, const char *workspace_id)
{
    size_t length = strlen(workspace_id);
    if ((length > 4 && strcmp(workspace_id + length - 4, ".lua") == 0) || strchr(workspace_id, '/'))
        return memory_format("\"%s\" cannot be a workspace id; a script is given as --script %s",
                             workspace_id, workspace_id);
    if (!uuid_valid(workspace_id))
        return memory_format("\"%s\" cannot be a workspace id: the platform's ids are UUIDs like "
                             "7f1d0c9e-3a52-4a0e-9d0b-6f2b1f3f8a11, and it shows each workspace's; "
                             "a name for the agent card goes to "
                             "--name",
                             workspace_id);
    if (!given->script && !given->backend)
        return memory_format("nothing to answer with: give --script FILE or --backend NAME (%s)",
                             script_backend_names());
    if (given->script && given->backend)
        return memory_copy_text("--script and --backend cannot be combined");
    if (given->backend_options.count > 0 && !given->backend)
        return memory_copy_text("--backend-opt requires --backend; for a script use --script-opt");
    if (strcmp(given->mode, "push") == 0)
        return memory_copy_text("--mode push is not supported yet: molecule polls its inbox and "
                                "needs no public address; "
                                "omit --mode");
    if (strcmp(given->mode, "poll") != 0)
        return memory_format("--mode is poll; got \"%s\"", given->mode);
    if (strcmp(given->wake, "stream") != 0 && strcmp(given->wake, "poll") != 0)
        return memory_format("--wake is stream or poll; got \"%s\"", given->wake);
    if (given->script && access(given->script, R_OK) != 0)
        return memory_format("the script %s cannot be read: %s", given->script, strerror(errno));
    for (size_t i = 0; i < given->allowed_senders.count; i++)
        if (strcasecmp(given->allowed_senders.items[i], "canvas") != 0 &&
            !uuid_valid(given->allowed_senders.items[i]))
            return memory_format("--allow-from is canvas or a peer's workspace id; got \"%s\". "
                                 "Such an id is a UUID, as in msg.from, and "
                                 "canvas is the human",
                                 given->allowed_senders.items[i]);
    return sandbox_options_problem(given->sandbox, &given->allowed_hosts, &given->file_hosts);
}

struct connect_options *connect_options_open(void)
{
    struct connect_options *values = memory_allocate(sizeof *values);
    options_set_defaults(&command_connect, values);
    if (options_from_environment(&command_connect, values) == 0)
        return values;
    connect_options_close(values);
    return NULL;
}

void connect_options_close(struct connect_options *values)
{
    if (!values)
        return;
    options_free(&command_connect, values);
    free(values);
}

struct molecule_workspace_options connect_workspace(const struct connect_options *given,
                                                    const char *workspace_id,
                                                    const char *state_directory, const char *token,
                                                    const char *token_file)
{
    return (struct molecule_workspace_options){
        .id = workspace_id,
        .script = given->script,
        .backend = given->backend,
        .backend_options = given->backend_options.pairs,
        .backend_option_count = given->backend_options.count,
        .script_options = given->script_options.pairs,
        .script_option_count = given->script_options.count,
        .sandbox = given->sandbox,
        .allowed_hosts = given->allowed_hosts.items,
        .allowed_host_count = given->allowed_hosts.count,
        .file_hosts = given->file_hosts.items,
        .file_host_count = given->file_hosts.count,
        .allowed_senders = given->allowed_senders.items,
        .allowed_sender_count = given->allowed_senders.count,
        .api_url = given->api_url,
        .org_id = given->org_id,
        .token = token,
        .token_file = token_file,
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
        .wake_by_stream = strcmp(given->wake, "stream") == 0,
        .since_secs = given->since_secs,
        .heartbeat_ms = given->heartbeat_ms,
        .drain_ms = given->drain_ms,
        .stuck_after_ms = given->stuck_after_ms,
        .cpu_limit_ms = given->cpu_limit_ms,
        .timeout_ms = given->timeout_ms,
        .memory_limit = (size_t)given->memory_limit,
        .max_pending = (size_t)given->max_pending,
        .max_pending_bytes = (size_t)given->max_pending_bytes,
        .register_attempts = (unsigned)given->register_attempts,
        .refusal_patience_ms = given->refusal_patience_ms,
        .max_attempts = (unsigned)given->max_attempts,
        .concurrency = (unsigned)given->concurrency,
        .max_hops = (int)given->max_hops,
        .breaker = (unsigned)given->breaker,
        .watch = given->watch,
    };
}

char *connect_take_token(const char *text, const char **problem)
{
    static const char blanks[] = " \t\r\n";
    const char *start = text + strspn(text, blanks);
    size_t length = strlen(start);
    while (length > 0 && strchr(blanks, start[length - 1]))
        length--;
    size_t word = strcspn(start, blanks);
    *problem = length == 0 ? "is empty"
               : strncasecmp(start, "Bearer ", 7) == 0
                   ? "begins with \"Bearer\"; give the token alone, that word is added"
               : word < length ? "holds a blank; a token is one word"
               : *start == '"' || *start == '\''
                   ? "begins with a quotation mark; give the token without"
                   : NULL;
    return *problem ? NULL : memory_copy(start, length);
}

char *connect_token_path(const char *pattern, const char *workspace_id)
{
    char *path = memory_copy_text(pattern);
    static const char *const marks[] = {"{id}", "%s"};
    for (size_t i = 0; path && i < 2; i++) {
        char *at = strstr(path, marks[i]);
        if (!at)
            continue;
        char *filled = memory_format("%.*s%s%s", (int)(at - path), path, workspace_id,
                                     at + strlen(marks[i]));
        free(path);
        path = filled;
    }
    return path;
}

/* What belongs to one of the workspaces. */
struct attached {
    char *id, *token_file;
    struct molecule_workspace_options workspace;
};

static enum molecule_result add_all(struct molecule *molecule, const struct attached *attached,
                                    size_t count)
{
    char problem[1024];
    enum molecule_result first = MOLECULE_STOPPED;
    bool serves = false;
    for (size_t i = 0; i < count; i++) {
        enum molecule_result result = molecule_add(molecule, &attached[i].workspace, problem,
                                                   sizeof problem);
        serves = serves || result == MOLECULE_STOPPED;
        if (result == MOLECULE_STOPPED)
            continue;
        log_error(attached[i].id, count > 1 ? "%s; the others continue" : "%s", problem);
        first = first == MOLECULE_STOPPED ? result : first;
    }
    return serves ? molecule_run(molecule) : first;
}

static int start(const struct command *command, const struct connect_options *given,
                 const struct attached *attached, size_t count)
{
    char problem[1024];
    struct molecule_options settings = {
        .ca_file = given->ca_file,
        .handle_signals = true,
        .verbose = given->verbose,
        .fleet = count > 1,
        .workers = fleet_workers(given->workers, count),
    };
    struct molecule *molecule = molecule_open(&settings, problem, sizeof problem);
    if (!molecule) {
        terminal_print(stderr, "molecule %s: %s\n", command->name, problem);
        return MOLECULE_FAILED;
    }
    enum molecule_result result = MOLECULE_STOPPED;
    if (given->dry_run) {
        for (size_t i = 0; i < count && result == MOLECULE_STOPPED; i++)
            result = molecule_rehearse(molecule, &attached[i].workspace);
    } else {
        if (count > 1)
            fleet_raise_limit(count);
        result = add_all(molecule, attached, count);
    }
    molecule_close(molecule);
    return (int)result;
}

static bool was_typed(int argc, char **argv, const char *option)
{
    size_t length = strlen(option);
    for (int i = 0; i < argc; i++)
        if (strncmp(argv[i], option, length) == 0 &&
            (argv[i][length] == '\0' || argv[i][length] == '='))
            return true;
    return false;
}

void connect_wipe_variable(const char *name)
{
    char *value = getenv(name);
    if (value) {
        log_hide(value);
        explicit_bzero(value, strlen(value));
    }
    unsetenv(name);
}

/* 0, or 2 after saying what is wrong with the words themselves; nothing is touched yet. */
static int check(const struct command *command, const struct connect_options *given,
                 const char *const *ids, size_t count, const char *token)
{
    for (size_t i = 1; i < count; i++) {
        size_t length = strlen(ids[i]);
        if (length > 4 && strcmp(ids[i] + length - 4, ".lua") == 0)
            return options_complain(command,
                                    "%s is not a workspace id; a script is given as --script %s",
                                    ids[i], ids[i]);
    }
    if (count == 0)
        return options_complain(command,
                                "missing workspace id: molecule connect <workspace-id> --script "
                                "agent.lua");
    for (size_t i = 0; i < count; i++) {
        char *problem = connect_find_problem(given, ids[i]);
        if (problem)
            options_complain(command, "%s", problem);
        free(problem);
        if (problem)
            return 2;
        for (size_t j = 0; j < i; j++)
            if (strcasecmp(ids[i], ids[j]) == 0)
                return options_complain(command, "%s is given twice", ids[i]);
    }
    if (count > 1 && token)
        return options_complain(
            command,
            "a token is of one workspace, but there are %zu ids: give --token-file tokens/{id}, "
            "where {id} stands for the id",
            count);
    if (count > 1 && given->token_file && !strstr(given->token_file, "{id}") &&
        !strstr(given->token_file, "%s"))
        return options_complain(
            command,
            "--token-file %s is of one workspace, but there are %zu ids: write {id} where the id "
            "belongs, as in tokens/{id}",
            given->token_file, count);
    return 0;
}

static struct attached *attach(const struct connect_options *given, const char *const *ids,
                               size_t count, const char *state_directory, const char *token)
{
    struct attached *attached = memory_allocate(count * sizeof *attached);
    for (size_t i = 0; i < count; i++) {
        attached[i].id = memory_copy_text(ids[i]);
        platform_normalise_id(attached[i].id); /* as it will stand in the log */
        attached[i].token_file = connect_token_path(given->token_file, attached[i].id);
        attached[i].workspace = connect_workspace(given, attached[i].id, state_directory, token,
                                                  attached[i].token_file);
    }
    return attached;
}

static void free_attached(struct attached *attached, size_t count)
{
    for (size_t i = 0; attached && i < count; i++) {
        free(attached[i].id);
        free(attached[i].token_file);
    }
    free(attached);
}

/* A line end of the file it came from is not part of it. NULL after saying what is wrong with it.
 */
static char *take_token(const struct command *command, const char *given, bool typed)
{
    const char *wrong;
    char *token = connect_take_token(given, &wrong);
    log_hide(token);
    if (!token)
        options_complain(command, "the token of %s %s",
                         typed ? "--token" : "MOLECULE_WORKSPACE_TOKEN", wrong);
    return token;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct connect_options given = {0};
    const char *ids[IDS_MAXIMUM];
    size_t count = 0;
    int code = 2;
    char *state_directory = NULL, *token = NULL;
    struct attached *attached = NULL;
    signal(SIGHUP, SIG_IGN); /* until the host has its own handler */
    enum options_result parsed = options_parse(command, argc, argv, &given, ids, &count);
    if (parsed != OPTIONS_PARSED) {
        code = parsed == OPTIONS_HELP ? 0 : 2;
        goto cleanup;
    }
    if (!given.dry_run)
        output_divert();
    log_hide(given.token);
    bool token_typed = was_typed(argc, argv, "--token");
    /* a flag beats the environment */
    if (given.token && (token_typed || !was_typed(argc, argv, "--token-file"))) {
        token = take_token(command, given.token, token_typed);
        if (!token)
            goto cleanup;
    }
    if (token_typed && given.token) /* not for the process list any longer than it must be */
        explicit_bzero((char *)given.token, strlen(given.token));
    connect_wipe_variable("MOLECULE_WORKSPACE_TOKEN"); /* nor for the script and its commands */
    if (check(command, &given, ids, count, token) != 0)
        goto cleanup;
    state_directory = local_state_directory(given.state_directory);
    if (!state_directory)
        goto cleanup;
    attached = attach(&given, ids, count, state_directory, token);
    if (token_typed)
        log_warn(attached[0].id, "--token on the command line was readable by others on this "
                                 "machine; MOLECULE_WORKSPACE_TOKEN "
                                 "or --token-file is better");
    code = start(command, &given, attached, count);

cleanup:
    options_free(command, &given);
    free_attached(attached, count);
    free(state_directory);
    memory_wipe(token);
    return code;
}

const struct command command_connect = {
    .name = "connect",
    .usage = "<workspace-id>... (--script FILE | --backend NAME) [options]",
    .summary = "attach this machine to a workspace and answer its messages",
    .description = "Registers the workspace, sends heartbeats, fetches its inbox, hands each "
                   "message to the script, posts\n"
                   "the script's reply, and remembers how far it got. Needs no public address. "
                   "Runs until SIGTERM or\n"
                   "Ctrl-C. With several ids, one process serves them all with the same script.\n\n"
                   "Exit codes: 0 stopped on request, 1 failed, 2 wrong usage or the script does "
                   "not load, 75 the script\n"
                   "is stuck and the process should be restarted, 77 the platform rejects the "
                   "workspace's credentials.",
    .examples =
        "  molecule connect 7f1d0c9e-… --script agent.lua --api-url https://acme.example.com\n"
        "  molecule connect 7f1d0c9e-… --backend exec --backend-opt cmd='tr a-z A-Z'\n"
        "  molecule connect 7f1d0c9e-… --backend mock --backend-opt reply='you said: %s'",
    .options = options,
    .positional_maximum = IDS_MAXIMUM,
    .run = run,
};
