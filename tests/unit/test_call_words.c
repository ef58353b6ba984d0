/* What a recording hides of URLs, commands and answers. */
#include "unit.h"

#include "base/log.h"
#include "script/call_words.h"

#include <stdlib.h>
#include <string.h>

static void expect_hidden(const char *text, const char *expected)
{
    char *shown = call_words_hide(text);
    assert_string_equal(shown, expected);
    free(shown);
}

static void names_that_promise_a_secret(void **state)
{
    (void)state;
    static const char *const secret[] = {
        "api_key", "apikey",     "X-Api-Key",     "access_token", "TOKEN",     "--password",
        "passwd",  "Set-Cookie", "client-secret", "sig",          "signature", "Authorization"};
    static const char *const plain[] = {"",     "q",       "max_tokens", "page",     "keyword",
                                        "--",   "signal",  "design",     "decode",   "passage",
                                        "etag", "monkeys", "author",     "Location", "codes"};
    for (size_t i = 0; i < sizeof secret / sizeof *secret; i++)
        if (!call_words_secret(secret[i], strlen(secret[i])))
            fail_msg("%s", secret[i]);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (call_words_secret(plain[i], strlen(plain[i])))
            fail_msg("%s", plain[i]);
}

static void urls_and_commands_keep_what_is_no_secret(void **state)
{
    (void)state;
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"", ""},
        {"https://a.example/x?q=1&page=2#part", "https://a.example/x?q=1&page=2#part"},
        {"https://a.example/x?api_key=abc&q=1", "https://a.example/x?api_key=[hidden]&q=1"},
        {"https://a.example/x?token=&q=1", "https://a.example/x?token=&q=1"},
        {"https://me:pass@a.example/m@x", "https://[hidden]@a.example/m@x"},
        {"https://a.example/m@x", "https://a.example/m@x"},
        {"https://a@b@c.example", "https://[hidden]@c.example"},
        {"API_KEY=abc run", "API_KEY=[hidden] run"},
        {"API_KEY='a b' run", "API_KEY='[hidden]' run"},
        {"run --token=\"a b", "run --token=\"[hidden]"},
        {"curl -H 'Authorization: Basic YWJj' x", "curl -H 'Authorization: [hidden]' x"},
        {"curl -H \"X-Api-Key: abc\" x", "curl -H \"X-Api-Key: [hidden]\" x"},
        {"say Bearer abc twice", "say Bearer [hidden] twice"},
        {"forbearer abc", "forbearer abc"},
        {"fix the code: it fails", "fix the code: it fails"},
        {"ask max_tokens=5", "ask max_tokens=5"},
        {"bytes \xff here", "bytes \xef\xbf\xbd here"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_hidden(cases[i].text, cases[i].shown);
}

static void long_texts_differ_where_they_are_cut(void **state)
{
    (void)state;
    static char long_text[CALL_WORDS_MAXIMUM * 2];
    memset(long_text, 'x', sizeof long_text - 1);
    char *first = call_words_hide(long_text);
    long_text[sizeof long_text - 2] = 'y';
    char *second = call_words_hide(long_text);
    assert_true(strlen(first) < CALL_WORDS_MAXIMUM + 32);
    assert_string_not_equal(first, second);
    free(first);
    free(second);
}

static void expect_answer(const char *bytes, size_t length, const char *expected, size_t size)
{
    size_t left;
    /* of its exact size, for the sanitizer */
    char *exact = malloc(length ? length : 1);
    memcpy(exact, bytes, length);
    char *shown = call_words_hide_answer(exact, length, &left);
    assert_int_equal(left, size);
    assert_memory_equal(shown, expected, size);
    free(shown);
    free(exact);
}

#define EXPECT_ANSWER(bytes, expected) \
    expect_answer(bytes, sizeof bytes - 1, expected, sizeof expected - 1)

static void answers_lose_credentials_and_nothing_else(void **state)
{
    (void)state;
    log_hide("my-own-token");
    EXPECT_ANSWER("", "");
    EXPECT_ANSWER("\"", "\"");
    EXPECT_ANSWER("{\"access_token\" : \"a\\\"b\", \"x\": 1}",
                  "{\"access_token\" : \"[hidden]\", \"x\": 1}");
    EXPECT_ANSWER("{\"password\":\"cut off", "{\"password\":\"[hidden]");
    EXPECT_ANSWER("{\"password\":\"cut\\", "{\"password\":\"[hidden]");
    EXPECT_ANSWER("{\"password\":", "{\"password\":");
    EXPECT_ANSWER("{\"access_token\":null}", "{\"access_token\":null}");
    EXPECT_ANSWER("{\"token\":\"Hello\"}", "{\"token\":\"Hello\"}");
    EXPECT_ANSWER("a\0my-own-token\0\0my-own-token", "a\0[hidden]\0\0[hidden]");
    EXPECT_ANSWER("\0", "\0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_promise_a_secret),
        cmocka_unit_test(urls_and_commands_keep_what_is_no_secret),
        cmocka_unit_test(long_texts_differ_where_they_are_cut),
        cmocka_unit_test(answers_lose_credentials_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
