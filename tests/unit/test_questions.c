#include "unit.h"

#include "messages/questions.h"

#include <stdlib.h>
#include <string.h>

#define ASKER "00000000-0000-4000-8000-000000000001"
#define PEER "00000000-0000-4000-8000-0000000000aa"

static char woken[256];

static void on_wake(void *context, const char *row_id)
{
    (void)context;
    snprintf(woken + strlen(woken), sizeof woken - strlen(woken), "%s ", row_id);
}

static struct question *ask(struct questions *questions, const char *key, const char *peer,
                            const char *choices)
{
    struct message asker = {.row_id = (char *)ASKER, .created_at = (char *)"2026-01-01T00:00:00Z"};
    json_t *spec = json_pack("{s:s, s:s, s:I, s:o*}", "text", "Well?", "peer", peer, "timeout_ms",
                             (json_int_t)1000, "choices",
                             choices ? json_loads(choices, 0, NULL) : NULL);
    struct question *question = questions_ask(questions, &asker, key, spec);
    questions_post_begins(questions, question);
    json_decref(spec);
    return question;
}

static struct message said(const char *text, const char *source, const char *at)
{
    return (struct message){.row_id = (char *)"00000000-0000-4000-8000-0000000000ff",
                            .source_id = (char *)source,
                            .created_at = (char *)at,
                            .text = (char *)text,
                            .text_length = strlen(text)};
}

static bool is_answer(struct questions *questions, struct message message,
                      const struct question *question)
{
    struct question_answer answer = questions_match(questions, &message);
    free(answer.hint);
    return answer.question == question;
}

static void a_choice_is_the_text_or_the_only_one_that_begins_with_it(void **state)
{
    static const struct {
        const char *text, *choice;
    } cases[] = {{"yes", "yes"},   {" Y E S ", "yes"}, {"y", NULL},   {"yes,", "yes, later"},
                 {"N", "No"},      {"no!", NULL},      {"", NULL},    {" \n", NULL},
                 {"yes or", NULL}, {"ÄRGER", "Ärger"}, {"Ä", "Ärger"}};
    (void)state;
    json_t *choices = json_loads("[\"yes\", \"yes, later\", \"No\", \"Ärger\"]", 0, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *found = question_choice(choices, cases[i].text);
        if (!cases[i].choice)
            assert_null(found);
        else
            assert_string_equal(found, cases[i].choice);
    }
    json_decref(choices);
}

static void a_code_stands_before_the_answer_and_is_no_part_of_a_word(void **state)
{
    (void)state;
    assert_string_equal(question_after_code("K7QD yes", "K7QD"), "yes");
    assert_string_equal(question_after_code(" k7qd:  yes", "K7QD"), "yes");
    assert_string_equal(question_after_code("K7QD\nyes\n", "K7QD"), "yes\n");
    assert_string_equal(question_after_code("K7QD", "K7QD"), "");
    assert_null(question_after_code("K7QDX yes", "K7QD"));
    assert_null(question_after_code("K7Q", "K7QD"));
    assert_null(question_after_code("yes K7QD", "K7QD"));
}

static void an_answer_is_newer_than_the_newest_row_when_it_was_asked(void **state)
{
    struct questions questions = {.wake = on_wake};
    (void)state;
    questions_saw(&questions, "2026-01-01T00:00:05Z", "00000000-0000-4000-8000-000000000050");
    struct question *question = ask(&questions, "/ask#1", "canvas", NULL);
    assert_true(is_answer(&questions, said("x", NULL, "2026-01-01T00:00:04.999999Z"), NULL));
    assert_true(is_answer(&questions, said("x", NULL, NULL), NULL));
    assert_true(is_answer(&questions, said("x", PEER, "2026-01-01T00:00:06Z"), NULL));
    assert_true(is_answer(&questions, said("x", NULL, "2026-01-01T00:00:05.000001Z"), question));
    /* of the same microsecond, but later in the platform's order */
    assert_true(is_answer(&questions, said("x", NULL, "2026-01-01T00:00:05Z"), question));
    questions_free(&questions);
}

static void a_closing_question_takes_no_other_answer_and_wakes_its_message(void **state)
{
    struct questions questions = {.wake = on_wake};
    (void)state;
    woken[0] = '\0';
    struct question *first = ask(&questions, "/ask#1", PEER, NULL),
                    *second = ask(&questions, "/ask#2", PEER, NULL);
    assert_true(questions_may_post(&questions, first));
    assert_false(questions_may_post(&questions, second));
    first->closing = true;
    assert_null(questions_find(&questions, ASKER, "/ask#1"));
    assert_true(is_answer(&questions, said("x", PEER, "2026-01-01T00:00:06Z"), second));
    questions_close(&questions, first);
    assert_string_equal(woken, ASKER " " ASKER " "); /* the one that asked, and the next one's */
    assert_true(questions_may_post(&questions, second));
    questions_free(&questions);
}

static void of_several_to_the_canvas_the_one_with_the_code_is_answered(void **state)
{
    struct questions questions = {.wake = on_wake};
    char text[64];
    (void)state;
    struct question *first = ask(&questions, "/ask#1", "canvas", NULL),
                    *second = ask(&questions, "/ask#2", "canvas", "[\"yes\", \"no\"]");
    struct message message = said("yes", NULL, "2026-01-01T00:00:06Z");
    struct question_answer answer = questions_match(&questions, &message);
    assert_null(answer.question);
    assert_non_null(strstr(answer.hint, first->code));
    assert_non_null(strstr(answer.hint, second->code));
    free(answer.hint);
    answer = questions_match(&questions, &message);
    assert_null(answer.hint); /* once is enough */
    snprintf(text, sizeof text, "%s: y", second->code);
    message = said(text, NULL, "2026-01-01T00:00:06Z");
    answer = questions_match(&questions, &message);
    assert_ptr_equal(answer.question, second);
    assert_string_equal(answer.choice, "yes");
    questions_free(&questions);
}

static void what_is_recorded_is_read_again(void **state)
{
    struct questions questions = {.wake = on_wake}, again = {.wake = on_wake};
    (void)state;
    struct question *question = ask(&questions, "/ask#1", PEER, "[\"a\", \"b\"]");
    json_t *value = question_describe(question);
    char *text = json_dumps(value, 0);
    questions_load(&again, ASKER, "/ask#1", text, "{\"deadline_ms\": 5, \"task_id\": \"t\"}");
    questions_load(&again, ASKER, "/ask#2", "{\"code\": \"K7QD\"}", NULL); /* damaged: left out */
    questions_load(&again, ASKER, "/ask#3", "no JSON", NULL);
    json_t *list = questions_list(&again);
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(again.first->code, question->code);
    assert_string_equal(again.first->message_id, question->message_id);
    assert_string_equal(again.first->task_id, "t");
    assert_true(again.first->deadline_ms == 5);
    json_decref(list);
    free(text);
    json_decref(value);
    questions_free(&again);
    questions_free(&questions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_choice_is_the_text_or_the_only_one_that_begins_with_it),
        cmocka_unit_test(a_code_stands_before_the_answer_and_is_no_part_of_a_word),
        cmocka_unit_test(an_answer_is_newer_than_the_newest_row_when_it_was_asked),
        cmocka_unit_test(a_closing_question_takes_no_other_answer_and_wakes_its_message),
        cmocka_unit_test(of_several_to_the_canvas_the_one_with_the_code_is_answered),
        cmocka_unit_test(what_is_recorded_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
