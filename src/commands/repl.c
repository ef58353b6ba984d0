/* molecule repl: Lua line by line, in the state of a script or without one. */
#include "commands/commands.h"
#include "commands/connect_options.h"
#include "commands/repl_dialog.h"
#include "commands/try_session.h"

#include "base/output.h"

#include <stdlib.h>
#include <unistd.h>

#define SETTINGS "{\"command\":\"repl\"}" /* of lua/molecule/emulator/trial.lua */

/* Lines like those of include/molecule/options.def. */
#define REPL_OPTIONS(X)                                                                       \
    X(PATH, store, "store",                                                                   \
      "begin with these stored values, a JSON object by key, and write what the session has " \
      "made of them [nothing is stored, and nothing is kept]",                                \
      .argument = "FILE")                                                                     \
    X(FLAG, offline, "offline",                                                               \
      "let molecule.http and programs fail with the code OFFLINE; loading C modules still works")

struct given {
    struct molecule_workspace_options workspace;
    struct molecule_options host;
    REPL_OPTIONS(MOLECULE_MEMBER)
};

static const struct option options[] = {
#define X(...) OPTION_ROW(struct given, __VA_ARGS__),
    REPL_OPTIONS(X)
#undef X
#define MOLECULE_OPTION(type, member, ...) \
    OPTION_ROW(struct given, type, workspace.member, __VA_ARGS__),
#define MOLECULE_HOST_OPTION(type, member, ...) \
    OPTION_ROW(struct given, type, host.member, __VA_ARGS__),
#include "molecule/options.def"
};

static int run_session(struct given *given)
{
    struct repl_options settings = {
        .terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO),
        .agent = given->workspace.script ? given->workspace.script : given->workspace.backend,
    };
    struct repl *repl = repl_open(&settings);
    if (!repl)
        return MOLECULE_FAILED;
    if (!settings.agent)
        given->workspace.backend = "mock"; /* there is a state to run in; nothing is sent to it */
    struct try_dialog dialog = repl_dialog(repl);
    struct try_plan plan = {.command = "repl",
                            .workspace = &given->workspace,
                            .host = &given->host,
                            .settings = SETTINGS,
                            .store = given->store,
                            .offline = given->offline,
                            .dialog = &dialog};
    int code = try_session_run(&plan);
    repl_close(repl);
    return code;
}

static int check(const struct command *command, const struct given *given)
{
    const struct molecule_workspace_options *workspace = &given->workspace;
    if (!workspace->script && !workspace->backend)
        return 0;
    char *problem = connect_find_problem(workspace, "00000000-0000-4000-8000-000000000000");
    int code = problem ? options_complain(command, "%s", problem) : 0;
    free(problem);
    return code;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct given given = {0};
    const char *script = NULL;
    size_t count;
    enum options_result parsed = options_parse(command, argc, argv, &given, &script, &count);
    int code = parsed == OPTIONS_HELP ? 0 : 2;
    output_divert();
    if (parsed == OPTIONS_PARSED && connect_take_script(command, &given.workspace, script) &&
        check(command, &given) == 0)
        code = run_session(&given);
    options_free(command, &given);
    return code;
}

const struct command command_repl = {
    .name = "repl",
    .usage = "[<script> | --backend NAME] [options]",
    .summary = "run Lua line by line, with a script's state or without one",
    .description =
        "A prompt with molecule and cjson. A line runs as a handler does: it may wait, it has the "
        "limits of a\n"
        "message, and what it stores is kept when it ends. An expression shows its values; a line "
        "that is not\n"
        "complete continues on the next. Globals stay, local variables end with their line. With a "
        "script, the\n"
        "lines see its globals, and :send TEXT hands it a message, as molecule try does. :help "
        "lists the\n"
        "commands: :as NAME, :reload, :store, :quit. Tab completes names, Ctrl-C interrupts what "
        "runs.\n\n"
        "Lines that were typed are kept in $XDG_STATE_HOME/molecule/repl_history "
        "(~/.local/state). Without a\n"
        "terminal there are no prompts: every line of standard input runs, also after one that "
        "failed.\n\n"
        "Exit codes: 0; 1 a line, a message or a reload failed, without a terminal; 2 wrong usage "
        "or the script\n"
        "does not load; 75 a line is stuck.",
    .examples = "  molecule repl\n"
                "  molecule repl agent.lua\n"
                "  echo 'molecule.json.encode {a = 1}' | molecule repl\n"
                "  molecule repl agent.lua --store store.json < lines.txt",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .elsewhere = try_elsewhere,
    .positional_maximum = 1,
    .run = run,
};
