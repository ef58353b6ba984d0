/* molecule dev: the emulator, alone or with a script connected to it through real HTTP. */
#include "commands/commands.h"
#include "commands/sandbox_options.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/output.h"
#include "base/terminal.h"
#include "base/thread.h"
#include "base/uuid.h"
#include "script/emulator.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct dev_options {
    const char *profile, *org_id, *admin_token, *backend, *workspace;
    struct option_pairs backend_options, script_options;
    struct option_list allowed_hosts, file_hosts;
    int64_t port, rate_limit, stale_seconds;
    bool sandbox, headless, verbose;
};

#define FIELD(member) offsetof(struct dev_options, member)

static const struct option options[] = {
    {"port", 'p', OPTION_NUMBER, "N", "8080", NULL, "where the emulator listens, on 127.0.0.1; 0: any free port", FIELD(port), 0, 65535},
    {"profile", 0, OPTION_TEXT, "t1|latest", "latest", NULL, "which version of the platform it behaves as", FIELD(profile), 0, 0},
    {"org-id", 0, OPTION_TEXT, "ID", NULL, NULL, "switch the tenant guard on for this organisation", FIELD(org_id), 0, 0},
    {"admin-token", 0, OPTION_TEXT, "TOKEN", NULL, NULL,
     "requests with \"Authorization: Bearer TOKEN\" may create, change and delete workspaces, and speak as the human in the "
     "canvas [no request may]", FIELD(admin_token), 0, 0},
    {"rate-limit", 0, OPTION_NUMBER, "N", "600", NULL, "requests a minute; -1: none", FIELD(rate_limit), -1, 1000000000},
    {"stale-seconds", 0, OPTION_NUMBER, "N", "0", NULL,
     "without a heartbeat until a workspace is awaiting_agent; 0: the profile's own", FIELD(stale_seconds), 0, 86400},
    {"workspace", 'w', OPTION_TEXT, "ID", NULL, NULL, "the workspace that the script serves [a new one]", FIELD(workspace), 0, 0},
    {"backend", 'b', OPTION_TEXT, "NAME", NULL, NULL, "connect a backend instead of a script", FIELD(backend), 0, 0},
    {"backend-opt", 0, OPTION_PAIRS, "K=V", NULL, NULL, "an option of the backend; repeatable", FIELD(backend_options), 0, 0},
    {"script-opt", 0, OPTION_PAIRS, "K=V", NULL, NULL, "ctx.options.K for the script; repeatable", FIELD(script_options), 0, 0},
    {"sandbox", 0, OPTION_FLAG, NULL, NULL, NULL,
     "the script gets no files, programs, environment or C modules, and no http but to --allow-host", FIELD(sandbox), 0, 0},
    {"allow-host", 0, OPTION_LIST, "HOST[:PORT]", NULL, NULL,
     "with --sandbox: http may reach it, on any port if none is given; *.NAME is every name below NAME; repeatable",
     FIELD(allowed_hosts), 0, 0},
    {"allow-file-host", 0, OPTION_LIST, "HOST[:PORT]", NULL, NULL,
     "file:read() may fetch from it though its address is not public, and with http; repeatable [https to public addresses only]",
     FIELD(file_hosts), 0, 0},
    {"headless", 0, OPTION_FLAG, NULL, NULL, NULL, "the emulator alone, without a script", FIELD(headless), 0, 0},
    {"verbose", 'v', OPTION_FLAG, NULL, NULL, NULL, "log more", FIELD(verbose), 0, 0},
    {.name = NULL},
};

/* The emulator on a thread of its own. */
struct platform_thread {
    struct thread thread;
    struct emulator *emulator;
    struct emulator_options options;
    char problem[512];
    uv_sem_t ready;
    struct molecule *molecule; /* to stop when the emulator is told to quit; NULL: none */
    uv_loop_t *loop;   /* of the headless emulator */
};

static void on_quit(void *context)
{
    struct platform_thread *platform = context;
    if (platform->molecule)
        molecule_stop(platform->molecule);
    else if (platform->loop)
        uv_stop(platform->loop);
}

struct platform_task {
    struct task task;
    struct platform_thread *platform;
};

static void run_open(struct task *task)
{
    struct platform_thread *platform = ((struct platform_task *)task)->platform;
    platform->emulator = emulator_open(&platform->thread.loop, &platform->options, platform->problem,
                                       sizeof platform->problem);
    uv_sem_post(&platform->ready);
}

static void run_forget(struct task *task)
{
    struct platform_thread *platform = ((struct platform_task *)task)->platform;
    platform->molecule = NULL;
    uv_sem_post(&platform->ready);
}

static void run_close(struct task *task)
{
    struct platform_thread *platform = ((struct platform_task *)task)->platform;
    emulator_close(platform->emulator);
    uv_sem_post(&platform->ready);
}

static void run_there(struct platform_thread *platform, void (*run)(struct task *task))
{
    struct platform_task task = {.task.run = run, .platform = platform};
    thread_post(&platform->thread, &task.task);
    uv_sem_wait(&platform->ready);
}

static void say_where(const struct dev_options *given, const struct emulator *emulator)
{
    printf("emulator listening on http://127.0.0.1:%u (profile %s)\n", emulator_port(emulator), given->profile);
    fflush(stdout);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    uv_stop(handle->loop);
}

static int run_headless(const struct dev_options *given, struct emulator_options *settings)
{
    struct platform_thread platform = {0};
    uv_loop_t loop;
    uv_signal_t signals[2];
    char problem[512];
    uv_loop_init(&loop);
    platform.loop = &loop;
    settings->on_quit = on_quit;
    settings->context = &platform;
    struct emulator *emulator = emulator_open(&loop, settings, problem, sizeof problem);
    if (emulator) {
        say_where(given, emulator);
        for (int i = 0; i < 2; i++) {
            uv_signal_init(&loop, &signals[i]);
            uv_signal_start(&signals[i], on_signal, i ? SIGTERM : SIGINT);
        }
        uv_run(&loop, UV_RUN_DEFAULT);
        for (int i = 0; i < 2; i++)
            uv_close((uv_handle_t *)&signals[i], NULL);
        for (int turns = 0; turns < 100 && uv_run(&loop, UV_RUN_NOWAIT); turns++) /* the answer to quit goes out */
            ;
        emulator_close(emulator);
    } else {
        terminal_print(stderr, "molecule dev: %s\n", problem);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return emulator ? 0 : 1;
}

static void remove_directory(const char *directory, const char *id)
{
    static const char *const endings[] = {"json", "lock", "token", "runs", "db", "db-wal", "db-shm", "sock"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        char *path = memory_format("%s/%s.%s", directory, id, endings[i]);
        unlink(path);
        free(path);
    }
    rmdir(directory);
}

static struct molecule_workspace_options make_workspace(const struct dev_options *given, const char *script,
                                                        const char *id, const char *url, const char *directory)
{
    struct molecule_workspace_options workspace;
    molecule_workspace_defaults(&workspace);
    workspace.id = id;
    workspace.api_url = url;
    workspace.org_id = given->org_id;
    workspace.state_directory = directory;
    workspace.bootstrap = true;
    workspace.interval_ms = 200;
    workspace.drain_ms = 5000;
    workspace.script = script;
    workspace.backend = given->backend;
    workspace.backend_options = given->backend_options.pairs;
    workspace.backend_option_count = given->backend_options.count;
    workspace.script_options = given->script_options.pairs;
    workspace.script_option_count = given->script_options.count;
    workspace.watch = script != NULL;
    workspace.sandbox = given->sandbox;
    workspace.allowed_hosts = given->allowed_hosts.items;
    workspace.allowed_host_count = given->allowed_hosts.count;
    workspace.file_hosts = given->file_hosts.items;
    workspace.file_host_count = given->file_hosts.count;
    return workspace;
}

static int connect_script(struct platform_thread *platform, const struct dev_options *given, const char *script,
                          const char *id)
{
    char problem[1024], directory[] = "/tmp/molecule-dev-XXXXXX";
    if (!mkdtemp(directory)) {
        terminal_print(stderr, "molecule dev: cannot make a directory for the state: %s\n", strerror(errno));
        return 1;
    }
    char *url = memory_format("http://127.0.0.1:%u", emulator_port(platform->emulator));
    struct molecule_workspace_options workspace = make_workspace(given, script, id, url, directory);
    struct molecule_options options_of_host = {.handle_signals = true, .verbose = given->verbose};
    struct molecule *molecule = molecule_open(&options_of_host, problem, sizeof problem);
    enum molecule_result code = MOLECULE_FAILED;
    if (molecule) {
        platform->molecule = molecule;
        terminal_print(stdout, "%s serves workspace %s; say something to it, and read its answers:\n"
               "  curl -s %s/__emulator/messages --json '{\"to\":\"%s\",\"text\":\"hello\"}'\n"
               "  curl -s '%s/__emulator/wait?path=/notify&count=1'\n",
               script ? script : given->backend, id, url, id, url);
        fflush(stdout);
        code = molecule_add(molecule, &workspace, problem, sizeof problem);
        if (code == MOLECULE_STOPPED)
            code = molecule_run(molecule);
        else
            log_error(id, "%s", problem);
        run_there(platform, run_forget);
        molecule_close(molecule);
    } else {
        terminal_print(stderr, "molecule dev: %s\n", problem);
    }
    remove_directory(directory, id);
    free(url);
    return (int)code;
}

static int run_with_script(const struct dev_options *given, struct emulator_options *settings, const char *script)
{
    struct platform_thread platform = {.options = *settings};
    char id[UUID_TEXT_SIZE];
    uuid_random(id);
    platform.options.workspace = given->workspace ? given->workspace : id;
    platform.options.on_quit = on_quit;
    platform.options.context = &platform;
    uv_sem_init(&platform.ready, 0);
    int code = 1;
    if (thread_start(&platform.thread, "emulator", NULL, NULL) < 0) {
        terminal_print(stderr, "molecule dev: cannot start a thread\n");
        return 1;
    }
    run_there(&platform, run_open);
    if (platform.emulator) {
        say_where(given, platform.emulator);
        code = connect_script(&platform, given, script, platform.options.workspace);
        run_there(&platform, run_close);
    } else {
        terminal_print(stderr, "molecule dev: %s\n", platform.problem);
    }
    thread_close(&platform.thread);
    uv_sem_destroy(&platform.ready);
    return code;
}

static int check(const struct command *command, const struct dev_options *given, const char *script)
{
    if (strcmp(given->profile, "t1") != 0 && strcmp(given->profile, "latest") != 0)
        return options_complain(command, "--profile is t1 or latest; got \"%s\"", given->profile);
    if (given->headless && (script || given->backend))
        return options_complain(command, "--headless is the emulator alone; leave %s away", script ? script : "--backend");
    if (!given->headless && !script && !given->backend)
        return options_complain(command, "which script? Give one, or --backend NAME, or --headless for the emulator alone");
    if (script && given->backend)
        return options_complain(command, "a script and --backend exclude each other");
    if (script && access(script, R_OK) != 0)
        return options_complain(command, "the script %s cannot be read: %m", script);
    if (given->workspace && !uuid_valid(given->workspace))
        return options_complain(command, "--workspace takes a UUID, as the platform's ids are; got \"%s\"", given->workspace);
    return sandbox_options_check(command, given->sandbox, &given->allowed_hosts, &given->file_hosts);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct dev_options given = {0};
    const char *positionals[1] = {NULL};
    size_t count;
    enum options_result parsed = options_parse(command, argc, argv, &given, positionals, &count);
    int code = parsed == OPTIONS_HELP ? 0 : 2;
    output_divert();
    char problem[256];
    if (parsed == OPTIONS_PARSED && !limits_allow_files(LIMITS_FILES_LEAST, problem, sizeof problem)) {
        terminal_print(stderr, "molecule dev: %s\n", problem);
        code = 1;
    } else if (parsed == OPTIONS_PARSED && check(command, &given, positionals[0]) == 0) {
        struct emulator_options settings = {
            .port = (uint16_t)given.port,
            .profile = given.profile,
            .org_id = given.org_id,
            .admin_token = given.admin_token,
            .rate_limit = (int)given.rate_limit,
            .stale_seconds = (double)given.stale_seconds,
        };
        log_set_level(given.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
        code = given.headless ? run_headless(&given, &settings) : run_with_script(&given, &settings, positionals[0]);
    }
    options_free(command, &given);
    return code;
}

const struct command command_dev = {
    .name = "dev",
    .usage = "(<script> | --backend NAME | --headless) [options]",
    .summary = "run a local stand-in for the platform, and connect a script to it",
    .description =
        "Runs an emulator of the platform on 127.0.0.1 and connects the script to it through real HTTP, in\n"
        "a workspace of its own that is gone afterwards. Whenever the script or a file that it requires\n"
        "changes, it is loaded anew; one that does not load changes nothing. With --headless the emulator runs\n"
        "alone. Make workspaces, which are siblings and may talk to each other, and connect to them with\n"
        "  curl -s http://127.0.0.1:8080/__emulator/workspaces --json '{\"name\":\"agent\"}'\n"
        "  molecule connect <its id> --bootstrap --api-url http://127.0.0.1:8080 --script agent.lua\n"
        "Requests under /__emulator/ steer it: messages, faults, state (see lua/molecule/emulator/control.lua).",
    .examples =
        "  molecule dev agent.lua\n"
        "  molecule dev --backend mock --port 0\n"
        "  molecule dev --headless --port 8080 --profile t1",
    .options = options,
    .positional_maximum = 1,
    .run = run,
};
