/* Base64 both ways. */
#include "unit.h"

#include "base/base64.h"

#include <stdio.h>
#include <string.h>

static const char *decoded(const char *text, size_t length)
{
    static char bytes[64];
    static char told[64];
    size_t count, bad;
    if (base64_decode(text, length, bytes, &count, &bad)) {
        assert_true(count <= base64_decoded_maximum(length));
        bytes[count] = '\0';
        return bytes;
    }
    snprintf(told, sizeof told, "bad at %zu", bad);
    return told;
}

static void every_length_comes_back(void **state)
{
    (void)state;
    char bytes[256], text[400], back[300];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 167);
    for (size_t length = 0; length <= sizeof bytes; length++) {
        size_t encoded = base64_encoded_length(length), count, bad;
        base64_encode(bytes, length, text);
        assert_true(base64_decode(text, encoded, back, &count, &bad));
        assert_int_equal(count, length);
        assert_memory_equal(back, bytes, length);
    }
}

static void text_is_as_others_write_it(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"", ""},        {"f", "Zg=="},        {"fo", "Zm8="},
        {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\xfb\xff\xbf", "+/+/"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char text[16] = "";
        base64_encode(pairs[i][0], strlen(pairs[i][0]), text);
        assert_string_equal(text, pairs[i][1]);
        assert_string_equal(decoded(text, strlen(text)), pairs[i][0]);
    }
}

static void blanks_the_other_alphabet_and_missing_padding_are_taken(void **state)
{
    (void)state;
    static const char *const texts[][2] = {{"Zm9v\r\nYg==\n", "foob"},
                                           {" Z g = = ", "f"},
                                           {"-_-_", "\xfb\xff\xbf"},
                                           {"Zg", "f"},
                                           {"Zm8", "fo"},
                                           {" \n", ""}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_string_equal(decoded(texts[i][0], strlen(texts[i][0])), texts[i][1]);
}

static void what_is_wrong_is_found_where_it_is(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"Zm9v!", "bad at 4"}, {"Zm=v", "bad at 3"},     {"Zg=", "bad at 2"},
        {"Zg===", "bad at 4"}, {"=", "bad at 0"},        {"Zm9v=", "bad at 4"},
        {"Zm9vY", "bad at 5"}, {"Zm8=Zm8=", "bad at 4"}, {"\xc3\xa4", "bad at 0"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_string_equal(decoded(texts[i][0], strlen(texts[i][0])), texts[i][1]);
    assert_string_equal(decoded("Zm9v\0", 5), "bad at 4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_comes_back),
        cmocka_unit_test(text_is_as_others_write_it),
        cmocka_unit_test(blanks_the_other_alphabet_and_missing_padding_are_taken),
        cmocka_unit_test(what_is_wrong_is_found_where_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
