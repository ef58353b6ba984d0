/* molecule serve: scripts as A2A servers. */
#include "commands/commands.h"
#include "commands/config_reload.h"
#include "commands/connect_options.h"
#include "commands/fleet_limits.h"
#include "commands/local_state.h"
#include "commands/secrets.h"
#include "commands/serve_agents.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/output.h"
#include "base/terminal.h"
#include "molecule/molecule.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define SCRIPTS_MAXIMUM 256
#define NO_PLATFORM "molecule serve has no platform"

/* Lines like those of include/molecule/options.def. */
#define SERVE_OPTIONS(X)                                                                     \
    X(PAIRS, virtual_host, "virtual-host",                                                   \
      "serve the agent K at the host V alone: billing=billing.example.org, or with a path: " \
      "billing=example.org/billing; others stay at every host; repeatable",                  \
      .key = "virtual_hosts")

struct serve_options {
    struct molecule_serve_options serve;
    struct molecule_workspace_options workspace;
    struct molecule_options host;
#define MOLECULE_CONFIG_OPTION MOLECULE_MEMBER
#include "molecule/options.def"
    SERVE_OPTIONS(MOLECULE_MEMBER)
};

static const struct option options[] = {
#define MOLECULE_SERVE_OPTION(type, member, ...) \
    OPTION_ROW(struct serve_options, type, serve.member, __VA_ARGS__),
#define MOLECULE_LISTEN_OPTION MOLECULE_SERVE_OPTION
#include "molecule/options.def"
#define X(...) OPTION_ROW(struct serve_options, __VA_ARGS__),
    SERVE_OPTIONS(X)
#undef X
#define MOLECULE_OPTION(type, member, ...) \
    OPTION_ROW(struct serve_options, type, workspace.member, __VA_ARGS__),
#define MOLECULE_HOST_OPTION(type, member, ...) \
    OPTION_ROW(struct serve_options, type, host.member, __VA_ARGS__),
#define MOLECULE_SERVICE_OPTION MOLECULE_HOST_OPTION
#define MOLECULE_CONFIG_OPTION(...) OPTION_ROW(struct serve_options, __VA_ARGS__),
#include "molecule/options.def"
};

static const struct option_note elsewhere[] = {
    {.name = "api-url", .text = NO_PLATFORM},
    {.name = "insecure-http", .text = NO_PLATFORM},
    {.name = "mode", .text = NO_PLATFORM},
    {.name = "answer-within", .text = "a client waits as long as it likes"},
    {.name = "token", .text = NO_PLATFORM "; --auth-token-file says who may ask"},
    {.name = "token-file", .text = NO_PLATFORM "; --auth-token-file says who may ask"},
    {.name = "bootstrap", .text = NO_PLATFORM},
    {.name = "org-id", .text = NO_PLATFORM},
    {.name = "interval-ms", .text = NO_PLATFORM},
    {.name = "reset-state", .text = NO_PLATFORM},
    {.name = "wake", .text = NO_PLATFORM},
    {.name = "heartbeat-ms", .text = NO_PLATFORM},
    {.name = "since-secs", .text = NO_PLATFORM},
    {.name = "register-attempts", .text = NO_PLATFORM},
    {.name = "refusal-patience", .text = NO_PLATFORM},
    {.name = "allow-from", .text = NO_PLATFORM "; --auth-token-file says who may ask"},
    {.name = "allow-file-host", .text = NO_PLATFORM},
    {.name = "max-pending", .text = NO_PLATFORM},
    {.name = "max-pending-bytes", .text = NO_PLATFORM},
    {.name = "max-hops", .text = NO_PLATFORM},
    {.name = "breaker", .text = NO_PLATFORM},
    {.name = "dry-run", .text = "molecule check finds mistakes in a script without running it"},
    {.name = "check", .text = "molecule check finds mistakes in a script without running it"},
    {.name = NULL},
};

static void fill(struct served *served, const struct serve_options *given, const char *script,
                 bool alone, const char *state_directory)
{
    served->workspace = given->workspace;
    served->id = serve_id_of(script ? script : given->workspace.backend);
    served->path = alone ? NULL : memory_join("/", served->id);
    if (script)
        served->workspace.script = script;
    served->workspace.id = served->id;
    served->workspace.serve = true;
    served->workspace.state_directory = state_directory;
}

/* 0, or 2 after saying what is wrong. */
static int check_agents(const struct command *command, const struct served *served, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *problem = connect_find_problem(&served[i].workspace,
                                             "00000000-0000-4000-8000-000000000000");
        int code = problem ? options_complain(command, "%s", problem) : 0;
        free(problem);
        if (code != 0)
            return code;
    }
    return serve_check_places(command, served, count);
}

static enum molecule_result add_all(struct molecule *molecule, const struct served *served,
                                    size_t count)
{
    char problem[1024];
    enum molecule_result first = MOLECULE_STOPPED;
    for (size_t i = 0; i < count && first == MOLECULE_STOPPED; i++) {
        first = molecule_add(molecule, &served[i].workspace, problem, sizeof problem);
        if (first != MOLECULE_STOPPED)
            log_error(LOG_WORKSPACE_NOT_STARTED, served[i].id, "%s", problem);
    }
    return first == MOLECULE_STOPPED ? molecule_run(molecule) : first;
}

static int serve(const struct command *command, const struct serve_options *given,
                 const struct options_sources *sources, const struct served *served, size_t count)
{
    char problem[1024];
    struct config_reload config = {
        .command = command, .sources = sources, .values = given, .size = sizeof *given};
    struct molecule_options settings = given->host;
    settings.handle_signals = true;
    settings.on_reload = config_on_reload;
    settings.context = &config;
    settings.workers = fleet_workers(settings.workers, count);
    fleet_raise_limit_for(given->serve.max_connections);
    struct molecule *molecule = molecule_open(&settings, problem, sizeof problem);
    if (!molecule) {
        terminal_print(stderr, "molecule %s: %s\n", command->name, problem);
        return MOLECULE_FAILED;
    }
    enum molecule_result result = MOLECULE_FAILED;
    config.molecule = molecule;
    if (molecule_serve(molecule, &given->serve, false, problem, sizeof problem))
        result = add_all(molecule, served, count);
    else
        terminal_print(stderr, "molecule %s: %s\n", command->name, problem);
    config_reload_abandon(&config);
    molecule_close(molecule);
    return (int)result;
}

static void set_places(struct served *served, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        served[i].workspace.serve_path = served[i].path;
        served[i].workspace.serve_host = served[i].host;
    }
}

static int run_all(const struct command *command, const struct serve_options *given,
                   const struct options_sources *sources, const char *const *scripts, size_t count)
{
    size_t agents = count > 0 ? count : 1;
    if (count == 0 && !given->workspace.script && !given->workspace.backend)
        return options_complain(command, "no script given: molecule serve agent.lua --no-auth");
    if (count > 0 && (given->workspace.script || given->workspace.backend))
        return options_complain(command, "scripts stand alone, without --script and --backend");
    char *state_directory = local_state_directory(given->workspace.state_directory);
    if (!state_directory)
        return 2;
    struct served *served = memory_allocate(agents * sizeof *served);
    for (size_t i = 0; i < agents; i++)
        fill(&served[i], given, count > 0 ? scripts[i] : given->workspace.script, agents == 1,
             state_directory);
    int code = serve_take_hosts(command, sources, given->virtual_hosts, given->virtual_host_count,
                                served, agents);
    if (code == 0)
        code = check_agents(command, served, agents);
    set_places(served, agents);
    if (code == 0)
        code = serve(command, given, sources, served, agents);
    for (size_t i = 0; i < agents; i++) {
        free(served[i].host);
        free(served[i].id);
        free(served[i].path);
    }
    free(served);
    free(state_directory);
    return code;
}

/* The host checks all options, also those that this command does not have. */
static void set_other_defaults(struct serve_options *given)
{
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        for (const struct option_note *note = elsewhere; note->name; note++)
            if (options[i].standard && strcmp(options[i].name, note->name) == 0)
                option_set(&options[i], options[i].standard, given);
}

/* Scripts that stand alone take the place of what the config file says. */
static void drop_answerer_of_file(const struct command *command, struct serve_options *given,
                                  struct options_sources *sources)
{
    if (options_origins(command, sources, "script") == OPTION_FROM_FILE)
        given->workspace.script = NULL;
    if (options_origins(command, sources, "backend") == OPTION_FROM_FILE) {
        given->workspace.backend = NULL;
        option_free(options_find(command, "backend-opt"), given);
    }
    static const char *const answerers[] = {"script", "backend", "backend-opt"};
    for (size_t i = 0; i < sizeof answerers / sizeof *answerers; i++)
        sources->of[options_find(command, answerers[i]) - command->options].origins =
            OPTION_FROM_FLAG;
}

/* The log, and files with secrets. 0, or 2 after saying what is wrong. */
static int prepare(const struct command *command, struct serve_options *given,
                   const struct options_sources *sources, char **credential)
{
    char problem[512];
    bool asks = !given->serve.no_auth && !given->serve.insecure_no_auth;
    if (!molecule_open_log(&given->host, problem, sizeof problem))
        return options_complain(command, "%s", problem);
    if (asks && !given->serve.auth_token_file)
        given->serve.auth_token_file = *credential = secrets_credential("auth-tokens");
    int code = secrets_check_config(command, sources);
    if (code == 0 && asks)
        code = secrets_check_file(command, given->serve.auth_token_file, "tokens");
    return code;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct serve_options given = {0};
    struct options_sources sources;
    const char *scripts[SCRIPTS_MAXIMUM];
    char *credential = NULL;
    size_t count = 0;
    signal(SIGHUP, SIG_IGN); /* until the host has its own handler */
    enum options_result parsed = options_parse_with_file(command, argc, argv, &given, scripts,
                                                         &count, &sources);
    int code = parsed == OPTIONS_HELP ? 0 : 2;
    if (parsed == OPTIONS_PARSED) {
        output_divert();
        set_other_defaults(&given);
        if (count > 0)
            drop_answerer_of_file(command, &given, &sources);
        code = prepare(command, &given, &sources, &credential);
        if (code == 0)
            code = run_all(command, &given, &sources, scripts, count);
    }
    options_free(command, &given);
    options_free_sources(&sources);
    free(credential);
    return code;
}

const struct command command_serve = {
    .name = "serve",
    .group = COMMAND_RUN,
    .usage = "<script>... | --backend NAME (--auth-token-file FILE | --no-auth) [options]",
    .summary = "let A2A clients ask a script, without a platform",
    .description =
        "An A2A server (Agent2Agent protocol): version 1.0 and 0.3, JSON-RPC and HTTP+JSON on one "
        "URL, with\n"
        "streams, tasks that survive restarts, and push notifications. The agent card is at\n"
        "/.well-known/agent-card.json. Each message is handed to the script as molecule connect "
        "does it: the\n"
        "same order, retries, steps, questions and dead letters. Several scripts are served under "
        "paths, each\n"
        "at /NAME, or at hosts (--virtual-host). TLS is a proxy's business: docs/serve.md.\n\n"
        "Exit codes: 0 stopped on request, 1 failed, 2 wrong usage or the script does not load, "
        "75 the script\n"
        "is stuck and the process should be restarted.",
    .examples = "  molecule serve agent.lua --no-auth\n"
                "  molecule serve agent.lua --listen 0.0.0.0:8090 --auth-token-file tokens \\\n"
                "      --public-url https://agent.example.com\n"
                "  molecule serve billing.lua search.lua --no-auth\n"
                "  molecule serve billing.lua search.lua --auth-token-file tokens \\\n"
                "      --virtual-host billing=billing.example.org \\\n"
                "      --virtual-host search=search.example.org",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .elsewhere = elsewhere,
    .positional_maximum = SCRIPTS_MAXIMUM,
    .run = run,
};
