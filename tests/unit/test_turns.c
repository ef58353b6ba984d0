/* Several parties' work on one loop. */
#include "unit.h"

#include "base/turns.h"

#include <stdio.h>
#include <string.h>

static uv_loop_t loop;
static struct turns turns;
static struct lane lanes[3];
static struct piece {
    struct turn turn;
    char name;
} pieces[12];
static char order[64];

static void note(struct turn *turn)
{
    size_t length = strlen(order);
    order[length] = ((struct piece *)turn)->name;
    order[length + 1] = '\0';
}

static struct turn *piece(size_t index, char name)
{
    pieces[index] = (struct piece){.name = name};
    return &pieces[index].turn;
}

static int open_all(void **state)
{
    (void)state;
    uv_loop_init(&loop);
    memset(&turns, 0, sizeof turns);
    turns_open(&turns, &loop);
    for (size_t i = 0; i < 3; i++)
        lanes[i] = (struct lane){.turns = &turns};
    *order = '\0';
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    uv_close((uv_handle_t *)&turns.idle, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

static void who_has_much_delays_the_others_by_one_piece(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++)
        turn_take(&lanes[0], piece(i, 'a'), note);
    turn_take(&lanes[1], piece(4, 'b'), note);
    turn_take(&lanes[1], piece(5, 'c'), note);
    turn_take(&lanes[2], piece(6, 'd'), note);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_string_equal(order, "abdacaa");
}

static void a_piece_that_is_withdrawn_does_not_run(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++)
        turn_take(&lanes[0], piece(i, (char)('a' + i)), note);
    turn_take(&lanes[1], piece(3, 'x'), note);
    turn_leave(&pieces[2].turn);
    turn_leave(&pieces[3].turn);
    turn_leave(&pieces[3].turn); /* nothing any more */
    turn_take(&lanes[0], piece(4, 'e'), note);
    assert_ptr_equal(lane_withdraw(&lanes[0], note), &pieces[0].turn);
    assert_null(lane_withdraw(&lanes[1], note));
    turn_take(&lanes[1], piece(5, 'f'), note);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_string_equal(order, "bfe");
}

static void again(struct turn *turn)
{
    note(turn);
    if (strlen(order) < 9)
        turn_take(&lanes[0], turn, again);
}

static void one_that_takes_turn_after_turn_lets_others_in_between(void **state)
{
    (void)state;
    turn_take(&lanes[0], piece(0, 'a'), again);
    turn_take(&lanes[1], piece(1, 'b'), note);
    turn_take(&lanes[1], piece(2, 'c'), note);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_string_equal(order, "abacaaaaa");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_has_much_delays_the_others_by_one_piece, open_all,
                                        close_all),
        cmocka_unit_test_setup_teardown(a_piece_that_is_withdrawn_does_not_run, open_all,
                                        close_all),
        cmocka_unit_test_setup_teardown(one_that_takes_turn_after_turn_lets_others_in_between,
                                        open_all, close_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
