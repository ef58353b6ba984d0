/* Any words, one a line, as the arguments of a command, which the first byte chooses. Nothing is
 * run. */
#include "fuzz.h"

#include "base/memory.h"
#include "commands/commands.h"

#include <string.h>

#define WORDS_MAXIMUM 64
#define POSITIONALS_MAXIMUM 1024 /* more than any command takes */
#define FIELDS_SIZE 4096         /* more than any command's structure */

static const struct command *const commands[] = {
#define X(symbol) &symbol,
    COMMANDS(X)
#undef X
};

static void check_values(const struct command *command, const char *values)
{
    for (const struct option *option = NULL; (option = options_next(command, option));) {
        const char *field = values + option->offset;
        HOLDS(option->offset + sizeof(void *) <= FIELDS_SIZE &&
              option->count_offset + sizeof(size_t) <= FIELDS_SIZE);
        HOLDS(!option_find_problem(option, values));
        size_t count = *(const size_t *)(const void *)(values + option->count_offset);
        switch (option->type) {
        case OPTION_FLAG:
        case OPTION_EITHER: HOLDS(*(const unsigned char *)field <= 1); break;
        case OPTION_TEXT:
        case OPTION_CHOICE:
        case OPTION_PATH: HOLDS(!*(char *const *)field || **(char *const *)field); break;
        case OPTION_PAIRS:
            for (size_t i = 0; i < count; i++)
                HOLDS(*(*(const struct molecule_option *const *)field)[i].name);
            break;
        case OPTION_LIST:
            for (size_t i = 0; i < count; i++)
                HOLDS((*(const char *const *const *)field)[i]);
            break;
        default: break;
        }
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    unsetenv("MOLECULE_API_URL");
    unsetenv("MOLECULE_STATE_DIR");
    unsetenv("MOLECULE_WORKSPACE_TOKEN");
    unsetenv("MOLECULE_WORKSPACE_TOKEN_FILE");
    unsetenv("MOLECULE_ORG_ID");
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *words[WORDS_MAXIMUM], *text, *rest;
    const char *positionals[POSITIONALS_MAXIMUM];
    size_t count, used = 0;
    if (size == 0)
        return 0;
    const struct command *command = commands[*data % (sizeof commands / sizeof *commands)];
    void *values = memory_allocate(FIELDS_SIZE);
    rest = text = memory_copy(data + 1, size - 1);
    for (char *word; used < WORDS_MAXIMUM && (word = strsep(&rest, "\n"));)
        words[used++] = word;
    HOLDS(command->positional_maximum <= POSITIONALS_MAXIMUM);
    enum options_result result = options_parse(command, (int)used, words, values, positionals,
                                               &count);
    HOLDS(count <= command->positional_maximum);
    if (result == OPTIONS_PARSED)
        check_values(command, values);
    options_free(command, values);
    free(values);
    free(text);
    return 0;
}
