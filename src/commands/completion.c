/* molecule completion: what makes a shell complete the command line. */
#include "commands/commands.h"
#include "commands/complete.h"

#include "base/memory.h"
#include "script/embedded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int run(const struct command *command, int argc, char **argv)
{
    const char *positionals[1];
    size_t count;
    char nothing;
    if (argc > 0 && strcmp(argv[0], "words") == 0) { /* they may look like options */
        complete_print((const char *const *)argv + 1, (size_t)argc - 1);
        return 0;
    }
    enum options_result result = options_parse(command, argc, argv, &nothing, positionals, &count);
    if (result != OPTIONS_PARSED)
        return result == OPTIONS_HELP ? 0 : 2;
    if (count == 0)
        return options_complain(command, "missing the shell: bash, zsh or fish");
    char *name = memory_format("molecule/completion/%s.txt", positionals[0]);
    const struct embedded_file *script = strchr(positionals[0], '/') ? NULL : embedded_find(name);
    free(name);
    if (!script)
        return options_complain(command, "\"%s\" is not bash, zsh or fish", positionals[0]);
    fwrite(script->data, 1, script->length, stdout);
    return 0;
}

const struct command command_completion = {
    .name = "completion",
    .group = COMMAND_LOOK,
    .usage = "bash|zsh|fish",
    .summary = "print what makes a shell complete commands, options and ids",
    .description = "Prints a script for the shell. It completes commands, options, their values, "
                   "files, backends, "
                   "and what the state\n"
                   "directory knows: the ids of workspaces and dead letters, the codes of "
                   "questions. The packages "
                   "install it.\n"
                   "\n"
                   "The script asks `molecule completion words WORD…` what the last of these words "
                   "may become.",
    .examples = "  source <(molecule completion bash)    # in ~/.bashrc\n"
                "  source <(molecule completion zsh)     # in ~/.zshrc, after compinit\n"
                "  molecule completion fish | source     # in ~/.config/fish/config.fish",
    .positional_maximum = 1,
    .run = run,
};
