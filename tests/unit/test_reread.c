/* What is read again, when, and how far. */
#include "unit.h"

#include "link/reread.h"

#include <stdio.h>

#define ROWS 500 /* a page */

static int64_t now;

static const char *name(char text[16], int row)
{
    snprintf(text, 16, "row-%d", row);
    return text;
}

static const char *stamp(char text[40], int row)
{
    snprintf(text, 40, "2026-05-01T%02d:%02d:%02d.%06dZ", row / 3600, row / 60 % 60, row % 60, row);
    return text;
}

/* A page of the rows from `first` to `last`. */
static void fetch(struct reread *reread, int first, int last, bool old)
{
    char one[16], other[16], began[40], moment[40];
    struct reread_page page = {.first = name(one, first),
                               .position = name(other, last),
                               .first_stamp = stamp(began, first),
                               .stamp = stamp(moment, last),
                               .old = old};
    reread_note(reread, &page, now);
}

/* Reads pages again from an inbox that holds rows up to `newest` until the run ends; the row it
 * began behind, and the last one taken. The pages it took. */
static int run(struct reread *reread, bool idle, int newest, int *from, int *to)
{
    int pages = 0;
    reread_begin(reread, idle, now);
    if (reread_wants_window(reread))
        reread_window_end(reread);
    *from = *to = -1;
    while (reread_position(reread)) {
        int after, last = -1;
        assert_int_equal(sscanf(reread_position(reread), "row-%d", &after), 1);
        *from = pages++ == 0 ? after : *from;
        int until = after + ROWS < newest ? after + ROWS : newest;
        for (int row = after + 1; row <= until; row++) {
            char id[16], moment[40];
            if (!reread_take(reread, name(id, row), stamp(moment, row)))
                break;
            last = *to = row;
        }
        char id[16];
        reread_page_end(reread, last < 0 ? NULL : name(id, last), until - after == ROWS, now);
    }
    return pages;
}

static void a_row_is_read_again_once_and_not_before_it_is_old_enough(void **state)
{
    (void)state;
    int from, to;
    now = 1000000;
    struct reread *reread = reread_open(NULL, NULL, now);
    fetch(reread, 1, 2, false);
    assert_int_equal(run(reread, true, 2, &from, &to), 0);
    now += 5000;
    fetch(reread, 3, 4, false);
    now += 6000; /* what came first is old enough, what followed is not */
    assert_int_equal(run(reread, true, 4, &from, &to), 1);
    assert_int_equal(from, 1);
    assert_int_equal(to, 2);
    now += 16000;
    assert_int_equal(run(reread, true, 4, &from, &to), 1);
    assert_int_equal(from, 2);
    assert_int_equal(to, 4);
    now += 100000;
    assert_int_equal(run(reread, true, 4, &from, &to), 0);
    reread_close(reread);
}

static void rows_that_no_poll_fetched_are_not_taken(void **state)
{
    (void)state;
    int from, to;
    now = 1000000;
    struct reread *reread = reread_open("row-10", "row-4", now);
    assert_int_equal(run(reread, false, 100000, &from, &to), 1);
    assert_int_equal(from, 4);
    assert_int_equal(to, 10);
    reread_close(reread);
}

static void what_was_old_when_it_came_is_not_read_again(void **state)
{
    (void)state;
    int from, to;
    now = 1000000;
    struct reread *reread = reread_open("row-0", NULL, now);
    for (int row = 1; row < 20000; row += ROWS, now += 100)
        fetch(reread, row, row + ROWS - 1, true);
    now += 60000;
    assert_int_equal(run(reread, true, 20000, &from, &to), 0);
    fetch(reread, 20001, 20002, false);
    now += 11000;
    assert_int_equal(run(reread, true, 20002, &from, &to), 1);
    assert_int_equal(from, 20000);
    reread_close(reread);
}

static void many_rows_are_read_again_a_few_pages_at_a_time(void **state)
{
    (void)state;
    int from, to, reached = 0, total = 0;
    now = 1000000;
    struct reread *reread = reread_open("row-0", NULL, now);
    for (int row = 1; row < 20000; row += ROWS, now += 100)
        fetch(reread, row, row + ROWS - 1, false);
    now += 60000;
    for (int i = 0; i < 100; i++, now += 1000) {
        int pages = run(reread, true, 20000, &from, &to);
        assert_true(pages <= 4);
        total += pages;
        if (pages > 0) {
            assert_int_equal(from, reached);
            reached = to;
        }
    }
    assert_int_equal(reached, 20000);
    assert_true(total <= 20000 / ROWS + 1);
    reread_close(reread);
}

static void under_a_load_that_does_not_end_little_is_read_again(void **state)
{
    (void)state;
    int from, to, pages = 0, row = 1;
    now = 1000000;
    struct reread *reread = reread_open("row-0", NULL, now);
    for (int i = 0; i < 3000; i++, row += ROWS, now += 100) { /* 5,000 rows a second, 5 minutes */
        fetch(reread, row, row + ROWS - 1, false);
        pages += run(reread, false, row + ROWS * 10, &from, &to);
        assert_true(to < row + ROWS);
    }
    assert_true(pages > 0 && pages <= 4 * (300 / 15 + 1));
    assert_true(reread_skips(reread) > 0);
    reread_close(reread);
}

static void a_reading_that_never_finds_a_better_time_is_overdue(void **state)
{
    (void)state;
    struct reread *reread = reread_open("row-1", NULL, 0);
    reread_note(reread, &(struct reread_page){.first = "row-2", .position = "row-2", .stamp = NULL},
                0);
    assert_false(reread_is_overdue(reread, 1000));
    assert_true(reread_is_overdue(reread, 30000));
    reread_begin(reread, false, 30000);
    assert_non_null(reread_position(reread));
    assert_false(reread_is_overdue(reread, 30001));
    assert_true(reread_take(reread, "row-2", NULL));
    reread_page_end(reread, "row-2", false, 30010);
    assert_false(reread_is_overdue(reread, 40000));
    assert_true(reread_is_overdue(reread, 60000));
    reread_close(reread);
}

static void what_stands_before_the_first_row_is_asked_for_once_more(void **state)
{
    (void)state;
    char moment[40];
    now = 1000000;
    struct reread *reread = reread_open(NULL, NULL, now);
    fetch(reread, 5, 5, false);
    reread_begin(reread, true, now + 9000);
    assert_false(reread_is_reading(reread));
    reread_begin(reread, true, now + 10000);
    assert_true(reread_wants_window(reread));
    assert_false(reread_take_before(reread, "row-7", stamp(moment, 7)));
    assert_true(reread_take_before(reread, "row-4b", stamp(moment, 5))); /* its very microsecond */
    assert_false(reread_take_before(reread, "row-5", stamp(moment, 5)));
    assert_true(reread_take_before(reread, "row-?", NULL));
    reread_window_end(reread);
    assert_false(reread_is_reading(reread));
    reread_begin(reread, true, now + 100000);
    assert_false(reread_is_reading(reread));
    reread_close(reread);
}

static void what_was_announced_is_looked_for_at_once_and_the_regular_reading_still_comes(
    void **state)
{
    (void)state;
    int from, to;
    char id[16], moment[40];
    now = 1000000;
    struct reread *reread = reread_open("row-0", NULL, now);
    for (int row = 1; row <= 6; row++, now += 2000)
        fetch(reread, row, row, false);
    reread_recall(reread, false, now); /* row 4 is behind the last three seconds */
    assert_string_equal(reread_position(reread), "row-4");
    assert_true(reread_take(reread, "row-5", stamp(moment, 5)));
    assert_true(reread_take(reread, "row-6", stamp(moment, 6)));
    assert_false(reread_take(reread, "row-7", stamp(moment, 7))); /* beyond the fetch position */
    assert_true(reread_page_end(reread, name(id, 6), false, now));
    assert_false(reread_is_reading(reread));
    reread_recall(reread, true, now);
    assert_string_equal(reread_position(reread), "row-0");
    reread_page_end(reread, NULL, false, now);
    now += 10000;
    assert_int_equal(run(reread, true, 6, &from, &to), 1);
    assert_int_equal(from, 0);
    assert_int_equal(to, 6);
    reread_close(reread);
}

static void after_a_restart_behind_the_very_first_row_what_stands_before_it_is_asked_for_at_once(
    void **state)
{
    (void)state;
    char moment[40];
    struct reread *reread = reread_open("row-100", "", now);
    reread_begin(reread, true, now);
    assert_true(reread_wants_window(reread));
    assert_false(reread_take_before(reread, "row-101", stamp(moment, 101)));
    assert_false(reread_take_before(reread, "row-100", stamp(moment, 100)));
    assert_true(reread_take_before(reread, "row-99", stamp(moment, 99)));
    assert_true(reread_take_before(reread, "row-71", stamp(moment, 71)));
    /* nothing comes so late: somebody else's */
    assert_false(reread_take_before(reread, "row-60", stamp(moment, 60)));
    reread_window_end(reread);
    assert_false(reread_is_reading(reread));
    reread_close(reread);
}

static void where_the_row_to_read_on_from_is_gone_a_window_takes_its_place(void **state)
{
    (void)state;
    char moment[40];
    struct reread *reread = reread_open("row-100", "row-10", now);
    reread_begin(reread, true, now);
    assert_string_equal(reread_position(reread), "row-10");
    reread_lost(reread, now);
    assert_null(reread_position(reread));
    assert_true(reread_wants_window(reread));
    assert_false(reread_take_before(reread, "row-101", stamp(moment, 101)));
    assert_false(reread_take_before(reread, "row-100", stamp(moment, 100)));
    assert_true(reread_take_before(reread, "row-11", stamp(moment, 11)));
    reread_lost(reread, now); /* a platform that does not know windows either */
    assert_false(reread_is_reading(reread));
    reread_close(reread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reading_that_never_finds_a_better_time_is_overdue),
        cmocka_unit_test(a_row_is_read_again_once_and_not_before_it_is_old_enough),
        cmocka_unit_test(rows_that_no_poll_fetched_are_not_taken),
        cmocka_unit_test(what_was_old_when_it_came_is_not_read_again),
        cmocka_unit_test(many_rows_are_read_again_a_few_pages_at_a_time),
        cmocka_unit_test(what_stands_before_the_first_row_is_asked_for_once_more),
        cmocka_unit_test(
            what_was_announced_is_looked_for_at_once_and_the_regular_reading_still_comes),
        cmocka_unit_test(
            after_a_restart_behind_the_very_first_row_what_stands_before_it_is_asked_for_at_once),
        cmocka_unit_test(where_the_row_to_read_on_from_is_gone_a_window_takes_its_place),
        cmocka_unit_test(under_a_load_that_does_not_end_little_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
