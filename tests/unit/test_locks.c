/* Keys of the store, and who waits for them: handlers, each with several branches. */
#include "unit.h"

#include "script/locks.h"

static uv_loop_t loop;
static struct locks *locks;
static uint64_t one, other;
static int settled[4]; /* the result of each wait; -1: it waits */

static int open_all(void **state)
{
    (void)state;
    uv_loop_init(&loop);
    locks = locks_open(&loop);
    one = locks_ticket(locks);
    other = locks_ticket(locks);
    for (size_t i = 0; i < 4; i++)
        settled[i] = -1;
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    locks_close(locks);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

static void note(void *context, enum locks_result result)
{
    *(int *)context = (int)result;
}

static enum locks_result take(uint64_t ticket, const char *key, size_t wait)
{
    return locks_take(locks, ticket, key, true, note, &settled[wait]);
}

static void a_branch_waits_behind_another_of_its_handler_even_for_a_free_key(void **state)
{
    (void)state;
    assert_int_equal(take(other, "a", 0), LOCKS_TAKEN);
    assert_int_equal(take(one, "a", 0), LOCKS_WAIT);
    assert_int_equal(take(one, "b", 1), LOCKS_WAIT);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(settled[1], -1);
    locks_release(locks, other);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(settled[0], LOCKS_TAKEN);
    assert_int_equal(settled[1], LOCKS_TAKEN);
}

static void a_branch_that_is_canceled_lets_the_next_take_its_key(void **state)
{
    (void)state;
    assert_int_equal(take(other, "a", 0), LOCKS_TAKEN);
    assert_int_equal(take(one, "a", 0), LOCKS_WAIT);
    assert_int_equal(take(one, "b", 1), LOCKS_WAIT);
    locks_forget(locks, &settled[0]);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(settled[0], -1);
    assert_int_equal(settled[1], LOCKS_TAKEN);
}

static void a_wait_that_could_not_end_is_found_when_its_turn_comes(void **state)
{
    uint64_t third = locks_ticket(locks);
    (void)state;
    assert_int_equal(take(one, "a", 0), LOCKS_TAKEN);
    assert_int_equal(take(other, "b", 0), LOCKS_TAKEN);
    assert_int_equal(take(third, "c", 0), LOCKS_TAKEN);
    assert_int_equal(take(one, "c", 0), LOCKS_WAIT);
    assert_int_equal(take(one, "b", 1), LOCKS_WAIT); /* behind it */
    assert_int_equal(take(other, "a", 2), LOCKS_WAIT);
    locks_release(locks, third);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(settled[0], LOCKS_TAKEN);
    assert_int_equal(settled[1], LOCKS_DEADLOCK);
    locks_release(locks, one);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(settled[2], LOCKS_TAKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_branch_waits_behind_another_of_its_handler_even_for_a_free_key, open_all, close_all),
        cmocka_unit_test_setup_teardown(a_branch_that_is_canceled_lets_the_next_take_its_key,
                                        open_all, close_all),
        cmocka_unit_test_setup_teardown(a_wait_that_could_not_end_is_found_when_its_turn_comes,
                                        open_all, close_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
