/* What is read again, when, and how far. */
#include "unit.h"

#include "host/overlap.h"

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
static void fetch(struct overlap *overlap, int first, int last, bool old)
{
    char one[16], other[16], began[40], moment[40];
    struct overlap_page page = {.first = name(one, first), .position = name(other, last), .first_stamp = stamp(began, first),
                                .stamp = stamp(moment, last), .old = old};
    overlap_note(overlap, &page, now);
}

/* Reads pages again from an inbox that holds rows up to `newest` until the run ends; the row it began behind, and the
 * last one taken. The pages it took. */
static int run(struct overlap *overlap, bool idle, int newest, int *from, int *to)
{
    int pages = 0;
    overlap_begin(overlap, idle, now);
    if (overlap_wants_window(overlap))
        overlap_window_end(overlap);
    *from = *to = -1;
    while (overlap_position(overlap)) {
        int after, last = -1;
        assert_int_equal(sscanf(overlap_position(overlap), "row-%d", &after), 1);
        *from = pages++ == 0 ? after : *from;
        int until = after + ROWS < newest ? after + ROWS : newest;
        for (int row = after + 1; row <= until; row++) {
            char id[16], moment[40];
            if (!overlap_take(overlap, name(id, row), stamp(moment, row)))
                break;
            last = *to = row;
        }
        char id[16];
        overlap_page_end(overlap, last < 0 ? NULL : name(id, last), until - after == ROWS, now);
    }
    return pages;
}

static void a_row_is_read_again_once_and_not_before_it_is_old_enough(void **state)
{
    (void)state;
    int from, to;
    now = 1000000;
    struct overlap *overlap = overlap_open(NULL, NULL, now);
    fetch(overlap, 1, 2, false);
    assert_int_equal(run(overlap, true, 2, &from, &to), 0);
    now += 5000;
    fetch(overlap, 3, 4, false);
    now += 6000; /* what came first is old enough, what followed is not */
    assert_int_equal(run(overlap, true, 4, &from, &to), 1);
    assert_int_equal(from, 1);
    assert_int_equal(to, 2);
    now += 16000;
    assert_int_equal(run(overlap, true, 4, &from, &to), 1);
    assert_int_equal(from, 2);
    assert_int_equal(to, 4);
    now += 100000;
    assert_int_equal(run(overlap, true, 4, &from, &to), 0);
    overlap_close(overlap);
}

static void rows_that_no_poll_fetched_are_not_taken(void **state)
{
    (void)state;
    int from, to;
    now = 1000000;
    struct overlap *overlap = overlap_open("row-10", "row-4", now);
    assert_int_equal(run(overlap, false, 100000, &from, &to), 1);
    assert_int_equal(from, 4);
    assert_int_equal(to, 10);
    overlap_close(overlap);
}

static void what_was_old_when_it_came_is_not_read_again(void **state)
{
    (void)state;
    int from, to;
    now = 1000000;
    struct overlap *overlap = overlap_open("row-0", NULL, now);
    for (int row = 1; row < 20000; row += ROWS, now += 100)
        fetch(overlap, row, row + ROWS - 1, true);
    now += 60000;
    assert_int_equal(run(overlap, true, 20000, &from, &to), 0);
    fetch(overlap, 20001, 20002, false);
    now += 11000;
    assert_int_equal(run(overlap, true, 20002, &from, &to), 1);
    assert_int_equal(from, 20000);
    overlap_close(overlap);
}

static void many_rows_are_read_again_a_few_pages_at_a_time(void **state)
{
    (void)state;
    int from, to, reached = 0, total = 0;
    now = 1000000;
    struct overlap *overlap = overlap_open("row-0", NULL, now);
    for (int row = 1; row < 20000; row += ROWS, now += 100)
        fetch(overlap, row, row + ROWS - 1, false);
    now += 60000;
    for (int i = 0; i < 100; i++, now += 1000) {
        int pages = run(overlap, true, 20000, &from, &to);
        assert_true(pages <= 4);
        total += pages;
        if (pages > 0) {
            assert_int_equal(from, reached);
            reached = to;
        }
    }
    assert_int_equal(reached, 20000);
    assert_true(total <= 20000 / ROWS + 1);
    overlap_close(overlap);
}

static void under_a_load_that_does_not_end_little_is_read_again(void **state)
{
    (void)state;
    int from, to, pages = 0, row = 1;
    now = 1000000;
    struct overlap *overlap = overlap_open("row-0", NULL, now);
    for (int i = 0; i < 3000; i++, row += ROWS, now += 100) { /* 5,000 rows a second, 5 minutes */
        fetch(overlap, row, row + ROWS - 1, false);
        pages += run(overlap, false, row + ROWS * 10, &from, &to);
        assert_true(to < row + ROWS);
    }
    assert_true(pages > 0 && pages <= 4 * (300 / 15 + 1));
    assert_true(overlap_skips(overlap) > 0);
    overlap_close(overlap);
}

static void a_reading_that_never_finds_a_better_time_is_overdue(void **state)
{
    (void)state;
    struct overlap *overlap = overlap_open("row-1", NULL, 0);
    overlap_note(overlap, &(struct overlap_page){.first = "row-2", .position = "row-2", .stamp = NULL}, 0);
    assert_false(overlap_is_overdue(overlap, 1000));
    assert_true(overlap_is_overdue(overlap, 30000));
    overlap_begin(overlap, false, 30000);
    assert_non_null(overlap_position(overlap));
    assert_false(overlap_is_overdue(overlap, 30001));
    assert_true(overlap_take(overlap, "row-2", NULL));
    overlap_page_end(overlap, "row-2", false, 30010);
    assert_false(overlap_is_overdue(overlap, 40000));
    assert_true(overlap_is_overdue(overlap, 60000));
    overlap_close(overlap);
}

static void what_stands_before_the_first_row_is_asked_for_once_more(void **state)
{
    (void)state;
    char moment[40];
    now = 1000000;
    struct overlap *overlap = overlap_open(NULL, NULL, now);
    fetch(overlap, 5, 5, false);
    overlap_begin(overlap, true, now + 9000);
    assert_false(overlap_is_reading(overlap));
    overlap_begin(overlap, true, now + 10000);
    assert_true(overlap_wants_window(overlap));
    assert_false(overlap_take_before(overlap, "row-7", stamp(moment, 7)));
    assert_true(overlap_take_before(overlap, "row-4b", stamp(moment, 5))); /* its very microsecond */
    assert_false(overlap_take_before(overlap, "row-5", stamp(moment, 5)));
    assert_true(overlap_take_before(overlap, "row-?", NULL));
    overlap_window_end(overlap);
    assert_false(overlap_is_reading(overlap));
    overlap_begin(overlap, true, now + 100000);
    assert_false(overlap_is_reading(overlap));
    overlap_close(overlap);
}

static void what_was_announced_is_looked_for_at_once_and_the_regular_reading_still_comes(void **state)
{
    (void)state;
    int from, to;
    char id[16], moment[40];
    now = 1000000;
    struct overlap *overlap = overlap_open("row-0", NULL, now);
    for (int row = 1; row <= 6; row++, now += 2000)
        fetch(overlap, row, row, false);
    overlap_recall(overlap, false, now); /* row 4 is behind the last three seconds */
    assert_string_equal(overlap_position(overlap), "row-4");
    assert_true(overlap_take(overlap, "row-5", stamp(moment, 5)));
    assert_true(overlap_take(overlap, "row-6", stamp(moment, 6)));
    assert_false(overlap_take(overlap, "row-7", stamp(moment, 7))); /* beyond the fetch position */
    assert_true(overlap_page_end(overlap, name(id, 6), false, now));
    assert_false(overlap_is_reading(overlap));
    overlap_recall(overlap, true, now);
    assert_string_equal(overlap_position(overlap), "row-0");
    overlap_page_end(overlap, NULL, false, now);
    now += 10000;
    assert_int_equal(run(overlap, true, 6, &from, &to), 1);
    assert_int_equal(from, 0);
    assert_int_equal(to, 6);
    overlap_close(overlap);
}

static void after_a_restart_behind_the_very_first_row_what_stands_before_it_is_asked_for_at_once(void **state)
{
    (void)state;
    char moment[40];
    struct overlap *overlap = overlap_open("row-100", "", now);
    overlap_begin(overlap, true, now);
    assert_true(overlap_wants_window(overlap));
    assert_false(overlap_take_before(overlap, "row-101", stamp(moment, 101)));
    assert_false(overlap_take_before(overlap, "row-100", stamp(moment, 100)));
    assert_true(overlap_take_before(overlap, "row-99", stamp(moment, 99)));
    assert_true(overlap_take_before(overlap, "row-71", stamp(moment, 71)));
    assert_false(overlap_take_before(overlap, "row-60", stamp(moment, 60))); /* nothing comes so late: somebody else's */
    overlap_window_end(overlap);
    assert_false(overlap_is_reading(overlap));
    overlap_close(overlap);
}

static void where_the_row_to_read_on_from_is_gone_a_window_takes_its_place(void **state)
{
    (void)state;
    char moment[40];
    struct overlap *overlap = overlap_open("row-100", "row-10", now);
    overlap_begin(overlap, true, now);
    assert_string_equal(overlap_position(overlap), "row-10");
    overlap_lost(overlap, now);
    assert_null(overlap_position(overlap));
    assert_true(overlap_wants_window(overlap));
    assert_false(overlap_take_before(overlap, "row-101", stamp(moment, 101)));
    assert_false(overlap_take_before(overlap, "row-100", stamp(moment, 100)));
    assert_true(overlap_take_before(overlap, "row-11", stamp(moment, 11)));
    overlap_lost(overlap, now); /* a platform that does not know windows either */
    assert_false(overlap_is_reading(overlap));
    overlap_close(overlap);
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
        cmocka_unit_test(what_was_announced_is_looked_for_at_once_and_the_regular_reading_still_comes),
        cmocka_unit_test(after_a_restart_behind_the_very_first_row_what_stands_before_it_is_asked_for_at_once),
        cmocka_unit_test(where_the_row_to_read_on_from_is_gone_a_window_takes_its_place),
        cmocka_unit_test(under_a_load_that_does_not_end_little_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
