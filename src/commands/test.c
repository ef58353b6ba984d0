/* molecule test: the specs of scripts, run by busted inside the program. */
#include "commands/commands.h"

#include "script/test_runner.h"

#include <stdio.h>
#include <string.h>

static int run(const struct command *command, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") != 0 && strcmp(argv[i], "-h") != 0)
            continue;
        options_print_help(command, stdout);
        return 0;
    }
    return test_runner_run(argc, argv);
}

const struct command command_test = {
    .name = "test",
    .usage = "[FILE | FOLDER]... [options of busted]",
    .summary = "run the specs of scripts",
    .description =
        "Runs busted inside the program: specs find the testing kit (require \"molecule.testing\", "
        "see\n"
        "docs/testing.md), molecule.json and cjson without any setup. Without a FILE or FOLDER: "
        "every\n"
        "*_spec.lua in this directory, in spec/ and in tests/.\n\n"
        "Options are those of busted, among them\n"
        "  --filter=PATTERN           only tests whose names match the Lua pattern\n"
        "  -t, --tags=TAGS            only tests with these #tags\n"
        "  -o, --output=NAME          plainTerminal, utfTerminal, TAP, junit, json\n"
        "  --shuffle, --seed=N        in random order; in that order again\n"
        "  --repeat=N, --list         several times; only the names\n"
        "'busted --help' lists all. The exit code is busted's: 0, or 1 if a test did not pass; 2 "
        "where "
        "there\n"
        "are no specs.",
    .examples = "  molecule test\n"
                "  molecule test agent_spec.lua --filter='refuses'",
    .run = run,
};
