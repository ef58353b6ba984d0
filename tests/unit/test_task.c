/* Tasks of A2A as documents: states, events, artifacts, history. */
#include "unit.h"

#include "doors/task.h"

#include <string.h>

#define NOW 1795781797150

static json_t *new_task(json_t **record)
{
    json_t *message = json_pack("{s:s, s:s, s:[{s:s}]}", "messageId", "m1", "role", "ROLE_USER",
                                "parts", "text", "hello");
    *record = task_record_new("t1", "c1", message, NOW);
    json_decref(message);
    return task_of_record(*record);
}

static json_t *artifact(const char *text)
{
    return json_pack("{s:s, s:[{s:s}]}", "name", "out", "parts", "text", text);
}

static json_t *put(json_t *task, const char *id, const json_t *piece, bool append, bool last)
{
    json_t *places = task_places(task);
    json_t *event = task_put_artifact(task, places, id, piece, append, last);
    json_decref(places);
    return event;
}

static void test_begins(void **state)
{
    (void)state;
    json_t *record, *task = new_task(&record);
    assert_int_equal(task_state(task), TASK_SUBMITTED);
    assert_int_equal(task_updated_ms(task), NOW);
    assert_true(task_has_message(task, "m1"));
    assert_false(task_has_message(task, "m2"));
    json_decref(record);
}

static void test_states(void **state)
{
    (void)state;
#define X(name, number, text, ended, asks)            \
    assert_string_equal(task_state_text(name), text); \
    assert_int_equal(task_state_of(text), name);      \
    assert_int_equal(task_state_ended(name), ended);  \
    assert_int_equal(task_state_asks(name), asks);
    TASK_STATES(X)
#undef X
    assert_int_equal(task_state_of("working"), 0);
    assert_int_equal(task_state_of(NULL), 0);
}

/* What the agent said before goes to the history. */
static void test_status(void **state)
{
    (void)state;
    json_t *record, *task = new_task(&record), *parts = json_pack("[{s:s}]", "text", "one moment");
    json_t *event = task_set_status(task, TASK_WORKING, parts, "s1", NOW + 1);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(event, "statusUpdate"), "taskId")), "t1");
    json_decref(event);
    assert_int_equal(json_array_size(json_object_get(task, "history")), 1);
    json_decref(task_set_status(task, TASK_COMPLETED, NULL, NULL, NOW + 2));
    assert_int_equal(json_array_size(json_object_get(task, "history")), 2);
    assert_true(task_has_message(task, "s1"));
    assert_int_equal(task_state(task), TASK_COMPLETED);
    assert_int_equal(task_updated_ms(task), NOW + 2);
    json_decref(parts);
    json_decref(record);
}

static void test_history_is_bounded(void **state)
{
    (void)state;
    json_t *record, *task = new_task(&record), *parts = json_pack("[{s:s}]", "text", "step");
    for (int i = 0; i < 3 * TASK_HISTORY_MAXIMUM; i++)
        json_decref(task_set_status(task, TASK_WORKING, parts, "s", NOW));
    assert_int_equal(json_array_size(json_object_get(task, "history")), TASK_HISTORY_MAXIMUM + 1);
    assert_true(task_has_message(task, "m1")); /* the client's stays */
    json_decref(parts);
    json_decref(record);
}

static const json_t *parts_of(const json_t *task, size_t which)
{
    return json_object_get(json_array_get(json_object_get(task, "artifacts"), which), "parts");
}

static void test_artifact_grows(void **state)
{
    (void)state;
    json_t *record, *task = new_task(&record), *one = artifact("one "), *two = artifact("two");
    json_t *event = put(task, "a1", one, true, false);
    /* nothing to append to yet */
    assert_true(json_is_false(json_object_get(json_object_get(event, "artifactUpdate"), "append")));
    json_decref(event);
    json_t *before = json_deep_copy(task);
    event = put(task, "a1", two, true, true);
    const json_t *update = json_object_get(event, "artifactUpdate");
    assert_true(json_is_true(json_object_get(update, "append")));
    assert_true(json_is_true(json_object_get(update, "lastChunk")));
    assert_int_equal(json_array_size(parts_of(task, 0)), 1);
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(parts_of(task, 0), 0), "text")),
        "one two");
    json_decref(event);
    json_decref(put(task, "a1", one, false, true)); /* begins again */
    assert_true(json_equal(parts_of(task, 0), parts_of(before, 0)));
    json_decref(before);
    json_decref(one);
    json_decref(two);
    json_decref(record);
}

/* The record that the ledger has is not changed by what follows. */
static void test_copy(void **state)
{
    (void)state;
    json_t *record, *task = new_task(&record), *piece = artifact("x");
    json_decref(put(task, "a1", piece, false, false));
    json_t *before = json_deep_copy(record), *copy = task_record_copy(record);
    json_decref(put(task_of_record(copy), "a1", piece, true, true));
    json_decref(put(task_of_record(copy), "a2", piece, false, true));
    json_decref(task_set_status(task_of_record(copy), TASK_COMPLETED, NULL, NULL, NOW));
    assert_true(json_equal(record, before));
    json_decref(copy);
    json_decref(before);
    json_decref(piece);
    json_decref(record);
}

static void test_view(void **state)
{
    (void)state;
    json_t *record, *task = new_task(&record), *parts = json_pack("[{s:s}]", "text", "step"),
                    *piece = artifact("x");
    json_decref(put(task, "a1", piece, false, false));
    for (int i = 0; i < 3; i++)
        json_decref(task_set_status(task, TASK_WORKING, parts, "s", NOW));
    json_t *all = task_view(task, -1, true), *none = task_view(task, 0, true),
           *newest = task_view(task, 1, false);
    assert_ptr_equal(all, task);
    assert_null(json_object_get(none, "history"));
    assert_int_equal(json_array_size(json_object_get(newest, "history")), 1);
    assert_null(json_object_get(newest, "artifacts"));
    assert_int_equal(json_array_size(json_object_get(task, "history")), 3);
    json_decref(all);
    json_decref(none);
    json_decref(newest);
    json_decref(parts);
    json_decref(piece);
    json_decref(record);
}

/* What was added to a record after it was written makes the same record again. */
static void test_pieces(void **state)
{
    (void)state;
    json_t *record, *task = new_task(&record), *words = artifact("a"), *more = artifact("b");
    json_t *written = json_deep_copy(record), *events = json_array();
    json_array_append_new(events, put(task, "a1", words, false, false));
    json_array_append_new(events, put(task, "a2", words, false, true));
    json_array_append_new(events, put(task, "a1", more, true, false));
    json_array_append_new(events, put(task, "a2", more, false, true));
    json_object_set_new(record, "said", json_pack("{s:i}", "main", 4));
    json_t *piece = json_pack("{s:O, s:o}", "said", json_object_get(record, "said"), "events",
                              events);
    json_t *places = task_places(task_of_record(written));
    task_put_piece(written, places, piece);
    assert_true(json_equal(written, record));
    json_decref(places);
    json_decref(piece);
    json_decref(written);
    json_decref(words);
    json_decref(more);
    json_decref(record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_begins),         cmocka_unit_test(test_states),
        cmocka_unit_test(test_status),         cmocka_unit_test(test_history_is_bounded),
        cmocka_unit_test(test_artifact_grows), cmocka_unit_test(test_copy),
        cmocka_unit_test(test_view),           cmocka_unit_test(test_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
