#include "unit.h"

#include "wire/repair.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FFFD "\xef\xbf\xbd"
#define BYTES(literal) (literal), sizeof(literal) - 1

static void becomes_bytes(const char *text, size_t length, const char *expected,
                          size_t expected_length)
{
    size_t got_length, again_length;
    char *got = repair_json(text, length, &got_length);
    if (got_length != expected_length || memcmp(got, expected, got_length) != 0)
        fail_msg("%s became %s, not %s", text, got, expected);
    assert_int_equal(got[got_length], '\0');
    char *again = repair_json(got, got_length, &again_length);
    assert_int_equal(again_length, got_length);
    assert_memory_equal(again, got, got_length);
    free(again);
    free(got);
}

static void becomes(const char *text, const char *expected)
{
    becomes_bytes(text, strlen(text), expected, strlen(expected));
}

static void stays(const char *text)
{
    becomes(text, text);
}

static bool parses(const char *text, size_t length)
{
    json_t *value = json_loadb(text, length, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
    json_decref(value);
    return value != NULL;
}

static void sound_json_stays_as_it_is(void **state)
{
    (void)state;
    stays("");
    stays("{\"a\": [1, -2.5e3, true, null, \"x\\n\\u00e9\\ud83d\\ude00 \xc3\xa9 "
          "\xf0\x9f\x98\x80\"]}");
    stays("[9223372036854775807,-9223372036854775808,0,-0,1e308,-1e308,1e-999]");
    stays("\"\\\\ud800\"");
    stays("\"99999999999999999999\"");
}

static void a_lone_surrogate_becomes_the_replacement_character(void **state)
{
    (void)state;
    becomes("\"\\ud800\"", "\"\\ufffd\"");
    becomes("\"\\uDFFF\"", "\"\\ufffd\"");
    becomes("\"\\ud800x\"", "\"\\ufffdx\"");
    becomes("\"\\ud800\\ud800\\udc00\"", "\"\\ufffd\\ud800\\udc00\"");
    becomes("\"\\ud800\\u0041\"", "\"\\ufffd\\u0041\"");
    becomes("\"\\udc00\\ud800\"", "\"\\ufffd\\ufffd\"");
    becomes("\"\\\\\\ud800\"", "\"\\\\\\ufffd\"");
    becomes("\"\\ud800\\udc0\"", "\"\\ufffd\\udc0\"");
    becomes("{\"\\ud800\":1}", "{\"\\ufffd\":1}");
}

static void a_byte_that_is_not_utf8_becomes_the_replacement_character(void **state)
{
    (void)state;
    becomes("\"a\xff"
            "b\"",
            "\"a" FFFD "b\"");
    becomes("\"\xc3\"", "\"" FFFD "\"");
    becomes("\"\xc0\x80\"", "\"" FFFD FFFD "\"");          /* overlong */
    becomes("\"\xed\xa0\x80\"", "\"" FFFD FFFD FFFD "\""); /* a surrogate */
    becomes("\"\xf4\x90\x80\x80\"", "\"" FFFD FFFD FFFD FFFD "\"");
    becomes("\"\xe2\x82\"", "\"" FFFD FFFD "\"");
    becomes("\"\xe2\x82\xac\x80\"", "\"\xe2\x82\xac" FFFD "\"");
}

static void a_number_too_large_becomes_a_string_of_its_digits(void **state)
{
    (void)state;
    becomes("[9223372036854775808]", "[\"9223372036854775808\"]");
    becomes("[-9223372036854775809]", "[\"-9223372036854775809\"]");
    becomes("{\"n\":123456789012345678901234567890 ,\"m\":1}",
            "{\"n\":\"123456789012345678901234567890\" ,\"m\":1}");
    becomes("[1e309,-1e309,1.5E+400]", "[\"1e309\",\"-1e309\",\"1.5E+400\"]");
    becomes("99999999999999999999", "\"99999999999999999999\"");
    becomes("[1e99999999999999999999999]", "[\"1e99999999999999999999999\"]");
}

static void a_control_character_in_a_string_becomes_its_escape(void **state)
{
    (void)state;
    becomes("\"a\nb\tc\x01\x1f\"", "\"a\\u000ab\\u0009c\\u0001\\u001f\"");
    becomes_bytes(BYTES("\"a\0b\""), BYTES("\"a\\u0000b\""));
    becomes("{\n\"a\":\t1}", "{\n\"a\":\t1}");
    becomes("\"\x7f\"", "\"\x7f\"");
}

static void what_is_no_json_stays_no_json(void **state)
{
    (void)state;
    static const char *const texts[] = {"{99999999999999999999:1}",
                                        "{99999999999999999999 \n:1}",
                                        "[01]",
                                        "[99999999999999999999999.]",
                                        "[1-99999999999999999999999]",
                                        "[-]",
                                        "[.5e999]",
                                        "[1e]",
                                        "\"\\x\"",
                                        "\"\\\n\"",
                                        "\"\\\xff\"",
                                        "\"\\u12\"",
                                        "\"unterminated",
                                        "\"\\",
                                        "\"\\u",
                                        "\"\\ud8",
                                        "{\"a\" 1}",
                                        "[1,]",
                                        "\xff",
                                        "nul",
                                        "<html>\"a\"</html>",
                                        "\"a\"99999999999999999999",
                                        "+99999999999999999999",
                                        "099999999999999999999"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        size_t length;
        char *repaired = repair_json(texts[i], strlen(texts[i]), &length);
        if (parses(repaired, length))
            fail_msg("%s became JSON: %s", texts[i], repaired);
        free(repaired);
    }
}

static void what_is_repaired_parses(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\":\"\\ud800 \xff \n \0\",\"n\":123456789012345678901,\"f\":1e999}";
    size_t length;
    char *repaired = repair_json(BYTES(text), &length);
    assert_false(parses(BYTES(text)));
    assert_true(parses(repaired, length));
    free(repaired);
}

static void large_broken_text_is_repaired_in_one_pass(void **state)
{
    (void)state;
    const size_t length = 4u << 20;
    static const char fills[] = {'\xff', '\n', '\\', '9', '"', ' '};
    for (size_t i = 0; i < sizeof fills; i++) {
        char *text = malloc(length);
        size_t repaired_length;
        memset(text, fills[i], length);
        text[0] = fills[i] == '9' ? '9' : '"';
        char *repaired = repair_json(text, length, &repaired_length);
        assert_true(repaired_length >= length);
        free(repaired);
        free(text);
    }
}

static void only_strict_utf8_counts_as_a_character(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
    } cases[] = {{"", 0},
                 {"a", 1},
                 {"\x7f", 1},
                 {"\x80", 0},
                 {"\xbf", 0},
                 {"\xc0\x80", 0},
                 {"\xc1\xbf", 0},
                 {"\xc2\x80", 2},
                 {"\xdf\xbf", 2},
                 {"\xc2", 0},
                 {"\xc2\x41", 0},
                 {"\xc2\xc0", 0},
                 {"\xe0\x80\x80", 0},
                 {"\xe0\x9f\xbf", 0},
                 {"\xe0\xa0\x80", 3},
                 {"\xed\x9f\xbf", 3},
                 {"\xed\xa0\x80", 0},
                 {"\xed\xbf\xbf", 0},
                 {"\xee\x80\x80", 3},
                 {"\xef\xbf\xbf", 3},
                 {"\xe1\x80", 0},
                 {"\xe1\x80\x41", 0},
                 {"\xf0\x80\x80\x80", 0},
                 {"\xf0\x8f\xbf\xbf", 0},
                 {"\xf0\x90\x80\x80", 4},
                 {"\xf4\x8f\xbf\xbf", 4},
                 {"\xf4\x90\x80\x80", 0},
                 {"\xf5\x80\x80\x80", 0},
                 {"\xf0\x90\x80", 0},
                 {"\xf0\x90\x80\x41", 0},
                 {"\xfe", 0},
                 {"\xff", 0}};
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(repair_character(cases[i].text, strlen(cases[i].text)), cases[i].size);
    assert_int_equal(repair_character("\0", 1), 1);
}

static void outgoing_text_is_utf8_without_nul(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t length;
        const char *expected;
    } cases[] = {{BYTES(""), ""},
                 {BYTES("plain"), "plain"},
                 {BYTES("\xc3\xa9\xf0\x9f\x98\x80"), "\xc3\xa9\xf0\x9f\x98\x80"},
                 {BYTES("a\0b\0"), "ab"},
                 {BYTES("\0\0"), ""},
                 {BYTES("a\xff"), "a" FFFD},
                 {BYTES("\xff\0\xfe"), FFFD FFFD},
                 {BYTES("line\nnext\ttab"), "line\nnext\ttab"},
                 {BYTES("\xed\xa0\x80"), FFFD FFFD FFFD}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t length;
        char *text = repair_text(cases[i].text, cases[i].length, &length);
        assert_string_equal(text, cases[i].expected);
        assert_int_equal(length, strlen(cases[i].expected));
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_json_stays_as_it_is),
        cmocka_unit_test(a_lone_surrogate_becomes_the_replacement_character),
        cmocka_unit_test(a_byte_that_is_not_utf8_becomes_the_replacement_character),
        cmocka_unit_test(a_number_too_large_becomes_a_string_of_its_digits),
        cmocka_unit_test(a_control_character_in_a_string_becomes_its_escape),
        cmocka_unit_test(what_is_no_json_stays_no_json),
        cmocka_unit_test(what_is_repaired_parses),
        cmocka_unit_test(large_broken_text_is_repaired_in_one_pass),
        cmocka_unit_test(only_strict_utf8_counts_as_a_character),
        cmocka_unit_test(outgoing_text_is_utf8_without_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
