/* Words for people: what may have been meant, what a shell reads as one word, and what a failure
 * means. */
#include "unit.h"

#include "base/memory.h"
#include "base/nearest.h"
#include "base/plural.h"
#include "base/shell.h"
#include "net/http_trouble.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *nearest_of(const char *word, const char *const *candidates)
{
    struct nearest nearest = {.word = word};
    for (; *candidates; candidates++)
        nearest_offer(&nearest, *candidates);
    return nearest.best ? nearest.best : "none";
}

static void a_slip_is_told_from_another_word(void **state)
{
    (void)state;
    static const char *const options[] = {"script",      "script-opt", "since-secs", "state-dir",
                                          "token",       "token-file", "timeout",    "interval-ms",
                                          "description", "q",          NULL};
    static const struct {
        const char *word, *meant;
    } cases[] = {
        {"scrpt", "script"},    {"srcipt", "script"},
        {"SCRIPT", "script"},   {"interval_ms", "interval-ms"},
        {"tokn", "token"},      {"tokenfile", "token-file"},
        {"timeuot", "timeout"}, {"desc", "description"},
        {"time", "timeout"},    {"x", "none"},
        {"", "none"},           {"verbose", "none"},
        {"zzzzzz", "none"},     {"to", "none"},
        {"state", "state-dir"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(nearest_of(cases[i].word, options), cases[i].meant);
}

static void a_word_of_any_length_is_compared_within_bounds(void **state)
{
    (void)state;
    char *word = memory_allocate(100001);
    memset(word, 'a', 100000);
    const char *const long_ones[] = {word, "a", NULL};
    assert_string_equal(nearest_of(word, long_ones), "none");
    const char *const short_ones[] = {"aa", word, NULL};
    assert_string_equal(nearest_of("ab", short_ones), "aa");
    free(word);
}

static void a_shell_reads_what_was_meant(void **state)
{
    (void)state;
    static const char *const words[] = {"plain/path-1.lua",
                                        "with blank",
                                        "it's",
                                        "$HOME `id` \"x\"",
                                        "",
                                        "a\nb",
                                        "*",
                                        "~",
                                        "-x",
                                        "\\"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char *word = shell_word(words[i]), *command = memory_format("printf %%s.. %s", word),
             out[256];
        FILE *pipe = popen(command, "r");
        size_t length = fread(out, 1, sizeof out - 1, pipe);
        out[length] = '\0';
        assert_int_equal(pclose(pipe), 0);
        char *expected = memory_format("%s..", words[i]);
        assert_string_equal(out, expected);
        free(expected);
        free(command);
        free(word);
    }
    char *plain = shell_word("plain/path-1.lua");
    assert_string_equal(plain, "plain/path-1.lua");
    free(plain);
}

static void one_is_no_plural(void **state)
{
    (void)state;
    assert_string_equal(plural(1), "");
    assert_string_equal(plural(0), "s");
    assert_string_equal(plural(2), "s");
}

static void a_wrong_scheme_is_told_from_other_trouble(void **state)
{
    (void)state;
    assert_non_null(
        strstr(http_trouble_explain("error:0A00010B:SSL routines::wrong version number"),
               "http:// instead of https://"));
    assert_non_null(strstr(http_trouble_explain("Received HTTP/0.9 when not allowed"),
                           "https:// instead of http://"));
    assert_string_equal(http_trouble_explain("Connection refused"), "Connection refused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slip_is_told_from_another_word),
        cmocka_unit_test(a_word_of_any_length_is_compared_within_bounds),
        cmocka_unit_test(a_shell_reads_what_was_meant),
        cmocka_unit_test(one_is_no_plural),
        cmocka_unit_test(a_wrong_scheme_is_told_from_other_trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
