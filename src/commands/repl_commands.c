#include "commands/repl_commands.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "base/nearest.h"
#include "base/output.h"
#include "base/terminal.h"
#include "commands/repl_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAXIMUM 4096

struct repl_command {
    const char *name, *argument, *help;
    bool (*run)(struct repl *repl, const char *argument); /* false: the session is over */
};

static bool complain(struct repl *repl, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool complain(struct repl *repl, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    output_flush();
    terminal_print(stderr, "%s\n", text);
    repl->failed = true;
    return true;
}

static bool run_send(struct repl *repl, const char *text)
{
    if (!repl->options->agent)
        return complain(repl, ":send: there is no agent here to answer; start molecule repl "
                              "agent.lua");
    if (!*text)
        return complain(repl, ":send TEXT: the text is missing");
    repl->answered = false;
    if (!try_emulator_call(repl->emulator, "say", text, NULL, NULL))
        repl->failed = true; /* the reason was printed */
    else
        repl_await(repl, &repl->answered);
    return true;
}

static bool run_as(struct repl *repl, const char *name)
{
    if (!*name)
        return complain(repl, ":as NAME: the name is missing; :as canvas speaks as the human");
    if (!try_emulator_call(repl->emulator, "speak", name, NULL, NULL))
        repl->failed = true;
    return true;
}

static bool run_reload(struct repl *repl, const char *argument)
{
    (void)argument;
    repl->loaded = false;
    molecule_reload(repl->molecule);
    if (!repl_await(repl, &repl->loaded))
        return true;
    if (repl->broken) /* the host has said why, and that the old one stays */
        repl->failed = true;
    else
        try_emulator_call(repl->emulator, "show",
                          "reloaded; the globals of the previous version are lost", NULL, NULL);
    return true;
}

static bool run_store(struct repl *repl, const char *key)
{
    if (repl_evaluate(repl, "store", memory_copy_text(key)))
        repl_show(repl);
    return true;
}

static bool run_help(struct repl *repl, const char *argument);

static bool run_quit(struct repl *repl, const char *argument)
{
    (void)repl;
    (void)argument;
    return false;
}

static const struct repl_command commands[] = {
    {"send", "TEXT", "hand a message to the agent, and wait for its answer", run_send},
    {"as", "NAME", "send as the peer of that name or id; canvas: as the human again", run_as},
    {"reload", "", "load the script again; one that does not load changes nothing", run_reload},
    {"store", "[KEY]", "show what is stored: everything, or one value", run_store},
    {"help", "", "this list", run_help},
    {"quit", "", "end the session (so does Ctrl-D)", run_quit},
};

#define COMMAND_COUNT (sizeof commands / sizeof *commands)

static bool run_help(struct repl *repl, const char *argument)
{
    (void)argument;
    struct buffer text;
    buffer_init(&text, NAMES_MAXIMUM);
    buffer_append_text(&text,
                       "a line is Lua, and may continue on the next; an expression shows its "
                       "values\na local variable ends with its line; a global one stays\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        char left[32];
        snprintf(left, sizeof left, ":%s %s", commands[i].name, commands[i].argument);
        buffer_printf(&text, "  %-13s %s\n", left, commands[i].help);
    }
    buffer_append_text(&text, "Tab completes names; Ctrl-C interrupts what runs");
    try_emulator_call(repl->emulator, "show", text.data, NULL, NULL);
    buffer_free(&text);
    return true;
}

bool repl_is_command(const char *line)
{
    return line[0] == ':' && line[1] != ':';
}

bool repl_run_command(struct repl *repl, const char *line)
{
    char word[32];
    size_t length = strcspn(line + 1, " \t");
    snprintf(word, sizeof word, "%.*s", (int)length, line + 1);
    const char *argument = line + 1 + length;
    argument += strspn(argument, " \t");
    struct nearest nearest = {.word = word};
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, word) == 0)
            return commands[i].run(repl, argument);
        nearest_offer(&nearest, commands[i].name);
    }
    return complain(repl, "unknown command :%s%s%s%s :help lists them", word,
                    nearest.best ? "; did you mean :" : "", nearest.best ? nearest.best : "",
                    nearest.best ? "?" : ";");
}

char *repl_complete_command(const char *text)
{
    struct buffer names;
    const char *typed = text + 1, *only = NULL;
    size_t length = strlen(typed), count = 0;
    buffer_init(&names, NAMES_MAXIMUM);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strncmp(commands[i].name, typed, length) != 0)
            continue;
        only = commands[i].name;
        buffer_printf(&names, "%s:%s", count++ ? "\n" : "", commands[i].name);
    }
    char *found = count == 0   ? NULL
                  : count == 1 ? memory_format("%s \n:%s", only + length, only)
                               : memory_format("\n%s", names.data);
    buffer_free(&names);
    return found;
}
