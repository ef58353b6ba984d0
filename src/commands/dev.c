/* molecule dev: the emulator, alone or with a script connected to it through real HTTP. */
#include "commands/commands.h"
#include "commands/connect.h"
#include "commands/connect_options.h"
#include "commands/dev_emulator.h"
#include "commands/dev_terminal.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/output.h"
#include "base/terminal.h"
#include "base/uuid.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct dev_options {
    struct connect_options serving; /* first: rows of CONNECT_… mean it */
    const char *profile, *admin_token, *workspace;
    int64_t port, rate_limit, stale_seconds;
    bool headless;
};

_Static_assert(offsetof(struct dev_options, serving) == 0, "the shared rows' offsets");

#define FIELD(member) offsetof(struct dev_options, member)
#define REMOVE_TRIES 100
#define SINCE_SECS_LEAST 3600 /* all that was ever said to this emulator */

static const struct option options[] = {
    {"port", 'p', OPTION_NUMBER, "N", "8080", NULL,
     "port the emulator listens on, at 127.0.0.1; 0: any free port", FIELD(port), 0, 65535},
    {"profile", 0, OPTION_TEXT, "t1|latest", "latest", NULL, "platform version to emulate",
     FIELD(profile), 0, 0},
    {"headless", 0, OPTION_FLAG, NULL, NULL, NULL, "run the emulator alone, without a script",
     FIELD(headless), 0, 0},
    {"org-id", 0, OPTION_TEXT, "ID", NULL, NULL, "turn on the tenant guard for this organization",
     FIELD(serving.org_id), 0, 0},
    {"admin-token", 0, OPTION_TEXT, "TOKEN", NULL, NULL,
     "requests with \"Authorization: Bearer TOKEN\" may create, change and delete workspaces, and "
     "speak as the human in the "
     "canvas [off]",
     FIELD(admin_token), 0, 0},
    {"rate-limit", 0, OPTION_NUMBER, "N", "600", NULL, "requests a minute; -1: unlimited",
     FIELD(rate_limit), -1, 1000000000},
    {"stale-seconds", 0, OPTION_SECONDS, "TIME", "0", NULL,
     "mark a workspace awaiting_agent after this long without a heartbeat; 0: the profile's "
     "default; in seconds, or like 5m",
     FIELD(stale_seconds), 0, 86400},
    {"workspace", 'w', OPTION_TEXT, "ID", NULL, NULL,
     "the workspace that the script serves [a new one; with --state-dir always the same for the "
     "same script]",
     FIELD(workspace), 0, 0},
    {"state-dir", 0, OPTION_TEXT, "DIR", NULL, NULL,
     "keep the stored values, dead letters and unfinished messages there for the next run [deleted "
     "on exit]",
     FIELD(serving.state_directory), 0, 0},
    CONNECT_ANSWERING_OPTIONS,
    {"interval-ms", 0, OPTION_MILLISECONDS, "TIME", "200", NULL,
     "time between polls of an empty inbox; in milliseconds, or like 10s",
     FIELD(serving.interval_ms), 1, CONNECT_HOURS(1)},
    CONNECT_SERVING_OPTIONS,
    {"drain", 0, OPTION_DURATION, "TIME", "5s", NULL, "how long a stop waits for what is under way",
     FIELD(serving.drain_ms), 0, CONNECT_HOURS(1)},
    {"verbose", 'v', OPTION_FLAG, NULL, NULL, NULL, "log more", FIELD(serving.verbose), 0, 0},
    {.name = NULL},
};

#define OWN_PLATFORM \
    "dev runs a platform of its own; to connect to another one use molecule connect"
#define OWN_TOKEN "dev gets its token from its own platform; a token is for molecule connect"

static const struct option_hint elsewhere[] = {
    {.name = "api-url", .text = OWN_PLATFORM},
    {.name = "insecure-http", .text = OWN_PLATFORM},
    {.name = "mode", .text = OWN_PLATFORM},
    {.name = "token", .text = OWN_TOKEN},
    {.name = "token-file", .text = OWN_TOKEN},
    {.name = "bootstrap", .text = OWN_TOKEN},
    {.name = "watch", .text = "dev always loads a script again when it changes; leave it out"},
    {.name = "workers", .text = "dev serves one workspace; leave it out"},
    {.name = "dry-run", .text = "molecule connect --dry-run checks a script without running it"},
    {.name = NULL},
};

/* A script that is connected to the emulator. */
struct session {
    struct dev_emulator emulator;
    const char *temporary; /* the state's directory, when it is to go at the end; NULL: it stays */
};

/* Others of this process may still write into it. */
static void remove_directory(const char *directory)
{
    for (int tries = 0; tries < REMOVE_TRIES && rmdir(directory) != 0 && errno != ENOENT; tries++) {
        DIR *stream = opendir(directory);
        for (struct dirent *entry; stream && (entry = readdir(stream));)
            unlinkat(dirfd(stream), entry->d_name, 0);
        if (stream)
            closedir(stream);
    }
}

/* The same one at every run with the same script. Yours to free. */
static char *lasting_id(const struct connect_options *serving)
{
    char id[UUID_TEXT_SIZE], *path = serving->script ? realpath(serving->script, NULL) : NULL;
    char *name = memory_format("molecule dev %s", path              ? path
                                                  : serving->script ? serving->script
                                                                    : serving->backend);
    uuid_of_name(name, id);
    free(name);
    free(path);
    return memory_copy_text(id);
}

static struct molecule_workspace_options make_workspace(const struct dev_options *given,
                                                        const char *id, const char *url,
                                                        const char *directory)
{
    struct molecule_workspace_options workspace = connect_workspace(&given->serving, id, directory,
                                                                    NULL, NULL);
    workspace.api_url = url;
    workspace.platform_name = "molecule dev"; /* its port may be another one every time */
    workspace.bootstrap = true;
    workspace.temporary_state = !given->serving.state_directory;
    workspace.watch = given->serving.script != NULL;
    if (workspace.since_secs < SINCE_SECS_LEAST)
        workspace.since_secs = SINCE_SECS_LEAST;
    return workspace;
}

static void on_event(void *context, const struct molecule_event *event)
{
    dev_terminal_event(((struct session *)context)->emulator.terminal, event);
}

static void on_exit_now(void *context)
{
    const struct session *session = context;
    if (session->temporary)
        remove_directory(session->temporary);
}

static void say_how(const struct dev_options *given, const char *id, const char *url,
                    const char *directory)
{
    const struct connect_options *serving = &given->serving;
    terminal_print(stdout,
                   "%s serves workspace %s; say something to it, and read its answers:\n"
                   "  type a line here (/help tells more), or\n"
                   "  curl -s %s/__emulator/messages --json '{\"to\":\"%s\",\"text\":\"hello\"}'\n"
                   "  curl -s '%s/__emulator/wait?path=/notify&count=1'\n"
                   "its state: molecule status %s --state-dir %s\n",
                   serving->script ? serving->script : serving->backend, id, url, id, url, id,
                   directory);
}

static int serve(struct session *session, const struct dev_options *given, const char *id,
                 const char *url, const char *directory)
{
    char problem[1024];
    enum molecule_result code = MOLECULE_FAILED;
    struct molecule_workspace_options workspace = make_workspace(given, id, url, directory);
    struct molecule_options host = {
        .ca_file = given->serving.ca_file,
        .handle_signals = true,
        .verbose = given->serving.verbose,
        .on_event = on_event,
        .on_exit = on_exit_now,
        .context = session,
    };
    struct molecule *molecule = molecule_open(&host, problem, sizeof problem);
    if (!molecule) {
        terminal_print(stderr, "molecule dev: %s\n", problem);
        return MOLECULE_FAILED;
    }
    session->emulator.molecule = molecule;
    say_how(given, id, url, directory);
    code = molecule_add(molecule, &workspace, problem, sizeof problem);
    if (code == MOLECULE_STOPPED) {
        dev_terminal_start(session->emulator.terminal, &session->emulator.thread,
                           session->emulator.emulator);
        code = molecule_run(molecule);
        dev_terminal_stop(session->emulator.terminal);
    } else {
        log_error(id, "%s", problem);
    }
    dev_emulator_forget(&session->emulator);
    molecule_close(molecule);
    return (int)code;
}

static int connect_script(struct session *session, const struct dev_options *given, const char *id)
{
    char made[] = "/tmp/molecule-dev-XXXXXX";
    const char *directory = given->serving.state_directory;
    if (!directory)
        directory = session->temporary = mkdtemp(made);
    if (!directory) {
        terminal_print(stderr, "molecule dev: cannot make a directory for the state: %s\n",
                       strerror(errno));
        return 1;
    }
    char *url = memory_format("http://127.0.0.1:%u", emulator_port(session->emulator.emulator));
    int code = serve(session, given, id, url, directory);
    free(url);
    if (session->temporary)
        remove_directory(session->temporary);
    return code;
}

static int run_with_script(const struct dev_options *given, struct emulator_options *settings)
{
    struct session session = {.emulator.terminal = dev_terminal_open()};
    char random[UUID_TEXT_SIZE],
        *lasting = given->serving.state_directory ? lasting_id(&given->serving) : NULL;
    uuid_random(random);
    settings->workspace = given->workspace ? given->workspace : lasting ? lasting : random;
    int code = 1;
    if (dev_emulator_open(&session.emulator, settings)) {
        code = connect_script(&session, given, settings->workspace);
        dev_emulator_close(&session.emulator);
    }
    dev_terminal_close(session.emulator.terminal);
    free(lasting);
    return code;
}

static int check(const struct command *command, const struct dev_options *given)
{
    const struct connect_options *serving = &given->serving;
    const char *answers = serving->script ? serving->script : serving->backend ? "--backend" : NULL;
    if (strcmp(given->profile, "t1") != 0 && strcmp(given->profile, "latest") != 0)
        return options_complain(command, "--profile is t1 or latest; got \"%s\"", given->profile);
    if (given->headless)
        return answers ? options_complain(command, "--headless runs the emulator alone; remove %s",
                                          answers)
                       : 0;
    if (!answers)
        return options_complain(
            command,
            "no script given; pass FILE, --backend NAME or --headless for the emulator alone");
    if (given->workspace && !uuid_valid(given->workspace))
        return options_complain(command,
                                "--workspace takes a UUID, as the platform's ids are; got \"%s\"",
                                given->workspace);
    char *problem = connect_find_problem(
        serving, given->workspace ? given->workspace : "00000000-0000-4000-8000-000000000000");
    int code = problem ? options_complain(command, "%s", problem) : 0;
    free(problem);
    return code;
}

static int start(const struct dev_options *given)
{
    struct emulator_options settings = {
        .port = (uint16_t)given->port,
        .profile = given->profile,
        .org_id = given->serving.org_id,
        .admin_token = given->admin_token,
        .rate_limit = (int)given->rate_limit,
        .stale_seconds = (double)given->stale_seconds,
    };
    log_set_level(given->serving.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    return given->headless ? dev_emulator_run(&settings) : run_with_script(given, &settings);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct dev_options given = {0};
    const char *script = NULL;
    size_t count;
    enum options_result parsed = options_parse(command, argc, argv, &given, &script, &count);
    int code = parsed == OPTIONS_HELP ? 0 : 2;
    output_divert();
    char problem[256];
    if (parsed == OPTIONS_PARSED &&
        !limits_allow_files(LIMITS_FILES_LEAST, problem, sizeof problem)) {
        terminal_print(stderr, "molecule dev: %s\n", problem);
        code = 1;
    } else if (parsed == OPTIONS_PARSED && script && given.serving.script) {
        options_complain(command, "two scripts: %s and --script %s; one is enough", script,
                         given.serving.script);
    } else if (parsed == OPTIONS_PARSED) {
        if (script)
            given.serving.script = script;
        given.serving.mode = "poll";
        if (check(command, &given) == 0)
            code = start(&given);
    }
    options_free(command, &given);
    return code;
}

const struct command command_dev = {
    .name = "dev",
    .usage = "(<script> | --backend NAME | --headless) [options]",
    .summary = "run a local emulator of the platform and connect a script to it",
    .description =
        "Runs an emulator of the platform on 127.0.0.1 and connects the script to it through real "
        "HTTP, in\n"
        "a temporary workspace (see --state-dir to keep it). The script is reloaded whenever it or "
        "a file it\n"
        "requires changes; if the new version does not load, the old one stays.\n\n"
        "The terminal shows the conversation: each message, its reply, its outcome and how long it "
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
                "  molecule dev --headless --port 8080 --profile t1",
    .options = options,
    .elsewhere = elsewhere,
    .positional_maximum = 1,
    .run = run,
};
