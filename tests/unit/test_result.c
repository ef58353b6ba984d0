/* Unit tests of wire/result: what a peer's answer amounts to. */
#include "unit.h"

#include "wire/result.h"

#include <stdlib.h>
#include <string.h>

#define TEXT(t) "[{\"kind\":\"text\",\"text\":\"" t "\"}]"
#define SAID(t) "\"message\":{\"parts\":" TEXT(t) "}"
#define TASK(state, rest) \
    "{\"kind\":\"task\",\"id\":\"t\",\"status\":{\"state\":\"" state "\"" rest "}"

static void check(const char *text, const char *expected, const char *given)
{
    if (expected ? !text || strcmp(text, expected) != 0 : text != NULL)
        fail_msg("%s: %s, not %s", given, text ? text : "none", expected ? expected : "none");
}

static void an_answer_is_a_message_a_text_or_what_a_task_has_made(void **state)
{
    (void)state;
    static const struct {
        const char *result, *text;
    } cases[] = {
        {"\"plain\"", "plain"},
        {"\"a\\u0000b\"", "ab"},
        {"{\"parts\":" TEXT("a") "}", "a"},
        {"{\"kind\":\"message\",\"content\":" TEXT("a") "}", "a"},
        {"{\"content\":\"a\"}", "a"},
        {"{\"status\":{\"message\":{\"parts\":" TEXT("b") "}}}", "b"},
        {"{\"artifacts\":[{\"parts\":" TEXT("c") "},{\"parts\":[]},7,{\"parts\":" TEXT("d") "}]}",
         "cd"},
        {"{\"artifacts\":[{\"parts\":" TEXT("c") "}],\"status\":{\"message\":{\"parts\":" TEXT(
             "b") "}}}",
         "c"},
        {"{\"artifacts\":[{\"parts\":[]}],\"status\":{\"message\":{\"parts\":" TEXT("b") "}}}",
         "b"},
        {"{\"parts\":[{\"kind\":\"data\",\"data\":1}],\"status\":{\"message\":{\"parts\":" TEXT(
             "b") "}}}",
         NULL},
        {"{\"parts\":[{\"kind\":\"text\",\"text\":\"a\\u0000b\"}]}", "ab"},
        {"{\"task\":" TASK("TASK_STATE_COMPLETED",
                           "},\"artifacts\":[{\"parts\":[{\"text\":\"new\"}]}]") "}",
         "new"},
        {"{\"message\":{\"role\":\"ROLE_AGENT\",\"parts\":[{\"text\":\"new\"}]}}", "new"},
        {"{\"kind\":\"artifact-update\",\"artifact\":{\"parts\":" TEXT("up") "}}", "up"},
        {TASK("completed", "},\"history\":[{\"role\":\"agent\",\"parts\":" TEXT(
                               "said") "},{\"role\":\"user\",\"parts\":" TEXT("asked") "}]"),
         "said"},
        {"{}", NULL},
        {"null", NULL},
        {"7", NULL},
        {"[]", NULL},
        {"{\"parts\":[]}", NULL},
        {"{\"artifacts\":[]}", NULL}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct result result;
        json_t *value = json_loads(cases[i].result, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(value);
        assert_true(result_read(value, &result));
        assert_int_equal(result.kind, RESULT_ANSWER);
        check(result.text, cases[i].text, cases[i].result);
        result_free(&result);
        json_decref(value);
    }
}

static void the_parts_of_artifacts_come_along(void **state)
{
    (void)state;
    struct result result;
    json_t *value = json_loads(
        TASK("completed", "," SAID("Done.") "},\"contextId\":\"c\",\"artifacts\":[{\"parts\":"
                                            "[{\"kind\":\"file\",\"file\":{\"name\":\"a\","
                                            "\"bytes\":\"aGk=\"}}]},{\"parts\":" TEXT("x") "}]"),
        0, NULL);
    assert_non_null(value);
    assert_true(result_read(value, &result));
    assert_string_equal(result.text, "x");
    assert_int_equal(json_array_size(result.parts), 2);
    assert_string_equal(result.state, "completed");
    assert_string_equal(result.task_id, "t");
    assert_string_equal(result.context_id, "c");
    result_free(&result);
    json_decref(value);
}

static void a_tasks_state_decides_what_it_is(void **state)
{
    (void)state;
    static const struct {
        const char *state, *word;
        enum result_kind kind;
    } cases[] = {{"completed", "completed", RESULT_ANSWER},
                 {"input-required", "input-required", RESULT_QUESTION},
                 {"TASK_STATE_INPUT_REQUIRED", "input-required", RESULT_QUESTION},
                 {"input_required", "input-required", RESULT_QUESTION},
                 {"auth-required", "auth-required", RESULT_QUESTION},
                 {"submitted", "submitted", RESULT_UNDER_WAY},
                 {"TASK_STATE_WORKING", "working", RESULT_UNDER_WAY},
                 {"failed", "failed", RESULT_FAILURE},
                 {"Rejected", "rejected", RESULT_FAILURE},
                 {"canceled", "canceled", RESULT_FAILURE},
                 {"TASK_STATE_CANCELLED", "canceled", RESULT_FAILURE},
                 {"unknown", NULL, RESULT_ANSWER},
                 {"", NULL, RESULT_ANSWER}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[512];
        struct result result;
        snprintf(text, sizeof text,
                 "{\"kind\":\"task\",\"status\":{\"state\":\"%s\"," SAID(
                     "said") "},\"artifacts\":"
                             "[{\"parts\":" TEXT("made") "}]}",
                 cases[i].state);
        json_t *value = json_loads(text, 0, NULL);
        assert_non_null(value);
        assert_true(result_read(value, &result));
        if (result.kind != cases[i].kind)
            fail_msg("%s: %d, not %d", cases[i].state, result.kind, cases[i].kind);
        check(result.state, cases[i].word, cases[i].state);
        check(result.text, cases[i].kind == RESULT_ANSWER ? "made" : "saidmade", cases[i].state);
        result_free(&result);
        json_decref(value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_a_message_a_text_or_what_a_task_has_made),
        cmocka_unit_test(the_parts_of_artifacts_come_along),
        cmocka_unit_test(a_tasks_state_decides_what_it_is)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
