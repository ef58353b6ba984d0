/* molecule fleet: the workspaces of a file in one process. */
#include "commands/commands.h"

#include "base/secret_file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/output.h"
#include "base/plural.h"
#include "base/terminal.h"
#include "commands/check.h"
#include "commands/fleet.h"
#include "commands/fleet_limits.h"
#include "commands/secrets.h"

#include <signal.h>
#include <stdlib.h>

/* Lines like those of include/molecule/options.def. */
#define FLEET_OPTIONS(X)                                                                     \
    X(PATH, state_directory, "state-dir", "default for workspaces without state_dir",        \
      .argument = "DIR", .environment = "MOLECULE_STATE_DIR")                                \
    X(TEXT, api_url, "api-url", "default for workspaces without api_url", .argument = "URL", \
      .environment = "MOLECULE_API_URL")                                                     \
    X(FLAG, check, "check", "find mistakes in the file and its scripts, and exit")           \
    X(FLAG, online, "online",                                                                \
      "with --check: ask the platforms, too, about their addresses and the tokens")          \
    X(FLAG, dry_run, "dry-run", "read the file, print what would run, and exit")

struct fleet_options {
    FLEET_OPTIONS(MOLECULE_MEMBER)
    struct molecule_options host;
#define MOLECULE_CONFIG_OPTION MOLECULE_MEMBER
#include "molecule/options.def"
};

static const struct option options[] = {
#define X(...) OPTION_ROW(struct fleet_options, __VA_ARGS__),
    FLEET_OPTIONS(X)
#undef X
#define MOLECULE_HOST_OPTION(type, member, ...) \
    OPTION_ROW(struct fleet_options, type, host.member, __VA_ARGS__),
#define MOLECULE_SERVICE_OPTION MOLECULE_HOST_OPTION
#define MOLECULE_CONFIG_OPTION(...) OPTION_ROW(struct fleet_options, __VA_ARGS__),
#include "molecule/options.def"
};

static void print_plan(const struct fleet *fleet)
{
    for (const struct member *member = fleet->plan.members; member; member = member->next) {
        const struct molecule_workspace_options *workspace = &member->options.workspace;
        terminal_print(stdout, "%s  %s %s  api %s  state %s  token %s%s\n", member->id,
                       workspace->script ? "script" : "backend",
                       workspace->script ? workspace->script : workspace->backend,
                       workspace->api_url, member->state_directory,
                       member->token          ? "given"
                       : member->token_file   ? "from "
                       : workspace->bootstrap ? "minted by the platform"
                                              : "kept",
                       member->token_file ? member->token_file : "");
    }
    printf("dry run: %zu workspace%s; nothing was sent, nothing was written\n", fleet->plan.count,
           plural(fleet->plan.count));
}

/* The exit code. */
static int rehearse(const struct fleet *fleet)
{
    char problem[1024];
    int code = 0;
    print_plan(fleet);
    for (const struct member *member = fleet->plan.members; member; member = member->next) {
        if (molecule_check(&member->options.workspace, problem, sizeof problem))
            continue;
        terminal_print(stderr, "molecule fleet: %s: %s\n", member->id, problem);
        code = MOLECULE_USAGE;
    }
    return code;
}

static int check_all(const struct fleet *fleet, const struct fleet_options *given)
{
    size_t count = 0;
    const struct molecule_workspace_options **workspaces = memory_allocate((fleet->plan.count + 1) *
                                                                           sizeof *workspaces);
    for (const struct member *member = fleet->plan.members; member; member = member->next)
        workspaces[count++] = &member->options.workspace;
    int code = check_workspaces(workspaces, count, given->online, given->host.ca_file);
    free(workspaces);
    return code;
}

static enum molecule_result serve(struct fleet *fleet, const struct fleet_options *given)
{
    char problem[1024];
    struct molecule_options settings = given->host;
    settings.handle_signals = true;
    settings.fleet = true;
    settings.workers = fleet_workers(settings.workers, fleet->plan.count);
    settings.on_reload = fleet_on_reload;
    settings.on_ended = fleet_on_ended;
    settings.context = fleet;
    fleet_raise_limit(fleet->plan.count);
    fleet->molecule = fleet->config.molecule = molecule_open(&settings, problem, sizeof problem);
    if (!fleet->molecule) {
        terminal_print(stderr, "molecule fleet: %s\n", problem);
        return MOLECULE_FAILED;
    }
    log_info(LOG_FLEET_STARTED, NULL, "%s: %zu workspace%s, %u worker%s", fleet->path,
             fleet->plan.count, plural(fleet->plan.count), settings.workers,
             plural(settings.workers));
    enum molecule_result first = MOLECULE_STOPPED;
    bool serves = false;
    for (struct member *member = fleet->plan.members; member; member = member->next) {
        enum molecule_result result = fleet_attach(fleet, member);
        first = first == MOLECULE_STOPPED ? result : first;
        serves = serves || member->attached;
    }
    if (serves)
        first = molecule_run(fleet->molecule);
    fleet_abandon_reload(fleet);
    molecule_close(fleet->molecule);
    return first;
}

static int run_file(const struct command *command, const struct fleet_options *given,
                    const struct options_sources *sources, const char *path)
{
    char problem[1024];
    struct fleet fleet = {
        .path = path,
        .defaults = {given->state_directory, given->api_url},
        .config = {.command = command, .sources = sources, .values = given, .size = sizeof *given},
    };
    if (!plan_read(&fleet.plan, path, &fleet.defaults, problem, sizeof problem)) {
        terminal_print(stderr, "molecule fleet: %s\n", problem);
        return MOLECULE_USAGE;
    }
    /* after reading the file, which may have taken it */
    secret_wipe_variable("MOLECULE_WORKSPACE_TOKEN");
    fleet_open(&fleet);
    int code = given->check     ? check_all(&fleet, given)
               : given->dry_run ? rehearse(&fleet)
                                : (int)serve(&fleet, given);
    fleet_close(&fleet);
    return code;
}

static int run_given(const struct command *command, const struct fleet_options *given,
                     const struct options_sources *sources, const char *path)
{
    char problem[1024];
    if (!path)
        return options_complain(command, "missing fleet file: molecule fleet fleet.lua");
    signal(SIGHUP, SIG_IGN); /* until the host has its own handler */
    if (given->online && !given->check)
        return options_complain(command, "--online belongs to --check");
    if (!given->dry_run && !given->check)
        output_divert();
    if (!molecule_open_log(&given->host, problem, sizeof problem))
        return options_complain(command, "%s", problem);
    if (secrets_check_config(command, sources) != 0)
        return MOLECULE_USAGE;
    if (getenv("MOLECULE_WORKSPACE_TOKEN"))
        log_warn(LOG_FLEET_TOKEN_IGNORED, NULL,
                 "MOLECULE_WORKSPACE_TOKEN belongs to one workspace and is ignored by a fleet; to "
                 "use it, write token_env = \"MOLECULE_WORKSPACE_TOKEN\" for that workspace");
    unsetenv("MOLECULE_WORKSPACE_TOKEN_FILE"); /* it belongs to one workspace, as the token does */
    return run_file(command, given, sources, path);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct fleet_options given = {0};
    struct options_sources sources;
    const char *path = NULL;
    size_t count;
    enum options_result parsed = options_parse_with_file(command, argc, argv, &given, &path, &count,
                                                         &sources);
    int code = parsed == OPTIONS_HELP ? 0 : 2;
    if (parsed == OPTIONS_PARSED)
        code = run_given(command, &given, &sources, path);
    options_free(command, &given);
    options_free_sources(&sources);
    return code;
}

const struct command command_fleet = {
    .name = "fleet",
    .group = COMMAND_RUN,
    .usage = "FILE [options]",
    .summary = "attach this machine to many workspaces listed in a file",
    .description = "The file is Lua and returns {defaults = {…}, workspaces = {…}}; each workspace "
                   "has an id and the options\n"
                   "of `molecule connect`, with _ for -. One process serves them all: one thread "
                   "for the network, a pool of\n"
                   "workers for the scripts, a Lua state for each workspace. SIGHUP reloads the "
                   "file: new workspaces start,\n"
                   "removed ones stop, changed ones restart, and the rest reload their scripts.\n\n"
                   "A workspace that fails (exit codes 1, 2 and 77 of `molecule connect`) does not "
                   "stop the others; when all\n"
                   "have ended, the process exits with the first code that is not 0. A stuck "
                   "script ends it with 75.",
    .examples = "  return {\n"
                "    defaults = { script = \"agent.lua\", api_url = \"https://acme.example.com\", "
                "token_file = \"tokens/{id}\" },\n"
                "    workspaces = {\n"
                "      \"7f1d0c9e-…\",\n"
                "      { id = \"b20a31d4-…\", script = \"other.lua\", token_env = \"OTHER_TOKEN\", "
                "concurrency = 4 },\n"
                "    },\n"
                "  }",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .positional_maximum = 1,
    .run = run,
};
