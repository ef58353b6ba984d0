#include "unit.h"

#include "base/buffer.h"
#include "wire/page.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static struct page cut(const char *body)
{
    struct page page;
    const char *problem = "untouched";
    if (!page_cut(body, strlen(body), &page, &problem))
        fail_msg("%s: %s", body, problem);
    assert_null(problem);
    return page;
}

static void refuses(const char *body, size_t length, const char *words)
{
    struct page page;
    const char *problem = NULL;
    if (page_cut(body, length, &page, &problem))
        fail_msg("was cut: %s", body);
    assert_non_null(problem);
    if (!strstr(problem, words))
        fail_msg("%s: says \"%s\", not \"%s\"", body, problem, words);
    assert_null(page.rows);
    assert_int_equal(page.count, 0);
}

static void row_is(const struct page *page, size_t index, const char *expected)
{
    assert_true(index < page->count);
    assert_int_equal(page->rows[index].length, strlen(expected));
    assert_memory_equal(page->rows[index].bytes, expected, strlen(expected));
}

static void an_empty_inbox_has_no_rows(void **state)
{
    (void)state;
    const char *const bodies[] = {"[]", " [ ] ", "\r\n[\t]\n"};
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct page page = cut(bodies[i]);
        assert_int_equal(page.count, 0);
        page_free(&page);
    }
}

static void every_row_comes_exactly_as_it_stood(void **state)
{
    (void)state;
    struct page page = cut(
        " [ {\"a\": [1, {\"b\":2}]} ,\n{\"s\":\"],}[\\\"\\\\\"},3 , \"x,y\" ,null,[[]]\n] \n");
    assert_int_equal(page.count, 6);
    row_is(&page, 0, "{\"a\": [1, {\"b\":2}]}");
    row_is(&page, 1, "{\"s\":\"],}[\\\"\\\\\"}");
    row_is(&page, 2, "3");
    row_is(&page, 3, "\"x,y\"");
    row_is(&page, 4, "null");
    row_is(&page, 5, "[[]]");
    page_free(&page);
}

static void a_row_that_is_no_json_does_not_spoil_the_next(void **state)
{
    (void)state;
    struct page page = cut("[{\"id\":oops nonsense \xff \"\\ud800\"},{\"id\":\"2\"}]");
    assert_int_equal(page.count, 2);
    row_is(&page, 1, "{\"id\":\"2\"}");
    page_free(&page);
}

static void a_body_that_is_not_a_whole_array_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *body, *words;
    } cases[] = {{"", "empty"},
                 {"  \n", "empty"},
                 {"<html>", "HTML"},
                 {"{\"error\":\"x\"}", "object"},
                 {"null", "not a JSON array"},
                 {"404 page not found", "not a JSON array"},
                 {"[", "ends before"},
                 {"[{", "ends before"},
                 {"[{\"a\":1}", "ends before"},
                 {"[{\"a\":1},", "ends before"},
                 {"[{\"a\":\"1", "ends before"},
                 {"[\"\\\"]", "ends before"},
                 {"[\"a\\\\\\\"]", "ends before"},
                 {"[]x", "follow"},
                 {"[1]]", "follow"},
                 {"[1],", "follow"},
                 {"[1] [2]", "follow"},
                 {"[1,]", "without a row"},
                 {"[,1]", "without a row"},
                 {"[,]", "without a row"},
                 {"[1,,2]", "without a row"},
                 {"[1 , ]", "without a row"},
                 {"[}", "brace"},
                 {"[1}", "brace"},
                 {"[{}}]", "brace"}};
    for (size_t i = 0; i < COUNT(cases); i++)
        refuses(cases[i].body, strlen(cases[i].body), cases[i].words);
    refuses("[1]\0", 4, "follow");
    refuses("\0[1]", 4, "not a JSON array");
    refuses(NULL, 0, "empty");
}

static void every_truncation_of_a_page_is_noticed(void **state)
{
    (void)state;
    const char *body = "[{\"id\":\"1\",\"request_body\":{\"a\":[\"\\\"]\",{}]}},{\"id\":\"2\"}]";
    for (size_t length = 0; length < strlen(body); length++)
        refuses(body, length, length == 0 ? "empty" : "ends before");
}

static void as_many_rows_as_the_maximum_are_cut_and_one_more_is_refused(void **state)
{
    (void)state;
    struct buffer body;
    struct page page;
    const char *problem;
    buffer_init(&body, SIZE_MAX / 2);
    buffer_append_text(&body, "[0");
    for (size_t i = 1; i < PAGE_ROWS_MAXIMUM; i++)
        buffer_append_text(&body, ",0");
    buffer_append_text(&body, "]");
    assert_true(page_cut(body.data, body.length, &page, &problem));
    assert_int_equal(page.count, PAGE_ROWS_MAXIMUM);
    page_free(&page);
    body.data[body.length - 1] = ',';
    buffer_append_text(&body, "0]");
    refuses(body.data, body.length, "too many rows");
    buffer_free(&body);
}

static char *filled(size_t length, const char *head, char fill, const char *tail)
{
    char *bytes = malloc(length + 1);
    memset(bytes, fill, length);
    memcpy(bytes, head, strlen(head));
    memcpy(bytes + length - strlen(tail), tail, strlen(tail));
    bytes[length] = '\0';
    return bytes;
}

static void a_page_of_64_mib_is_cut_whatever_it_is_made_of(void **state)
{
    (void)state;
    const size_t length = 64u << 20;
    struct page page;
    const char *problem;
    char *body = filled(length, "[{\"id\":\"1\",\"s\":\"", 'x', "\"},{\"id\":\"2\"}]");
    assert_true(page_cut(body, length, &page, &problem));
    assert_int_equal(page.count, 2);
    page_free(&page);
    free(body);

    body = filled(length, "[\"", '\\', "\"]"); /* an even run of backslashes */
    assert_true(page_cut(body, length, &page, &problem));
    page_free(&page);
    free(body);

    body = filled(length, "[", '[', "");
    assert_false(page_cut(body, length, &page, &problem));
    memset(body + length / 2, ']', length / 2);
    assert_true(page_cut(body, length, &page, &problem));
    assert_int_equal(page.count, 1);
    page_free(&page);
    free(body);

    body = filled(length, "[", '"', "]"); /* nothing but quotes: every string is found at once */
    page_cut(body, length, &page, &problem);
    page_free(&page);
    free(body);
}

static void member_is(const char *object, const char *key, const char *expected)
{
    struct page_row value = {NULL, 0};
    bool found = page_member((struct page_row){object, strlen(object)}, key, &value);
    if (!expected) {
        assert_false(found);
        return;
    }
    if (!found)
        fail_msg("%s has no %s", object, key);
    assert_int_equal(value.length, strlen(expected));
    assert_memory_equal(value.bytes, expected, value.length);
}

static void a_member_comes_with_its_exact_bytes(void **state)
{
    (void)state;
    member_is("{\"id\":\"1\",\"request_body\":{ \"b\" : [1,  2] } ,\"z\":1}", "request_body",
              "{ \"b\" : [1,  2] }");
    member_is(" {\n\"a\" :\t1.50 }", "a", "1.50");
    member_is("{\"a\":\"x\\\"}\",\"b\":2}", "a", "\"x\\\"}\"");
    member_is("{\"a\":\"x\\\"}\",\"b\":2}", "b", "2");
    member_is("{\"a\":null}", "a", "null");
    struct page_row value, behind_nul = {"{\"a\0b\":1}", sizeof "{\"a\0b\":1}" - 1};
    assert_false(page_member(behind_nul, "a", &value)); /* a longer name is another one */
}

static void only_members_of_the_object_itself_are_found(void **state)
{
    (void)state;
    member_is("{\"x\":{\"id\":1},\"y\":[{\"id\":2}],\"z\":\"id\"}", "id", NULL);
    member_is("{\"ids\":1,\"i\":2,\"\":3}", "id", NULL);
    member_is("{}", "id", NULL);
    member_is("[\"id\"]", "id", NULL);
    member_is("\"id\"", "id", NULL);
    member_is("", "id", NULL);
    member_is("{\"id\"", "id", NULL);
    member_is("{\"id\":", "id", NULL);
    member_is("{\"id\":1", "id", NULL);
    member_is("{\"id\":}", "id", NULL);
    assert_false(page_member((struct page_row){NULL, 0}, "id", &(struct page_row){0}));
}

static void the_last_of_two_equal_keys_wins_however_it_is_spelled(void **state)
{
    (void)state;
    member_is("{\"id\":1,\"id\":2}", "id", "2");
    member_is("{\"id\":1,\"i\\u0064\":2}", "id", "2");
    member_is("{\"\\u0069\\u0064\":3}", "id", "3");
    member_is("{\"a\\/b\":3}", "a/b", "3");
    member_is("{\"i\\u00644\":3}", "id", NULL);
    member_is("{\"id\\u0000\":3}", "id", NULL);
    member_is("{\"id\\n\":3}", "idn", NULL);
    member_is("{\"i\\u006\":3}", "id", NULL);
    member_is("{\"i\\u00zz\":3}", "id", NULL);
}

static void what_stands_before_the_broken_place_is_still_found(void **state)
{
    (void)state;
    member_is("{\"id\":\"1\",\"b\" oops}", "id", "\"1\"");
    member_is("{\"id\":\"1\",", "id", "\"1\"");
    member_is("{\"b\":tru nonsense,\"id\":\"1\"}", "id", "\"1\"");
}

static void a_member_of_a_64_mib_row_is_found_at_once(void **state)
{
    (void)state;
    const size_t length = 64u << 20;
    struct page_row value;
    char *row = filled(length, "{\"s\": \"", '\\', "\",\"id\":\"1\"}");
    assert_true(page_member((struct page_row){row, length}, "id", &value));
    assert_int_equal(value.length, 3);
    free(row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_inbox_has_no_rows),
        cmocka_unit_test(every_row_comes_exactly_as_it_stood),
        cmocka_unit_test(a_row_that_is_no_json_does_not_spoil_the_next),
        cmocka_unit_test(a_body_that_is_not_a_whole_array_is_refused),
        cmocka_unit_test(every_truncation_of_a_page_is_noticed),
        cmocka_unit_test(as_many_rows_as_the_maximum_are_cut_and_one_more_is_refused),
        cmocka_unit_test(a_page_of_64_mib_is_cut_whatever_it_is_made_of),
        cmocka_unit_test(a_member_comes_with_its_exact_bytes),
        cmocka_unit_test(only_members_of_the_object_itself_are_found),
        cmocka_unit_test(the_last_of_two_equal_keys_wins_however_it_is_spelled),
        cmocka_unit_test(what_stands_before_the_broken_place_is_still_found),
        cmocka_unit_test(a_member_of_a_64_mib_row_is_found_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
