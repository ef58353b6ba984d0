/* What the event stream announced, and whether polls brought it. */
#include "unit.h"

#include "link/announced.h"

#include <stdio.h>

static bool look(struct announced *announced, int64_t asked_ms, int64_t now_ms)
{
    bool all;
    return announced_look(announced, asked_ms, now_ms, &all);
}

static void a_message_that_a_poll_brought_is_not_missing_whatever_came_first(void **state)
{
    (void)state;
    static struct announced announced;
    announced_add(&announced, "one", 100);
    announced_came(&announced, "one");
    announced_came(&announced, "two");
    announced_add(&announced, "two", 100);
    announced_add(&announced, "one", 100); /* LATEST announces twice */
    assert_false(announced_any(&announced));
    assert_false(look(&announced, 200, 200));
}

static void only_a_poll_that_began_afterwards_can_miss_it(void **state)
{
    (void)state;
    static struct announced announced;
    announced_add(&announced, "one", 100);
    assert_false(look(&announced, 100, 300));
    assert_true(look(&announced, 101, 300));
}

static void it_is_looked_for_three_times_and_further_back_after_the_first(void **state)
{
    (void)state;
    static struct announced announced;
    bool all;
    announced_add(&announced, "one", 100);
    assert_true(announced_look(&announced, 200, 1000, &all));
    assert_false(all);
    assert_false(announced_look(&announced, 200, 1399, &all));
    assert_true(announced_look(&announced, 200, 1400, &all));
    assert_true(all);
    assert_true(announced_look(&announced, 200, 3000, &all));
    assert_false(announced_any(&announced));
    assert_false(announced_look(&announced, 200, 100000, &all));
}

static void more_than_it_has_room_for_are_left_to_the_regular_reading(void **state)
{
    (void)state;
    static struct announced announced;
    char id[32];
    for (int i = 0; i < ANNOUNCED_MAXIMUM * 2; i++) {
        snprintf(id, sizeof id, "message-%d", i);
        announced_add(&announced, id, i);
    }
    for (int i = 0; i < ANNOUNCED_MAXIMUM * 2; i++) {
        snprintf(id, sizeof id, "message-%d", i);
        announced_came(&announced, id);
    }
    assert_false(announced_any(&announced));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_that_a_poll_brought_is_not_missing_whatever_came_first),
        cmocka_unit_test(only_a_poll_that_began_afterwards_can_miss_it),
        cmocka_unit_test(it_is_looked_for_three_times_and_further_back_after_the_first),
        cmocka_unit_test(more_than_it_has_room_for_are_left_to_the_regular_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
