/* argv -> a command; nothing else. */
#include "commands/commands.h"
#include "commands/surroundings.h"

#include "base/nearest.h"
#include "base/terminal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct command *const commands[] = {
#define X(symbol) &symbol,
    COMMANDS(X)
#undef X
};

static void print_usage(FILE *out)
{
    static const char *const headings[] = {
#define X(name, heading) heading,
        COMMAND_GROUPS(X)
#undef X
    };
    fprintf(out, "molecule hosts a Lua script as an agent of a workspace.\n\nUsage: molecule "
                 "<command> [options]\n");
    for (size_t group = 0; group < sizeof headings / sizeof *headings; group++) {
        fprintf(out, "\n%s:\n", headings[group]);
        for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
            if (commands[i]->group == group)
                fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    }
    fprintf(out, "\nRun 'molecule <command> --help' for details.\n");
}

/* For who typed `molecule` alone. */
static void print_next(void)
{
    if (access("agent.lua", R_OK) == 0)
        printf("\nHere is an agent.lua. Talk to it: molecule dev agent.lua\n");
    else
        printf("\nBegin with: molecule init my-agent\n");
}

static int run(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_usage(stdout);
        return 0;
    }
    if (strcmp(name, "--version") == 0)
        name = "version";
    if (!*name && isatty(STDOUT_FILENO)) {
        print_usage(stdout);
        print_next();
        return 0;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(name, commands[i]->name) == 0)
            return commands[i]->run(commands[i], argc - 2, argv + 2);
    struct nearest nearest = {.word = name};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        nearest_offer(&nearest, commands[i]->name);
    if (*name)
        terminal_print(stderr, "molecule: unknown command \"%s\"%s%s%s\n\n", name,
                       nearest.best ? "; did you mean " : "", nearest.best ? nearest.best : "",
                       nearest.best ? "?" : "");
    print_usage(stderr);
    return 2;
}

int main(int argc, char **argv)
{
    surroundings_prepare();
    return surroundings_leave(run(argc, argv));
}
