/* molecule answer: answers a question of a handler (ctx.ask) from the shell. */
#include "commands/commands.h"

#include "base/memory.h"
#include "base/terminal.h"
#include "commands/local_state.h"
#include "wire/jsontext.h"
#include "wire/platform.h"

#include <stdlib.h>
#include <string.h>

#define POSITIONALS_MAXIMUM 256

/* Lines like those of include/molecule/options.def. */
#define ANSWER_OPTIONS(X)                                                      \
    X(PATH, state_directory, "state-dir", "as for connect", .argument = "DIR", \
      .environment = "MOLECULE_STATE_DIR")                                     \
    X(FLAG, cancel, "cancel", "end the question without an answer")

struct answer_options {
    ANSWER_OPTIONS(MOLECULE_MEMBER)
};

static const struct option options[] = {
#define X(...) OPTION_ROW(struct answer_options, __VA_ARGS__),
    ANSWER_OPTIONS(X)
#undef X
};

/* The words of the command line as one text; yours. */
static char *join(const char *const *words, size_t count)
{
    char *text = memory_copy_text(words[0]);
    for (size_t i = 1; i < count; i++) {
        char *longer = memory_join(text, " ", words[i]);
        free(text);
        text = longer;
    }
    return text;
}

static int send(const struct answer_options *given, const char *workspace_id, const char *code,
                const char *text)
{
    char problem[4096], *directory = local_state_directory(given->state_directory);
    bool live = false;
    if (!directory)
        return 2;
    json_t *answer = NULL, *words = text ? jsontext_string(text, strlen(text)) : NULL;
    bool exists = local_state_exists(directory, workspace_id, problem, sizeof problem);
    if (exists)
        answer = local_state_ask(directory, workspace_id,
                                 json_pack("{s:s, s:o, s:O*}", "do", "answer", "code",
                                           jsontext_string(code, strlen(code)), "text", words),
                                 &live, problem, sizeof problem);
    json_decref(words);
    if (exists && !answer && !live)
        snprintf(problem, sizeof problem, "no host serves workspace %s here; start it, then answer",
                 workspace_id);
    if (answer)
        terminal_print(stdout, "question %s: %s\n", code, text ? "answered" : "canceled");
    else
        terminal_print(stderr, "molecule answer: %s\n", problem);
    free(directory);
    json_decref(answer);
    return answer ? 0 : 1;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct answer_options given = {0};
    const char *positionals[POSITIONALS_MAXIMUM];
    size_t count;
    enum options_result parsed = options_parse(command, argc, argv, &given, positionals, &count);
    if (parsed != OPTIONS_PARSED)
        return parsed == OPTIONS_HELP ? 0 : 2;
    if (count < 2)
        return options_complain(command, count == 0 ? "missing workspace id"
                                                    : "missing the code of the question");
    if (!platform_valid_id(positionals[0]))
        return options_complain(command, "\"%s\" cannot be a workspace id", positionals[0]);
    if (given.cancel && count > 2)
        return options_complain(command, "either --cancel or an answer, not both");
    char *text = count > 2 ? join(positionals + 2, count - 2) : NULL;
    bool says_something = text && text[strspn(text, " \t\n\r")];
    int code = given.cancel || says_something ? send(&given, positionals[0], positionals[1], text)
                                              : options_complain(command, "missing the answer");
    free(text);
    return code;
}

const struct command command_answer = {
    .name = "answer",
    .group = COMMAND_LOOK,
    .usage = "<workspace-id> <code> <answer…> [options]",
    .summary = "answer a question of a handler (ctx.ask)",
    .description =
        "Answers the open question with this code, whoever was asked; `molecule status` lists what "
        "is open. Where the\n"
        "question has choices, the answer is one of them, or the beginning of one. The workspace's "
        "host must be\n"
        "running here: the handler continues at once, with from = \"operator\".",
    .examples = "  molecule answer 7f1d0c9e-… K7QD yes\n"
                "  molecule answer 7f1d0c9e-… K7QD --cancel",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .positional_maximum = POSITIONALS_MAXIMUM,
    .run = run,
};
