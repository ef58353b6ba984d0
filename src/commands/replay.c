/* molecule replay: recorded messages through a script, and what differs from the recording. */
#include "commands/commands.h"
#include "commands/connect_options.h"
#include "commands/try_session.h"

#include "base/output.h"
#include "base/terminal.h"
#include "base/uuid.h"
#include "script/playback.h"
#include "wire/jsontext.h"
#include "wire/platform.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Lines like those of include/molecule/options.def. */
#define REPLAY_OPTIONS(X)                                                   \
    X(FLAG, update, "update", "write what is different into the recording") \
    X(CHOICE, color, "color",                                               \
      "color the differences; auto: on a terminal, unless NO_COLOR is set", \
      .argument = "auto|always|never", .standard = "auto")

struct replay_options {
    struct molecule_workspace_options workspace;
    struct molecule_options host;
    REPLAY_OPTIONS(MOLECULE_MEMBER)
};

static const struct option options[] = {
#define X(...) OPTION_ROW(struct replay_options, __VA_ARGS__),
    REPLAY_OPTIONS(X)
#undef X
#define MOLECULE_OPTION(type, member, ...) \
    OPTION_ROW(struct replay_options, type, workspace.member, __VA_ARGS__),
#define MOLECULE_HOST_OPTION(type, member, ...) \
    OPTION_ROW(struct replay_options, type, host.member, __VA_ARGS__),
#include "molecule/options.def"
};

/* The workspace that the first line is from, as scripts see it again; false: it names no workspace.
 */
static bool read_workspace(const char *path, char id[UUID_TEXT_SIZE])
{
    FILE *stream = fopen(path, "rb");
    json_t *line = stream ? json_loadf(stream, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
    const char *found = json_string_value(json_object_get(line, "workspace"));
    bool valid = found && uuid_valid(found);
    if (valid) {
        snprintf(id, UUID_TEXT_SIZE, "%s", found);
        platform_normalise_id(id);
    }
    json_decref(line);
    if (stream)
        fclose(stream);
    return valid;
}

static int run_session(const struct replay_options *given, const char *records)
{
    char id[UUID_TEXT_SIZE];
    bool has_id = read_workspace(records, id);
    json_t *settings = json_pack("{s:s, s:s, s:b, s:b}", "command", "replay", "records", records,
                                 "update", given->update, "color",
                                 terminal_colors(STDOUT_FILENO, given->color));
    char *text = jsontext_print(settings);
    json_decref(settings);
    struct playback *playback = playback_open();
    struct try_plan plan = {.command = "replay",
                            .workspace = &given->workspace,
                            .host = &given->host,
                            .id = has_id ? id : NULL,
                            .settings = text,
                            .offline = true,
                            .playback = playback,
                            .input = {.records = records},
                            .verdict = "replayed"};
    int code = try_session_run(&plan);
    playback_close(playback);
    free(text);
    return code;
}

static int check(const struct command *command, const struct replay_options *given,
                 const char *records)
{
    const struct molecule_workspace_options *workspace = &given->workspace;
    if (!records || (!workspace->script && !workspace->backend))
        return options_complain(command, "a recording and a script are needed: molecule replay "
                                         "messages.jsonl agent.lua");
    if (workspace->record_file)
        return options_complain(command, "--record makes a recording; --update changes this one");
    char *problem = connect_find_problem(workspace, "00000000-0000-4000-8000-000000000000");
    int code = problem ? options_complain(command, "%s", problem) : 0;
    free(problem);
    return code;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct replay_options given = {0};
    const char *words[2] = {NULL, NULL};
    size_t count;
    enum options_result parsed = options_parse(command, argc, argv, &given, words, &count);
    int code = parsed == OPTIONS_HELP ? 0 : 2;
    output_divert();
    if (parsed == OPTIONS_PARSED && connect_take_script(command, &given.workspace, words[1]) &&
        check(command, &given, words[0]) == 0)
        code = run_session(&given, words[0]);
    options_free(command, &given);
    return code;
}

const struct command command_replay = {
    .name = "replay",
    .usage = "<recording> (<script> | --backend NAME) [options]",
    .summary = "send recorded messages to a script and show what it answers differently",
    .description =
        "Hands the messages that molecule connect --record has written to the script, one after "
        "the other and\n"
        "offline, and prints every outcome and reply that is not as recorded. The store is empty "
        "at the start.\n"
        "molecule.http, molecule.exec, os.execute and io.popen are answered from the recording. A "
        "call that is not\n"
        "in it is not made: it fails with the code NOT_RECORDED, and is a difference; so is one "
        "that is no longer\n"
        "made. Calls outside a message, and those of a message that was recorded without calls, "
        "fail with the\n"
        "code OFFLINE. A message is handled once, with the answers that its last attempt got.\n\n"
        "Exit codes: 0 as recorded (or updated), 1 something differs, 2 wrong usage or the script "
        "does not load.",
    .examples = "  molecule connect 7f1d0c9e-… --script agent.lua --record messages.jsonl\n"
                "  molecule replay messages.jsonl agent.lua\n"
                "  molecule replay messages.jsonl agent.lua --update",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .elsewhere = try_elsewhere,
    .positional_maximum = 2,
    .run = run,
};
