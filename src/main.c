/* argv -> a command; nothing else. */
#include "commands/commands.h"
#include "commands/surroundings.h"

#include "base/nearest.h"
#include "base/terminal.h"

#include <stdio.h>
#include <string.h>

static const struct command *const commands[] = {
#define X(symbol) &symbol,
    COMMANDS(X)
#undef X
};

static void print_usage(FILE *out)
{
    fprintf(out, "molecule hosts a Lua script as an agent of a workspace.\n\nUsage: molecule "
                 "<command> [options]\n\n"
                 "Commands:\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(out, "\nRun 'molecule <command> --help' for details.\n");
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
