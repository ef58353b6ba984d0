/* The tables of options: what holds for every line of them. */
#include "unit.h"

#include "commands/commands.h"
#include "molecule/molecule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct command *const commands[] = {
#define X(symbol) &symbol,
    COMMANDS(X)
#undef X
};

#define COMMAND_COUNT (sizeof commands / sizeof *commands)

static _Alignas(max_align_t) char values[4096]; /* larger than any command's structure */

static bool is_number(const struct option *option)
{
    return option->type == OPTION_NUMBER || option->type == OPTION_DURATION ||
           option->type == OPTION_MILLISECONDS || option->type == OPTION_SECONDS ||
           option->type == OPTION_SIZE;
}

static void check_standard(const struct command *command, const struct option *option)
{
    const char *standard = options_standard(command, option);
    memset(values, 0, sizeof values);
    if (!standard)
        return;
    assert_null(option_set(option, standard, values));
    assert_null(option_find_problem(option, values));
}

static void every_default_is_within_its_bounds(void **context)
{
    (void)context;
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        for (const struct option *option = NULL; (option = options_next(commands[i], option));)
            check_standard(commands[i], option);
}

static void every_option_explains_itself(void **context)
{
    (void)context;
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        for (const struct option *option = NULL; (option = options_next(commands[i], option));) {
            assert_true(option->help && *option->help);
            assert_int_equal(!option->argument, option->type == OPTION_FLAG);
            if (option->type == OPTION_EITHER || option->type == OPTION_CHOICE)
                assert_non_null(strchr(option->argument, '|'));
        }
}

static void every_bound_fits_its_member(void **context)
{
    (void)context;
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        for (const struct option *option = NULL; (option = options_next(commands[i], option));) {
            if (!is_number(option))
                continue;
            assert_true(option->size == 4 || option->size == 8);
            assert_true(!option->maximum || option->maximum > option->minimum);
            if (option->size == 4)
                assert_in_range(option->maximum, 1, INT32_MAX);
        }
}

/* A value that the option takes, other than its default. */
static const char *sample(const struct option *option)
{
    static char text[32];
    switch (option->type) {
    case OPTION_FLAG: return "true";
    case OPTION_EITHER: return strchr(option->argument, '|') + 1;
    case OPTION_CHOICE: return strrchr(option->argument, '|') + 1;
    case OPTION_PAIRS: return "name=value";
    case OPTION_DURATION:
        snprintf(text, sizeof text, "%lldms", (long long)option->minimum + 3);
        return text;
    case OPTION_SIZE:
        snprintf(text, sizeof text, "%lldB", (long long)option->minimum + 3);
        return text;
    default: snprintf(text, sizeof text, "%lld", (long long)option->minimum + 3); return text;
    }
}

static void check_parsing(const struct command *command, const struct option *option)
{
    char flag[64];
    const char *positionals[1024];
    size_t count;
    snprintf(flag, sizeof flag, "--%s=%s", option->name, sample(option));
    memset(values, 0, sizeof values);
    assert_int_equal(options_parse(command, 1, (char *[]){flag}, values, positionals, &count),
                     OPTIONS_PARSED);
    if (is_number(option))
        assert_int_equal(option->size == 4 ? *(int32_t *)(void *)(values + option->offset)
                                           : *(int64_t *)(void *)(values + option->offset),
                         option->minimum + 3);
    else if (option->type == OPTION_PAIRS || option->type == OPTION_LIST)
        assert_int_equal(*(size_t *)(void *)(values + option->count_offset), 1);
    else if (option->type != OPTION_EITHER)
        assert_true(values[option->offset]);
    options_free(command, values);
}

static void every_value_can_be_typed_again(void **context)
{
    (void)context;
    static _Alignas(max_align_t) char again[sizeof values];
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        for (const struct option *option = NULL; (option = options_next(commands[i], option));) {
            memset(values, 0, sizeof values);
            memset(again, 0, sizeof again);
            assert_null(option_set(option, sample(option), values));
            assert_int_equal(option_count(option, values), 1);
            char *text = option_text(option, values, 0);
            assert_null(option_set(option, text, again));
            char *same = option_text(option, again, 0);
            assert_string_equal(same, text);
            if (is_number(option))
                assert_memory_equal(again + option->offset, values + option->offset, option->size);
            option_free(option, values);
            option_free(option, again);
            free(text);
            free(same);
        }
}

static void check_shown(enum option_type type, int64_t number, const char *shown)
{
    const struct option option = {.type = type, .size = sizeof number, .standard = "1"};
    char *text = option_text(&option, &number, 0);
    assert_string_equal(text, shown);
    free(text);
}

static void numbers_are_shown_in_their_largest_unit(void **context)
{
    (void)context;
    check_shown(OPTION_DURATION, 0, "0");
    check_shown(OPTION_DURATION, 250, "250ms");
    check_shown(OPTION_DURATION, 90000, "90s");
    check_shown(OPTION_MILLISECONDS, 86400000, "24h");
    check_shown(OPTION_SECONDS, 300, "5m");
    check_shown(OPTION_SIZE, 64 << 20, "64MiB");
    check_shown(OPTION_SIZE, 1025, "1025B");
    check_shown(OPTION_NUMBER, 1024, "1024");
}

static void every_option_is_found_by_the_parser(void **context)
{
    (void)context;
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        for (const struct option *option = NULL; (option = options_next(commands[i], option));) {
            assert_ptr_equal(options_find(commands[i], option->name), option);
            check_parsing(commands[i], option);
        }
}

static void a_choice_takes_its_words_and_nothing_else(void **context)
{
    (void)context;
    const char *chosen = NULL;
    struct option option = {.type = OPTION_CHOICE, .argument = "auto|always|never"};
    static const char *const wrong[] = {"",  "a",           "aut",  "autos",
                                        "|", "auto|always", "ways", "never|"};
    static const char *const right[] = {"auto", "always", "never"};
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        assert_null(option_set(&option, right[i], &chosen));
        assert_ptr_equal(chosen, right[i]);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_string_equal(option_set(&option, wrong[i], &chosen), "is auto, always or never");
}

static void no_key_of_a_fleet_file_stands_for_two_options(void **context)
{
    (void)context;
    for (const struct option *one = NULL; (one = options_next(&command_connect, one));)
        for (const struct option *other = one; (other = options_next(&command_connect, other));)
            assert_false(one->key && other->key && strcmp(one->key, other->key) == 0);
}

static void a_program_gets_the_defaults_of_the_flags(void **context)
{
    (void)context;
    static const struct option table[] = {
#define MOLECULE_OPTION(...) OPTION_ROW(struct molecule_workspace_options, __VA_ARGS__),
#include "molecule/options.def"
    };
    struct molecule_workspace_options workspace;
    molecule_workspace_defaults(&workspace);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *member = (const char *)&workspace + table[i].offset;
        if (!is_number(&table[i]))
            continue;
        memset(values, 0, sizeof values);
        if (table[i].standard)
            assert_null(option_set(&table[i], table[i].standard, values));
        assert_memory_equal(member, values + table[i].offset, table[i].size);
    }
    assert_true(workspace.wake_by_stream);
    assert_null(workspace.api_url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_default_is_within_its_bounds),
        cmocka_unit_test(every_option_explains_itself),
        cmocka_unit_test(every_bound_fits_its_member),
        cmocka_unit_test(every_option_is_found_by_the_parser),
        cmocka_unit_test(every_value_can_be_typed_again),
        cmocka_unit_test(numbers_are_shown_in_their_largest_unit),
        cmocka_unit_test(a_choice_takes_its_words_and_nothing_else),
        cmocka_unit_test(no_key_of_a_fleet_file_stands_for_two_options),
        cmocka_unit_test(a_program_gets_the_defaults_of_the_flags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
