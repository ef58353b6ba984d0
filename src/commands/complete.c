#include "commands/complete.h"
#include "commands/commands.h"

#include "base/memory.h"
#include "base/terminal.h"
#include "commands/ledger_view.h"
#include "commands/local_state.h"
#include "script/embedded.h"
#include "state/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACE_SIZE 64
#define ABOUT_MAXIMUM 80 /* bytes of foreign text after a candidate */
/* of an id; others may have a meaning in a shell */
#define PLAIN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

static const struct command *const commands[] = {
#define X(symbol) &symbol,
    COMMANDS(X)
#undef X
};

/* What was typed: all but the last word taken apart. */
struct typed {
    const struct command *command;
    const struct option *option; /* the last word is its value; NULL: it is not one */
    const char *word;            /* so far; of an option's value the part after "=" */
    const char *before;          /* "--name=" of it, as long as `before_length` */
    size_t before_length;
    bool only_positionals; /* after "--" */
    size_t position;       /* of the last word among the positionals */
    const char *workspace_id, *state_directory;
};

static void offer(const struct typed *typed, const char *value, size_t length, const char *about)
{
    size_t size = strlen(typed->word);
    if (length >= size && strncmp(value, typed->word, size) == 0)
        printf("%.*s%.*s%s%s\n", (int)typed->before_length, typed->before, (int)length, value,
               *about ? "\t" : "", about);
}

/* "a|b|C": the words that stand for themselves. */
static void offer_words(const struct typed *typed, const char *words)
{
    for (const char *word = words; *word;) {
        size_t length = strcspn(word, "|");
        if (*word < 'A' || *word > 'Z')
            offer(typed, word, length, "");
        word += length + (word[length] == '|');
    }
}

static void offer_backends(const struct typed *typed)
{
    for (const char *name = embedded_backends(); *name;) {
        size_t length = strcspn(name, ",");
        offer(typed, name, length, "built-in");
        name += length + strspn(name + length, ", ");
    }
}

/* --- what the state directory knows --- */

static char *find_directory(const struct typed *typed)
{
    const struct option *option = options_find(typed->command, "state-dir");
    const char *given = typed->state_directory, *home = getenv("HOME");
    if (!given && option && option->environment)
        given = getenv(option->environment);
    if (given && strncmp(given, "~/", 2) == 0 && home) /* the shell has not read it yet */
        return memory_join(home, given + 1);
    return local_state_directory(given);
}

static void offer_workspace(const char *id, void *typed)
{
    offer(typed, id, strlen(id), "");
}

static void offer_workspaces(const struct typed *typed)
{
    char *directory = find_directory(typed);
    if (directory)
        local_state_each(directory, offer_workspace, (void *)typed);
    free(directory);
}

/* A candidate that others have named, and what they said. */
static void offer_foreign(const struct typed *typed, const char *value, const char *about)
{
    size_t length = value ? strlen(value) : 0;
    char shown[ABOUT_MAXIMUM + 1] = "";
    if (length == 0 || *value == '-' || strspn(value, PLAIN) != length)
        return;
    if (about)
        shown[terminal_escape(about, strcspn(about, "\r\n"), TERMINAL_WORD, shown, ABOUT_MAXIMUM)] =
            '\0';
    offer(typed, value, length, shown);
}

static bool offer_letter(const struct ledger_message *message, void *typed)
{
    offer_foreign(typed, message->row_id, message->reason);
    return true;
}

static void offer_questions(const struct typed *typed, struct ledger *ledger)
{
    size_t i;
    json_t *each, *list = ledger_view_questions(ledger);
    json_array_foreach (list, i, each)
        offer_foreign(typed, json_string_value(json_object_get(each, "code")),
                      json_string_value(json_object_get(each, "text")));
    json_decref(list);
}

static void offer_from_ledger(const struct typed *typed, bool questions)
{
    char problem[1024], *directory = typed->workspace_id ? find_directory(typed) : NULL;
    if (!directory)
        return;
    char *path = local_state_path(directory, typed->workspace_id, "db");
    struct ledger *ledger;
    if (ledger_open(&ledger, path, NULL, LEDGER_READ, problem, sizeof problem) == LEDGER_OPENED) {
        if (questions)
            offer_questions(typed, ledger);
        else
            ledger_each_dead(ledger, offer_letter, (void *)typed);
        ledger_close(ledger);
    }
    free(path);
    free(directory);
}

/* --- places of a usage --- */

/* The next word of a usage that stands for an argument, without its brackets: "(<script> |
 * --backend NAME) [TEXT]... [options]" has script and TEXT. false: there are no more. */
static bool next_place(const struct command *command, const char **at, char place[PLACE_SIZE])
{
    for (const char *word = *at + strspn(*at, " "); *word; word += strspn(word, " ")) {
        size_t length = strcspn(word, " "), begin = strspn(word, "[(<");
        if (strncmp(word, "[options", 8) == 0)
            break;
        const char *text = word + begin;
        word += length;
        if (text[0] == '-' && text[1] == '-') {
            size_t size = strcspn(text + 2, " )]");
            char *name = memory_copy(text + 2, size);
            const struct option *option = options_find(command, name);
            free(name);
            if (option && option->argument) {
                word += strspn(word, " ");
                word += strcspn(word, " ");
            }
        } else if (text[0] != '|') {
            snprintf(place, PLACE_SIZE, "%.*s", (int)strcspn(text, " >])."), text);
            char *more = strstr(place, "…");
            if (more)
                *more = '\0';
            *at = word;
            return true;
        }
    }
    return false;
}

/* The last place of a usage is that of all further arguments. */
static void find_place(const struct typed *typed, char place[PLACE_SIZE])
{
    const char *at = typed->command->usage;
    char found[PLACE_SIZE];
    *place = '\0';
    for (size_t i = 0; i <= typed->position && next_place(typed->command, &at, found); i++)
        memcpy(place, found, PLACE_SIZE);
}

static void offer_argument(const struct typed *typed)
{
    char place[PLACE_SIZE];
    size_t most = typed->command->positional_maximum;
    if (most > 0 && typed->position >= most)
        return;
    find_place(typed, place);
    if (strchr(place, '|'))
        offer_words(typed, place);
    else if (strcmp(place, "workspace-id") == 0)
        offer_workspaces(typed);
    else if (strcmp(place, "message-id") == 0)
        offer_from_ledger(typed, false);
    else if (strcmp(place, "code") == 0)
        offer_from_ledger(typed, true);
    else if (strcmp(place, "DIR") == 0)
        printf(":directories\n");
    else if (strcmp(place, "FILE") == 0 || strcmp(place, "FOLDER") == 0 ||
             strcmp(place, "script") == 0 || strcmp(place, "recording") == 0)
        printf(":files\n");
}

static void offer_value(const struct typed *typed)
{
    const char *argument = typed->option->argument;
    if (strcmp(typed->option->name, "backend") == 0)
        offer_backends(typed);
    else if (strchr(argument, '|'))
        offer_words(typed, argument);
    else if (strcmp(argument, "DIR") == 0)
        printf(":directories\n");
    else if (strcmp(argument, "FILE") == 0 || typed->option->type == OPTION_PATH)
        printf(":files\n");
}

static void offer_option(const struct typed *typed, const char *name, const char *about)
{
    char *word = memory_join("--", name);
    offer(typed, word, strlen(word), about);
    free(word);
}

static void offer_options(const struct typed *typed)
{
    for (const struct option *option = NULL; (option = options_next(typed->command, option));)
        offer_option(typed, option->name, option->help);
    offer_option(typed, "help", "what the command does, and its options");
}

/* --- the words before the last --- */

static const struct option *find_letter(const struct command *command, char letter)
{
    const struct option *option = NULL;
    while ((option = options_next(command, option)) && option->letter != letter)
        ;
    return option;
}

/* The option that a word names. `*value`: what follows "=" in it; NULL: nothing does. */
static const struct option *read_option(const struct command *command, const char *word,
                                        const char **value)
{
    *value = NULL;
    if (word[1] != '-')
        return word[2] ? NULL : find_letter(command, word[1]);
    size_t length = strcspn(word + 2, "=");
    char *name = memory_copy(word + 2, length);
    const struct option *option = options_find(command, name);
    free(name);
    if (word[2 + length])
        *value = word + 2 + length + 1;
    return option;
}

static void note_value(struct typed *typed, const struct option *option, const char *value)
{
    if (strcmp(option->name, "state-dir") == 0)
        typed->state_directory = value;
}

static void note_positional(struct typed *typed, const char *word)
{
    char place[PLACE_SIZE];
    find_place(typed, place);
    if (strcmp(place, "workspace-id") == 0)
        typed->workspace_id = word;
    typed->position++;
}

static void read_words(struct typed *typed, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *word = words[i], *value;
        typed->option = NULL;
        if (!typed->only_positionals && strcmp(word, "--") == 0) {
            typed->only_positionals = true;
        } else if (!typed->only_positionals && word[0] == '-' && word[1]) {
            const struct option *option = read_option(typed->command, word, &value);
            if (option && option->argument && !value && i + 1 < count)
                value = words[++i];
            else if (option && option->argument && !value)
                typed->option = option;
            if (option && value)
                note_value(typed, option, value);
        } else {
            note_positional(typed, word);
        }
    }
}

static void offer_commands(const struct typed *typed)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        offer(typed, commands[i]->name, strlen(commands[i]->name), commands[i]->summary);
    if (*typed->word == '-') {
        offer_option(typed, "help", "the commands");
        offer_option(typed, "version", "the versions of molecule and of its libraries");
    }
}

void complete_print(const char *const *words, size_t count)
{
    struct typed typed = {.word = count > 0 ? words[count - 1] : ""};
    const char *value;
    for (size_t i = 0; count > 1 && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(words[0], commands[i]->name) == 0)
            typed.command = commands[i];
    /* the rest is another command's line */
    for (size_t i = 0; count > 2 && i < sizeof commands / sizeof *commands; i++)
        if (typed.command == &command_config && strcmp(words[1], commands[i]->name) == 0 &&
            options_find(commands[i], "config")) {
            typed.command = commands[i];
            words++;
            count--;
        }
    if (count <= 1)
        offer_commands(&typed);
    if (!typed.command)
        return;
    read_words(&typed, words + 1, count - 2);
    if (!typed.option && !typed.only_positionals && typed.word[0] == '-') {
        typed.option = read_option(typed.command, typed.word, &value);
        if (!typed.option || !typed.option->argument || !value) {
            offer_options(&typed);
            return;
        }
        typed.before = typed.word;
        typed.before_length = (size_t)(value - typed.word);
        typed.word = value;
    }
    if (typed.option)
        offer_value(&typed);
    else
        offer_argument(&typed);
}
