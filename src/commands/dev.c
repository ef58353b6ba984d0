/* molecule dev: the emulator, alone or with a script connected to it through real HTTP. */
#include "commands/commands.h"
#include "commands/connect_options.h"
#include "commands/dev_emulator.h"
#include "commands/dev_host.h"
#include "commands/dev_hosted.h"
#include "commands/dev_keep.h"
#include "commands/dev_options.h"
#include "commands/dev_say.h"
#include "commands/dev_terminal.h"
#include "commands/init.h"
#include "commands/secrets.h"
#include "commands/serve_agents.h"
#include "commands/temporary.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/output.h"
#include "base/terminal.h"
#include "base/uuid.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct option options[] = {
#define X(...) OPTION_ROW(struct dev_options, __VA_ARGS__),
    DEV_OPTIONS(X)
#undef X
#define MOLECULE_OPTION(type, member, ...) \
    OPTION_ROW(struct dev_options, type, workspace.member, __VA_ARGS__),
#define MOLECULE_HOST_OPTION(type, member, ...) \
    OPTION_ROW(struct dev_options, type, host.member, __VA_ARGS__),
#include "molecule/options.def"
};

static const struct option_note standards[] = {
    {.name = "interval-ms", .text = "200"},
    {.name = "drain", .text = "5s"},
    {.name = NULL},
};

#define OWN_PLATFORM "dev runs its own platform; to connect to another one use molecule connect"
#define OWN_TOKEN "dev gets its token from its own platform; a token is for molecule connect"

static const struct option_note elsewhere[] = {
    {.name = "api-url", .text = OWN_PLATFORM},
    {.name = "insecure-http", .text = OWN_PLATFORM},
    {.name = "public-url", .text = "dev is for this machine; a public URL is for molecule serve"},
    {.name = "token", .text = OWN_TOKEN},
    {.name = "token-file", .text = OWN_TOKEN},
    {.name = "bootstrap", .text = OWN_TOKEN},
    {.name = "watch", .text = "dev always reloads a script that changes; leave it out"},
    {.name = "replay-check", .text = "dev always checks that; leave it out"},
    {.name = "workers", .text = "dev serves one workspace; leave it out"},
    {.name = "dry-run", .text = "molecule connect --dry-run checks a script without running it"},
    {.name = NULL},
};

/* The emulator, and the process that is connected to it. */
struct session {
    struct dev_emulator emulator;
    struct dev_host host;
};

/* The same at every run with the same script. Yours to free. */
static char *lasting_id(const struct molecule_workspace_options *workspace)
{
    char id[UUID_TEXT_SIZE], *path = workspace->script ? realpath(workspace->script, NULL) : NULL;
    char *name = memory_format("molecule dev %s", path                ? path
                                                  : workspace->script ? workspace->script
                                                                      : workspace->backend);
    uuid_of_name(name, id);
    free(name);
    free(path);
    return memory_copy_text(id);
}

static void on_reported(void *context, const struct molecule_event *event)
{
    dev_terminal_event(((struct session *)context)->emulator.terminal, event);
}

static void on_reply(void *context, const char *row_id, uint64_t digest, size_t length)
{
    dev_terminal_reply(((struct session *)context)->emulator.terminal, row_id, digest, length);
}

static void on_changed(void *context, bool running, const char *why)
{
    dev_emulator_tell_host(&((struct session *)context)->emulator, running, why);
}

static int run_host(struct session *session, const struct dev_options *given)
{
    const struct dev_host_orders *orders = &session->host.orders;
    dev_say_how(orders,
                given->workspace.script ? given->workspace.script : given->workspace.backend,
                dev_is_pushed(given), given->on_terminal);
    dev_terminal_start(session->emulator.terminal, &session->emulator.thread,
                       session->emulator.emulator);
    if (given->open)
        dev_show_page(orders->url);
    int code = dev_host_run(&session->host);
    dev_terminal_stop(session->emulator.terminal);
    return code;
}

static int connect_script(struct session *session, const struct dev_options *given,
                          const struct emulator_options *settings)
{
    char problem[256];
    struct dev_host *host = &session->host;
    if (!dev_host_open(host, problem, sizeof problem)) {
        terminal_print(stderr, "molecule dev: %s\n", problem);
        return 1;
    }
    int code = 1;
    if (dev_emulator_open(&session->emulator, settings)) {
        char *url = memory_format("http://127.0.0.1:%u", emulator_port(session->emulator.emulator));
        char *served_as = serve_id_of(settings->script ? settings->script
                                                       : given->workspace.backend);
        host->orders = (struct dev_host_orders){
            .url = url,
            .workspace_id = settings->workspace,
            .state_directory = session->emulator.state_directory,
            .script = settings->script,
            .served_as = settings->serves ? served_as : NULL,
        };
        code = run_host(session, given);
        free(served_as);
        free(url);
        dev_emulator_close(&session->emulator);
    }
    dev_host_close(host);
    return code;
}

static int run_with_script(const struct dev_options *given, struct emulator_options *settings,
                           char **argv)
{
    struct dev_keep keep = {0};
    if (given->keep && !dev_keep_open(&keep, given->keep))
        return 1;
    const char *kept = given->state_directory ? given->state_directory : keep.state;
    char *made = kept ? NULL : temporary_create("dev");
    if (!kept && !made)
        return 1;
    char random[UUID_TEXT_SIZE], *lasting = kept ? lasting_id(&given->workspace) : NULL;
    uuid_random(random);
    settings->workspace = given->workspace_id ? given->workspace_id : lasting ? lasting : random;
    settings->script = given->workspace.script;
    settings->keep = keep.session;
    settings->push = dev_is_pushed(given);
    settings->serves = given->listen_count > 0;
    struct session session = {
        .emulator = {.terminal = dev_terminal_open(),
                     .host = &session.host,
                     .state_directory = made ? made : kept,
                     .workspace_id = settings->workspace,
                     .brief = given->on_terminal},
        .host = {.argv = argv,
                 .report = {.event = on_reported, .reply = on_reply, .context = &session},
                 .changed = on_changed,
                 .context = &session},
    };
    int code = connect_script(&session, given, settings);
    dev_terminal_close(session.emulator.terminal);
    if (made)
        temporary_remove(made);
    free(made);
    free(lasting);
    dev_keep_close(&keep);
    return code;
}

static int check_values(const struct command *command, const struct dev_options *given)
{
    const struct dev_clients clients = dev_clients_of(given);
    char *problem = connect_find_problem(
        &given->workspace,
        given->workspace_id ? given->workspace_id : "00000000-0000-4000-8000-000000000000");
    if (!problem)
        problem = dev_clients_problem(&clients);
    int code = problem ? options_complain(command, "%s", problem) : 0;
    free(problem);
    return code == 0 ? secrets_check_file(command, clients.token_file, "tokens") : code;
}

static int check(const struct command *command, const struct dev_options *given)
{
    const struct molecule_workspace_options *workspace = &given->workspace;
    const char *answers = workspace->script    ? workspace->script
                          : workspace->backend ? "--backend"
                                               : NULL;
    const char *needless = answers                   ? answers
                           : given->open             ? "--open"
                           : given->keep             ? "--keep"
                           : dev_is_pushed(given)    ? "--mode push"
                           : given->listen_count > 0 ? "--listen"
                           : given->auth_token_file  ? "--auth-token-file"
                                                     : NULL;
    if (given->headless)
        return needless ? options_complain(command, "--headless runs the emulator alone; remove %s",
                                           needless)
                        : 0;
    if (!answers)
        return options_complain(
            command,
            "no script given, and no agent.lua here; pass FILE, --backend NAME or --headless for "
            "the emulator alone, or write one with molecule init");
    if (given->workspace_id && !uuid_valid(given->workspace_id))
        return options_complain(command,
                                "--workspace takes a UUID, as the platform's ids are; got \"%s\"",
                                given->workspace_id);
    if (given->listen_count > 0 && dev_is_pushed(given))
        return options_complain(command,
                                "--listen is for A2A clients, and --mode push has a server for the "
                                "platform; use one of them");
    return check_values(command, given);
}
static int start(const struct dev_options *given, int argc, char **argv)
{
    struct emulator_options settings = {
        .port = (uint16_t)given->port,
        .profile = given->profile,
        .org_id = given->org_id,
        .admin_token = given->admin_token,
        .rate_limit = (int)given->rate_limit,
        .stale_seconds = (double)given->stale_seconds,
    };
    if (given->headless)
        return dev_emulator_run(&settings);
    char **arguments = memory_allocate(((size_t)argc + 3) * sizeof *arguments);
    arguments[0] = (char *)"molecule";
    arguments[1] = (char *)command_dev.name;
    memcpy(arguments + 2, argv, (size_t)argc * sizeof *argv);
    int code = run_with_script(given, &settings, arguments);
    free(arguments);
    return code;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct dev_options given = {0};
    struct dev_host_orders orders = {0};
    const char *script = NULL;
    size_t count;
    int report_fd;
    bool is_host = dev_host_is_one(&orders, &report_fd);
    enum options_result parsed = options_parse(command, argc, argv, &given, &script, &count);
    int code = parsed == OPTIONS_HELP ? 0 : 2;
    if (is_host)
        script = given.workspace.script ? NULL : orders.script;
    else if (parsed == OPTIONS_PARSED && !script && !given.headless && !given.workspace.script &&
             !given.workspace.backend)
        script = init_find_agent();
    given.on_terminal = isatty(STDOUT_FILENO); /* not any more afterwards */
    output_divert();
    char problem[256];
    if (parsed == OPTIONS_PARSED &&
        !limits_allow_files(LIMITS_FILES_LEAST, problem, sizeof problem)) {
        terminal_print(stderr, "molecule dev: %s\n", problem);
        code = 1;
    } else if (parsed == OPTIONS_PARSED && connect_take_script(command, &given.workspace, script) &&
               check(command, &given) == 0) {
        log_set_level(given.host.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
        code = is_host ? dev_hosted_run(&given, &orders, report_fd) : start(&given, argc, argv);
    }
    options_free(command, &given);
    return code;
}

const struct command command_dev = {
    .name = "dev",
    .usage = "[<script> | --backend NAME | --headless] [options]",
    .summary = "run a local emulator of the platform and connect a script to it",
    .description =
        "Runs an emulator of the platform on 127.0.0.1 and connects the script to it through real "
        "HTTP, in\n"
        "a temporary workspace (see --state-dir to keep it). Without a script it takes agent.lua, "
        "or offers to\n"
        "write one. The script is reloaded whenever it or a file it requires changes; if the new "
        "version does\n"
        "not load, the old one stays. With --mode push the emulator posts messages to the script's "
        "host instead\n"
        "of being polled; what one sees stays the same. With --listen the script answers A2A "
        "clients, too.\n\n"
        "The playground, a web page, shows the conversation and what happened to each message; "
        "--open opens it.\n"
        "The terminal shows the conversation, too: each message, its reply, its outcome and how "
        "long it "
        "took. Each\n"
        "line you type is a message from the human in the canvas. Commands: /file PATH [TEXT] "
        "sends a file,\n"
        "/as NAME speaks as a peer of that name (/as canvas: as the human again), /help, /quit.\n"
        "Input may be a pipe; at its end, dev exits once every line has an outcome. With no input "
        "at all, as\n"
        "from /dev/null or an empty pipe, it runs until stopped.\n\n"
        "With --headless the emulator runs alone. Create workspaces, which are siblings and may "
        "talk to each\n"
        "other, and connect to them with\n"
        "  curl -s http://127.0.0.1:8080/__emulator/workspaces --json '{\"name\":\"agent\"}'\n"
        "  molecule connect <its id> --bootstrap --api-url http://127.0.0.1:8080 --script "
        "agent.lua\n"
        "Requests under /__emulator/ control it: messages, faults, state (see "
        "lua/molecule/emulator/control.lua).\n\n"
        "Exit codes: the same as molecule connect.",
    .examples = "  molecule dev agent.lua\n"
                "  echo hello | molecule dev agent.lua\n"
                "  molecule dev --backend mock --port 0\n"
                "  molecule dev agent.lua --mode push\n"
                "  molecule dev agent.lua --listen 127.0.0.1:8090\n"
                "  molecule dev --headless --port 8080 --profile t1",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .elsewhere = elsewhere,
    .standards = standards,
    .positional_maximum = 1,
    .run = run,
};
