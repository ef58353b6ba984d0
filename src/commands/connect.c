/* molecule connect: options -> a host with one workspace, or several with the same options. */
#include "commands/check.h"
#include "commands/commands.h"
#include "commands/config_reload.h"
#include "commands/connect_options.h"
#include "commands/fleet_limits.h"
#include "commands/secrets.h"

#include "base/secret_file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/output.h"
#include "base/terminal.h"
#include "commands/local_state.h"
#include "molecule/molecule.h"
#include "wire/platform.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define IDS_MAXIMUM 1024

static const struct option options[] = {
#define MOLECULE_OPTION(type, member, ...) \
    OPTION_ROW(struct connect_options, type, workspace.member, __VA_ARGS__),
#define MOLECULE_HOST_OPTION(type, member, ...) \
    OPTION_ROW(struct connect_options, type, host.member, __VA_ARGS__),
#define MOLECULE_SERVICE_OPTION MOLECULE_HOST_OPTION
#define MOLECULE_COMMAND_OPTION(...) OPTION_ROW(struct connect_options, __VA_ARGS__),
#define MOLECULE_CONFIG_OPTION MOLECULE_COMMAND_OPTION
#define MOLECULE_LISTEN_OPTION(type, member, ...) \
    OPTION_ROW(struct connect_options, type, serve.member, __VA_ARGS__),
#include "molecule/options.def"
};

/* What belongs to one of the workspaces. */
struct attached {
    char *id, *token_file;
    struct molecule_workspace_options workspace;
    struct molecule_serve_options serve;
};

static bool is_pushed(const struct connect_options *given)
{
    return strcmp(given->mode, "poll") != 0;
}

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
        log_error(LOG_WORKSPACE_NOT_STARTED, attached[i].id,
                  count > 1 ? "%s; the others continue" : "%s", problem);
        first = first == MOLECULE_STOPPED ? result : first;
    }
    return serves ? molecule_run(molecule) : first;
}

static int check_all(const struct connect_options *given, const struct attached *attached,
                     size_t count)
{
    const struct molecule_workspace_options **workspaces = memory_allocate(count *
                                                                           sizeof *workspaces);
    for (size_t i = 0; i < count; i++)
        workspaces[i] = &attached[i].workspace;
    /* the script is the same for all */
    int code = check_workspaces(workspaces, given->online ? count : 1, given->online,
                                given->host.ca_file);
    free(workspaces);
    return code;
}

static int start(const struct command *command, const struct connect_options *given,
                 const struct options_sources *sources, struct attached *attached, size_t count)
{
    char problem[1024];
    struct config_reload config = {
        .command = command, .sources = sources, .values = given, .size = sizeof *given};
    if (given->check)
        return check_all(given, attached, count);
    struct molecule_options settings = given->host;
    settings.handle_signals = true;
    settings.fleet = count > 1;
    settings.on_reload = config_on_reload;
    settings.context = &config;
    settings.workers = fleet_workers(settings.workers, count);
    if (given->dry_run)
        settings.metrics = NULL; /* the service may be running */
    struct molecule *molecule = molecule_open(&settings, problem, sizeof problem);
    if (!molecule) {
        terminal_print(stderr, "molecule %s: %s\n", command->name, problem);
        return MOLECULE_FAILED;
    }
    enum molecule_result result = MOLECULE_STOPPED;
    config.molecule = molecule;
    if (given->dry_run) {
        for (size_t i = 0; i < count && result == MOLECULE_STOPPED; i++)
            result = molecule_rehearse(molecule, &attached[i].workspace);
    } else {
        if (count > 1)
            fleet_raise_limit(count);
        struct molecule_serve_options *serve = &attached->serve;
        molecule_serve_defaults(serve); /* those of molecule serve alone, too */
        serve->listens = given->serve.listens;
        serve->listen_count = given->serve.listen_count;
        serve->public_url = given->serve.public_url;
        serve->trust_proxy = given->serve.trust_proxy;
        serve->max_body = given->serve.max_body;
        serve->max_connections = given->serve.max_connections;
        if (!is_pushed(given) || molecule_serve(molecule, serve, true, problem, sizeof problem)) {
            result = add_all(molecule, attached, count);
        } else {
            terminal_print(stderr, "molecule %s: %s\n", command->name, problem);
            result = MOLECULE_FAILED;
        }
    }
    config_reload_abandon(&config);
    molecule_close(molecule);
    return (int)result;
}

/* 0, or 2 after saying what is wrong. */
static int check_mode(const struct command *command, const struct connect_options *given,
                      const struct options_sources *sources, size_t count)
{
    /* those of the config file are for molecule serve, too */
    unsigned typed = OPTION_FROM_FLAG & (options_origins(command, sources, "public-url") |
                                         options_origins(command, sources, "listen"));
    bool known = !is_pushed(given) || strcmp(given->mode, "push") == 0 ||
                 strcmp(given->mode, "auto") == 0;
    const char *url = given->serve.public_url;
    if (!known)
        return options_complain(command, "--mode is poll, push or auto; got \"%s\"", given->mode);
    if (!is_pushed(given) && typed)
        return options_complain(command, "--listen and --public-url belong to --mode push or auto");
    if (is_pushed(given) && !url)
        return options_complain(command,
                                "--mode %s needs --public-url: the URL at which the platform "
                                "reaches this machine, as https://agent.example.com",
                                given->mode);
    if (is_pushed(given) && (strchr(url, '?') || strchr(url, '#')))
        return options_complain(command, "--public-url must have no query: the platform appends "
                                         "paths to it");
    if (is_pushed(given) && count > 1)
        return options_complain(command, "--mode %s is for one workspace", given->mode);
    return 0;
}

/* 0, or 2 after saying what is wrong with the words themselves; nothing is touched yet. */
static int check(const struct command *command, const struct connect_options *given,
                 const struct options_sources *sources, const char *const *ids, size_t count,
                 const char *token)
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
    int wrong = check_mode(command, given, sources, count);
    if (wrong)
        return wrong;
    for (size_t i = 0; i < count; i++) {
        char *problem = connect_find_problem(&given->workspace, ids[i]);
        if (problem)
            options_complain(command, "%s", problem);
        free(problem);
        if (problem)
            return 2;
        for (size_t j = 0; j < i; j++)
            if (strcasecmp(ids[i], ids[j]) == 0)
                return options_complain(command, "%s is given twice", ids[i]);
    }
    if (given->online && !given->check)
        return options_complain(command, "--online belongs to --check");
    if (count > 1 && token)
        return options_complain(command,
                                "a token belongs to one workspace, but there are %zu ids: give "
                                "--token-file tokens/{id}, "
                                "where {id} stands for the id",
                                count);
    if (count > 1 && given->workspace.token_file && !strstr(given->workspace.token_file, "{id}") &&
        !strstr(given->workspace.token_file, "%s"))
        return options_complain(command,
                                "--token-file %s belongs to one workspace, but there are %zu ids: "
                                "write {id} where the id belongs, as in tokens/{id}",
                                given->workspace.token_file, count);
    return 0;
}

static struct attached *attach(const struct connect_options *given, const char *const *ids,
                               size_t count, const char *state_directory, const char *token)
{
    struct attached *attached = memory_allocate(count * sizeof *attached);
    for (size_t i = 0; i < count; i++) {
        attached[i].id = memory_copy_text(ids[i]);
        platform_normalise_id(attached[i].id); /* as the log will show it */
        attached[i].token_file = connect_token_path(given->workspace.token_file, attached[i].id);
        if (!token && !attached[i].token_file)
            attached[i].token_file = secrets_token_credential(attached[i].id, count == 1);
        attached[i].workspace = given->workspace;
        attached[i].workspace.id = attached[i].id;
        attached[i].workspace.state_directory = state_directory;
        attached[i].workspace.token = token;
        attached[i].workspace.token_file = attached[i].token_file;
        attached[i].workspace.push = is_pushed(given);
        attached[i].workspace.push_or_poll = strcmp(given->mode, "auto") == 0;
        attached[i].workspace.public_url = is_pushed(given) ? given->serve.public_url : NULL;
        attached[i].workspace.answer_within_ms = given->answer_within;
        attached[i].workspace.push_unauthenticated = given->serve.insecure_no_auth;
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

/* Without the line end of the file it came from. NULL after saying what is wrong with it. */
static char *take_token(const struct command *command, const char *given,
                        const struct options_sources *sources)
{
    const char *wrong;
    unsigned origins = options_origins(command, sources, "token");
    char *token = connect_take_token(given, &wrong);
    log_hide(token);
    if (!token)
        options_complain(command, "the token of %s %s",
                         origins & OPTION_FROM_FLAG          ? "--token"
                         : origins & OPTION_FROM_ENVIRONMENT ? "MOLECULE_WORKSPACE_TOKEN"
                                                             : sources->path,
                         wrong);
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
    struct options_sources sources;
    signal(SIGHUP, SIG_IGN); /* until the host has its own handler */
    enum options_result parsed = options_parse_with_file(command, argc, argv, &given, ids, &count,
                                                         &sources);
    if (parsed != OPTIONS_PARSED) {
        code = parsed == OPTIONS_HELP ? 0 : 2;
        goto cleanup;
    }
    if (!given.dry_run && !given.check)
        output_divert();
    char problem[512];
    if (!molecule_open_log(&given.host, problem, sizeof problem)) {
        options_complain(command, "%s", problem);
        goto cleanup;
    }
    const char *typed = given.workspace.token;
    log_hide(typed);
    bool token_typed = options_origins(command, &sources, "token") & OPTION_FROM_FLAG;
    /* a flag beats the environment */
    if (typed &&
        (token_typed || !(options_origins(command, &sources, "token-file") & OPTION_FROM_FLAG))) {
        token = take_token(command, typed, &sources);
        if (!token)
            goto cleanup;
    }
    if (token_typed && typed) /* out of the process list as soon as possible */
        explicit_bzero((char *)typed, strlen(typed));
    secret_wipe_variable("MOLECULE_WORKSPACE_TOKEN"); /* hidden from the script, too */
    if (check(command, &given, &sources, ids, count, token) != 0 ||
        secrets_check_config(command, &sources) != 0)
        goto cleanup;
    state_directory = local_state_directory(given.workspace.state_directory);
    if (!state_directory)
        goto cleanup;
    attached = attach(&given, ids, count, state_directory, token);
    for (size_t i = 0; i < count && !token; i++)
        if (secrets_check_file(command, attached[i].token_file, "a token") != 0)
            goto cleanup;
    if (token_typed)
        log_warn(LOG_TOKEN_ON_COMMAND_LINE, attached[0].id,
                 "--token on the command line was readable by others on this "
                 "machine; MOLECULE_WORKSPACE_TOKEN "
                 "or --token-file is better");
    code = start(command, &given, &sources, attached, count);

cleanup:
    options_free(command, &given);
    options_free_sources(&sources);
    free_attached(attached, count);
    free(state_directory);
    memory_wipe(token);
    return code;
}

const struct command command_connect = {
    .name = "connect",
    .group = COMMAND_RUN,
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
    .option_count = sizeof options / sizeof *options,
    .positional_maximum = IDS_MAXIMUM,
    .run = run,
};
