/* molecule try: messages through a script, against an emulator in the same process, and what comes
 * of each on standard output. */
#include "commands/commands.h"
#include "commands/connect_options.h"
#include "commands/try_session.h"

#include "base/output.h"
#include "wire/jsontext.h"

#include <jansson.h>
#include <stdlib.h>

#define TEXTS_MAXIMUM 1024

/* Lines like those of include/molecule/options.def. */
#define TRY_OPTIONS(X)                                                                             \
    X(TEXT, from, "from", "who sends the messages: canvas, or a peer by its name or id",           \
      .letter = 'f', .argument = "canvas|PEER", .standard = "canvas")                              \
    X(LIST, file, "file", "send this file with the first message; repeatable", .argument = "PATH") \
    X(TEXT, context_id, "context", "the messages' contextId, which tells conversations apart",     \
      .argument = "ID")                                                                            \
    X(PATH, envelope, "envelope",                                                                  \
      "send this JSON instead of a text: an A2A request, or its params or message; -: standard "   \
      "input",                                                                                     \
      .argument = "FILE")                                                                          \
    X(PATH, store, "store",                                                                        \
      "begin with these stored values, a JSON object by key, and write what the script has made "  \
      "of them [nothing is stored, and nothing is kept]",                                          \
      .argument = "FILE")                                                                          \
    X(FLAG, offline, "offline",                                                                    \
      "let molecule.http and programs fail with the code OFFLINE; loading C modules still works")  \
    X(FLAG, json, "json", "print a JSON object for each message, one a line")

struct try_options {
    struct molecule_workspace_options workspace;
    struct molecule_options host;
    TRY_OPTIONS(MOLECULE_MEMBER)
};

static const struct option options[] = {
#define X(...) OPTION_ROW(struct try_options, __VA_ARGS__),
    TRY_OPTIONS(X)
#undef X
#define MOLECULE_OPTION(type, member, ...) \
    OPTION_ROW(struct try_options, type, workspace.member, __VA_ARGS__),
#define MOLECULE_HOST_OPTION(type, member, ...) \
    OPTION_ROW(struct try_options, type, host.member, __VA_ARGS__),
#include "molecule/options.def"
};

static char *make_settings(const struct try_options *given, bool echo)
{
    json_t *files = json_array();
    for (size_t i = 0; i < given->file_count; i++)
        json_array_append_new(files, json_string(given->files[i]));
    json_t *settings = json_pack("{s:s, s:s, s:s*, s:o, s:b, s:b}", "command", "try", "from",
                                 given->from, "context_id", given->context_id, "files", files,
                                 "json", given->json, "echo", echo);
    if (given->file_count == 0)
        json_object_del(settings, "files");
    char *text = jsontext_print(settings);
    json_decref(settings);
    return text;
}

static int run_session(const struct try_options *given, const char *const *texts, size_t count)
{
    char *settings = make_settings(given, count > 1);
    struct try_plan plan = {.command = "try",
                            .workspace = &given->workspace,
                            .host = &given->host,
                            .settings = settings,
                            .store = given->store,
                            .offline = given->offline,
                            .input = {.envelope = given->envelope,
                                      .texts = texts,
                                      .count = count,
                                      .files_alone = given->file_count > 0}};
    int code = try_session_run(&plan);
    free(settings);
    return code;
}

static int check(const struct command *command, const struct try_options *given, size_t texts)
{
    const struct molecule_workspace_options *workspace = &given->workspace;
    if (!workspace->script && !workspace->backend)
        return options_complain(command, "no script given: molecule try agent.lua \"hello\"");
    if (given->envelope && texts > 0)
        return options_complain(command, "--envelope replaces the text; give one of them");
    char *problem = connect_find_problem(workspace, "00000000-0000-4000-8000-000000000000");
    int code = problem ? options_complain(command, "%s", problem) : 0;
    free(problem);
    return code;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct try_options given = {0};
    const char *words[TEXTS_MAXIMUM], *const *texts = words;
    size_t count = 0;
    enum options_result parsed = options_parse(command, argc, argv, &given, words, &count);
    int code = parsed == OPTIONS_HELP ? 0 : 2;
    output_divert();
    if (parsed == OPTIONS_PARSED) {
        if (!given.workspace.script && !given.workspace.backend && count > 0) {
            given.workspace.script = *texts++;
            count--;
        }
        if (check(command, &given, count) == 0)
            code = run_session(&given, texts, count);
    }
    options_free(command, &given);
    return code;
}

const struct command command_try = {
    .name = "try",
    .usage = "(<script> | --backend NAME) [TEXT]... [options]",
    .summary = "send a message to a script and print its answer, without a platform",
    .description =
        "Hands each TEXT to the script, one after the other, and prints the lines of its log, its "
        "interim\n"
        "words, its reply and its outcome with the time that the handler took. Without a TEXT the "
        "lines of\n"
        "standard input are the messages. Everything is as with molecule connect, but nothing is "
        "kept (see\n"
        "--store), and a message is handled once: an error is shown with its traceback, and is not "
        "retried.\n\n"
        "Exit codes: 0 replied, no_reply or skipped; 1 dead, an error, or molecule.retry; 2 wrong "
        "usage or the\n"
        "script does not load; 75 the script is stuck.",
    .examples = "  molecule try agent.lua hello\n"
                "  molecule try agent.lua 'remember a is 1' 'what is a?'\n"
                "  molecule try agent.lua --from billing --json < questions.txt\n"
                "  molecule try agent.lua --file report.pdf 'summarize this'",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .elsewhere = try_elsewhere,
    .positional_maximum = TEXTS_MAXIMUM,
    .run = run,
};
