#include "commands/commands.h"
#include "net/versions.h"

static int run(const struct command *command, int argc, char **argv)
{
    const char *positionals[1];
    size_t count;
    char nothing;
    enum options_result result = options_parse(command, argc, argv, &nothing, positionals, &count);
    if (result != OPTIONS_PARSED)
        return result == OPTIONS_HELP ? 0 : 2;
    char libraries[512];
    versions_describe(libraries, sizeof libraries);
    printf("molecule %s\n%s\n", MOLECULE_VERSION, libraries);
    return 0;
}

const struct command command_version = {
    .name = "version",
    .group = COMMAND_LOOK,
    .usage = "",
    .summary = "print the versions of molecule and of the libraries in use",
    .description = "Prints the version of molecule and of the libraries it runs with.",
    .run = run,
};
