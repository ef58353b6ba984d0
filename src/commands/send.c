/* molecule send: a message to a peer, as a workspace, and the peer's answer. */
#include "commands/commands.h"

#include "base/memory.h"
#include "base/terminal.h"
#include "commands/errands.h"

#include <stdlib.h>

#define SEND_OPTIONS(X)                                                                      \
    ERRAND_OPTIONS(X)                                                                        \
    X(DURATION, timeout_ms, "timeout", "how long to wait for the answer", .standard = "60s", \
      .minimum = 1000, .maximum = 24 * 3600000)

struct send_options {
    SEND_OPTIONS(MOLECULE_MEMBER)
};

static const struct option options[] = {
#define X(...) OPTION_ROW(struct send_options, __VA_ARGS__),
    SEND_OPTIONS(X)
#undef X
};

static int send_one(struct errands *errands, const char *peer, const char *text, int64_t timeout_ms)
{
    char problem[1024], *answer = NULL, *id = memory_copy_text(peer);
    bool sent = molecule_send(errands->molecule, &errands->workspace, id, text, timeout_ms, &answer,
                              problem, sizeof problem);
    if (answer)
        terminal_print(stdout, "%s\n", answer);
    else if (sent)
        terminal_print(stderr, "molecule send: %s has the message, and has not answered yet\n", id);
    else
        terminal_print(stderr, "molecule send: %s\n", problem);
    bool answered = answer != NULL;
    free(answer);
    free(id);
    return answered ? 0 : sent ? 3 : 1;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct send_options given = {0};
    const char *words[3];
    size_t count;
    enum options_result parsed = options_parse(command, argc, argv, &given, words, &count);
    if (parsed != OPTIONS_PARSED)
        return parsed == OPTIONS_HELP ? 0 : 2;
    if (count < 3)
        return options_complain(command, "missing words: molecule send <workspace-id> <peer-id> "
                                         "TEXT");
    struct errands errands;
    int code = errands_open(&errands, command, words[0],
                            &(struct errands_given){given.api_url, given.token_file, given.org_id,
                                                    given.ca_file, given.state_directory,
                                                    given.insecure_http});
    if (code != 0)
        return code;
    code = send_one(&errands, words[1], words[2], given.timeout_ms);
    errands_close(&errands);
    return code;
}

const struct command command_send = {
    .name = "send",
    .group = COMMAND_LOOK,
    .usage = "<workspace-id> <peer-id> TEXT [options]",
    .summary = "send a message to a peer as a workspace, and print its answer",
    .description = "Sends with the workspace's own token. A peer that is pushed to answers at "
                   "once; one that polls answers\n"
                   "with a message into the workspace's inbox, which is looked at until --timeout "
                   "and stays as it is: a host\n"
                   "that serves the workspace handles that message, too.\n\n"
                   "Exit codes: 0 answered, 1 failed, 2 wrong usage, 3 the peer has the message, "
                   "and no answer came in time.",
    .examples = "  molecule peers 7f1d0c9e-…\n"
                "  molecule send 7f1d0c9e-… c2d40000-… \"how is the weather?\"",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .positional_maximum = 3,
    .run = run,
};
