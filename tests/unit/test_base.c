#include "unit.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/shared.h"
#include "base/terminal.h"
#include "base/trace.h"
#include "base/uuid.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void a_buffer_takes_its_maximum_and_not_a_byte_more(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 10);
    assert_true(buffer_append(&buffer, "12345", 5));
    assert_true(buffer_printf(&buffer, "%d", 678));
    assert_false(buffer_append_text(&buffer, "9ab"));
    assert_false(buffer_printf(&buffer, "%s", "9ab"));
    assert_string_equal(buffer.data, "12345678");
    assert_true(buffer_append_char(&buffer, '9') && buffer_append_char(&buffer, '0'));
    assert_false(buffer_append_char(&buffer, 'x'));
    assert_true(buffer_append(&buffer, "", 0));
    assert_string_equal(buffer.data, "1234567890");
    buffer_free(&buffer);
    assert_null(buffer.data);
    assert_true(buffer_append_text(&buffer, "again"));
    buffer_free(&buffer);
}

static void a_buffer_is_consumed_from_its_front(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 1 << 20);
    buffer_append_text(&buffer, "hello world");
    buffer_consume(&buffer, 6);
    assert_string_equal(buffer.data, "world");
    assert_int_equal(buffer.length, 5);
    buffer_consume(&buffer, 99);
    assert_int_equal(buffer.length, 0);
    assert_string_equal(buffer.data, "");
    buffer_append_text(&buffer, "x");
    char *taken = buffer_take(&buffer);
    assert_string_equal(taken, "x");
    free(taken);
    taken = buffer_take(&buffer);
    assert_string_equal(taken, "");
    free(taken);
}

static void a_buffer_grows_and_keeps_every_byte(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 1 << 20);
    for (int i = 0; i < 100000; i++)
        assert_true(buffer_append_char(&buffer, (char)('a' + i % 26)));
    assert_int_equal(buffer.length, 100000);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(buffer.data[i], 'a' + i % 26);
    buffer_clear(&buffer);
    assert_int_equal(buffer.length, 0);
    buffer_free(&buffer);
}

static void times_of_the_platform_are_read_to_the_microsecond(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } cases[] = {{"1970-01-01T00:00:00Z", 0},
                 {"1970-01-01T00:00:01.5Z", 1500000},
                 {"2026-05-01T20:14:07.123456Z", 1777666447123456},
                 {"2026-05-01T20:14:07.123456789Z", 1777666447123456},
                 {"2026-05-01T22:14:07+02:00", 1777666447000000},
                 {"2026-05-01T14:44:07-05:30", 1777666447000000},
                 {"2026-05-01T20:14:07z", 1777666447000000}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t us = -1;
        assert_true(clock_parse(cases[i].text, &us));
        assert_int_equal(us, cases[i].us);
    }
    static const char *const others[] = {"",
                                         "now",
                                         "2026-05-01",
                                         "2026-05-01T20:14:07",
                                         "2026-05-01T20:14:07.Z",
                                         "2026-05-01T20:14:07.1234567890Z",
                                         "2026-05-01T20:14:07+2",
                                         "2026-05-01T20:14:07Zx",
                                         "2026-05-01T20:14:07+02:0",
                                         "2026-13-01T20:14:07Z",
                                         "2026-05-01T20:14:07*02:00"};
    for (size_t i = 0; i < COUNT(others); i++) {
        int64_t us;
        if (clock_parse(others[i], &us))
            fail_msg("%s was taken for a time", others[i]);
    }
}

static void times_are_shown_in_utc_with_milliseconds(void **state)
{
    (void)state;
    char text[CLOCK_TEXT_SIZE];
    clock_format(1777666447123, text);
    assert_string_equal(text, "2026-05-01T20:14:07.123Z");
    clock_format(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
}

/* The common form is read by hand; "+00:00" goes the way of every other form. */
static void any_time_is_shown_and_read_back_alike_in_every_form(void **state)
{
    (void)state;
    srand(11);
    for (int i = 0; i < 20000; i++) {
        int64_t ms = (int64_t)rand() * 1900 + rand() % 1000, us = -1, other_us = -2;
        char text[CLOCK_TEXT_SIZE], expected[32], other[64];
        time_t seconds = (time_t)(ms / 1000);
        struct tm parts;
        gmtime_r(&seconds, &parts);
        strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S", &parts);
        snprintf(other, sizeof other, "%s.%03d+00:00", expected, (int)(ms % 1000));
        clock_format(ms, text);
        assert_memory_equal(text, expected, strlen(expected));
        assert_true(clock_parse(text, &us) && clock_parse(other, &other_us));
        assert_true(us == ms * 1000 && other_us == us);
    }
}

static void clocks_do_not_run_backwards(void **state)
{
    (void)state;
    int64_t us = clock_monotonic_us(), ms = clock_monotonic_ms();
    assert_true(clock_monotonic_us() >= us && clock_monotonic_ms() >= ms);
    assert_true(clock_thread_cpu_ms() >= 0);
    assert_true(clock_wall_ms() > 1700000000000);
}

static void durations_are_read_as_operators_write_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {{"0", 0},       {"30", 30000},    {"0.25", 250},        {"250ms", 250},
                 {"30s", 30000}, {"5m", 300000},   {"2h", 7200000},      {"1d", 86400000},
                 {"1.5s", 1500}, {"1m30s", 90000}, {"1h0m1ms", 3600001}, {"3650d", 315360000000}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t ms = -1;
        if (!clock_parse_duration(cases[i].text, &ms))
            fail_msg("%s was refused", cases[i].text);
        assert_int_equal(ms, cases[i].ms);
    }
    static const char *const others[] = {"",      "-1",    "-5s",   "s",    "5x",  "5 s",
                                         "s5",    "1e400", "3651d", "5sec", "nan", "inf",
                                         "0x10x", "1m30",  "+5",    "5S"};
    for (size_t i = 0; i < COUNT(others); i++) {
        int64_t ms;
        if (clock_parse_duration(others[i], &ms))
            fail_msg("%s was taken for a duration", others[i]);
    }
}

static void ids_of_a_name_are_the_same_everywhere(void **state)
{
    (void)state;
    char first[UUID_TEXT_SIZE], second[UUID_TEXT_SIZE];
    uuid_of_name("row-1/reply", first);
    uuid_of_name("row-1/reply", second);
    assert_string_equal(first, second);
    /* what Python's uuid.uuid5 says; an upgrade must not change ids that a platform has seen */
    assert_string_equal(first, "4b049579-0413-53ba-9384-3a9f3e889ad4");
    assert_true(uuid_valid(first));
    uuid_of_name("row-1/error", second);
    assert_string_not_equal(first, second);
    uuid_random(first);
    uuid_random(second);
    assert_string_not_equal(first, second);
    assert_true(uuid_valid(first));
    assert_int_equal(first[14], '4');
    assert_non_null(strchr("89ab", first[19]));
}

static void only_a_uuid_is_one(void **state)
{
    (void)state;
    assert_true(uuid_valid("7F1D0000-0000-4000-8000-00000000000a"));
    assert_false(uuid_valid(NULL));
    assert_false(uuid_valid(""));
    assert_false(uuid_valid("7f1d0000-0000-4000-8000-00000000000"));
    assert_false(uuid_valid("7f1d0000-0000-4000-8000-00000000000ax"));
    assert_false(uuid_valid("7f1d0000x0000-4000-8000-00000000000a"));
    assert_false(uuid_valid("7f1d0000-0000-4000-8000-00000000000g"));
}

static void hidden_texts_do_not_show(void **state)
{
    (void)state;
    log_hide("tok-0123456789");
    log_hide("abcd");
    log_hide("abc");
    log_hide(NULL);
    char text[] = "a tok-0123456789 b tok-0123456789tok-0123456789 abcdabc";
    log_redact(text);
    assert_string_equal(text, "a [hidden] b [hidden][hidden] [hidabc");
    char clean[] = "nothing to hide";
    log_redact(clean);
    assert_string_equal(clean, "nothing to hide");
}

/* What `act` writes to standard error. */
static char *captured(void (*act)(void))
{
    int ends[2], saved = dup(STDERR_FILENO);
    static char text[8192];
    assert_int_equal(pipe(ends), 0);
    assert_int_not_equal(saved, -1);
    dup2(ends[1], STDERR_FILENO);
    act();
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    ssize_t length = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    text[length > 0 ? length : 0] = '\0';
    return text;
}

static void write_lines(void)
{
    log_hide("s3cret-token");
    log_info(LOG_REGISTERED, "7f1d", "registered with %s", "s3cret-token");
    log_warn(LOG_POLL_FAILING, NULL, "two\nlines\x1b[31m");
    log_debug(LOG_POLL_REREAD, "x", "not shown");
    log_flush();
}

static void a_log_line_says_when_who_and_what_and_no_secret(void **state)
{
    (void)state;
    const char *text = captured(write_lines);
    assert_non_null(strstr(text, "Z info  7f1d: registered with [hidden]\n"));
    assert_non_null(strstr(text, "Z warn  two\n    lines\\x1b[31m\n"));
    assert_null(strstr(text, "s3cret"));
    assert_null(strstr(text, "not shown"));
}

static void a_copy_is_terminated_and_a_format_is_whole(void **state)
{
    (void)state;
    char *copy = memory_copy("a\0b", 3), *text = memory_format("%s-%d", "x", 7);
    assert_memory_equal(copy, "a\0b", 4);
    assert_string_equal(text, "x-7");
    assert_null(memory_copy_text(NULL));
    free(copy);
    free(text);
    copy = memory_copy(NULL, 0);
    assert_string_equal(copy, "");
    free(copy);
}

/* In a process of its own: whether it survives. `volatile` keeps the compiler from seeing it. */
static int status_of(void (*act)(void))
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        int nowhere = open("/dev/null", O_WRONLY);
        dup2(nowhere, STDERR_FILENO);
        act();
        _exit(0);
    }
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    return status;
}

static void overflow(void)
{
    volatile int64_t number = INT64_MAX;
    number = number + 1;
}

static void cast(void)
{
    volatile double number = 1e300;
    volatile int64_t whole = (int64_t)number;
    (void)whole;
}

static void undefined_behaviour_ends_the_process_where_the_suite_runs(void **state)
{
    (void)state;
#ifdef MOLECULE_SANITIZE
    if (strstr(MOLECULE_SANITIZE, "undefined")) {
        assert_int_not_equal(status_of(overflow), 0);
        assert_int_not_equal(status_of(cast), 0);
        return;
    }
#endif
    (void)overflow;
    (void)cast;
    (void)status_of;
    skip();
}

static void shown(const char *text, enum terminal_style style, const char *expected)
{
    char *copy = terminal_copy(text, style);
    assert_string_equal(copy, expected);
    free(copy);
}

static void what_steers_a_terminal_is_shown_as_an_escape(void **state)
{
    (void)state;
    assert_null(terminal_copy(NULL, TERMINAL_TEXT));
    shown("", TERMINAL_TEXT, "");
    shown("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 ~", TERMINAL_TEXT,
          "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 ~");
    shown("\x1b]0;x\x07\x1b[31m\x7f", TERMINAL_TEXT, "\\x1b]0;x\\x07\\x1b[31m\\x7f");
    shown("a\nb\r\nc\rd\te", TERMINAL_TEXT, "a\nb\nc\\x0dd e");
    shown("a\nb\r\nc\te", TERMINAL_WORD, "a\\nb\\r\\nc\\te");
    shown("\xc2\x9b"
          "2J\xc2\x85\xc2\xa0",
          TERMINAL_TEXT, "\\u{9b}2J\\u{85}\xc2\xa0");
    /* C1 as a byte, where the terminal is not in UTF-8 */
    shown("\x9b"
          "2J",
          TERMINAL_TEXT, "\\x9b2J");
    shown("\xe2\x80\xae\xe2\x80\x8e\xe2\x81\xa6\xd8\x9c\xe2\x80\xa8", TERMINAL_TEXT,
          "\\u{202e}\\u{200e}\\u{2066}\\u{61c}\\u{2028}");
    shown("\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa", TERMINAL_TEXT,
          "\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa"); /* beside them */
    shown("\xc0\x9b\xe0\x80\x9b\xed\xa0\x80\xe2\x80", TERMINAL_TEXT,
          "\\xc0\\x9b\\xe0\\x80\\x9b\\xed\\xa0\\x80\\xe2\\x80"); /* not UTF-8 */
    shown("{\"a\": \"\xe2\x80\xae\xc2\x9b\x7f\"}\n", TERMINAL_JSON,
          "{\"a\": \"\\u202e\\u009b\\u007f\"}\n");
    char small[4];
    /* no half escape */
    assert_int_equal(terminal_escape("a\x1b", 2, TERMINAL_TEXT, small, sizeof small), 1);
}

static void times_of_a_damaged_file_can_be_reckoned_with(void **state)
{
    (void)state;
    char text[CLOCK_TEXT_SIZE];
    assert_int_equal(clock_bound_ms(INT64_MIN), 0);
    assert_int_equal(clock_bound_ms(INT64_MAX), CLOCK_MAXIMUM_MS);
    assert_int_equal(clock_bound_ms(1777666447123), 1777666447123);
    clock_format(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    clock_format(INT64_MIN, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
}

static void shared_bytes_live_as_long_as_one_owner(void **state)
{
    (void)state;
    const char *bytes = shared_copy("a\0b", 3);
    assert_ptr_equal(shared_take(bytes), bytes);
    shared_release(bytes);
    assert_memory_equal(bytes, "a\0b", 4);
    shared_release(bytes);
    assert_null(shared_take(NULL));
    shared_release(NULL);
}

static void a_hash_is_that_of_fnv_1a(void **state)
{
    (void)state;
    assert_true(hash_text("") == 0xcbf29ce484222325u);
    assert_true(hash_text("foobar") == 0x85944171f73967e8u);
    assert_true(hash_bytes("foobar", 6) == hash_text("foobar"));
    assert_true(hash_bytes("a\0b", 3) != hash_text("a"));
}

static void a_ratio_of_traces_is_that_share_of_them(void **state)
{
    (void)state;
    for (int tenths = 0; tenths <= 10; tenths++) {
        int sampled = 0;
        trace_export(1, (struct trace_sampling){.sampler = TRACE_RATIO, .ratio = tenths / 10.0});
        for (int i = 0; i < 2000; i++) {
            struct trace_context context;
            char name[16], parent[TRACE_SPAN_ID_SIZE];
            snprintf(name, sizeof name, "row %d", i);
            trace_begin(NULL, name, &context, parent);
            sampled += context.sampled;
        }
        assert_in_range(sampled, tenths > 0 ? tenths * 200 - 100 : 0, tenths * 200 + 100);
    }
    trace_export(0, (struct trace_sampling){0});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_takes_its_maximum_and_not_a_byte_more),
        cmocka_unit_test(a_buffer_is_consumed_from_its_front),
        cmocka_unit_test(a_buffer_grows_and_keeps_every_byte),
        cmocka_unit_test(times_of_the_platform_are_read_to_the_microsecond),
        cmocka_unit_test(times_are_shown_in_utc_with_milliseconds),
        cmocka_unit_test(any_time_is_shown_and_read_back_alike_in_every_form),
        cmocka_unit_test(clocks_do_not_run_backwards),
        cmocka_unit_test(durations_are_read_as_operators_write_them),
        cmocka_unit_test(ids_of_a_name_are_the_same_everywhere),
        cmocka_unit_test(only_a_uuid_is_one),
        cmocka_unit_test(hidden_texts_do_not_show),
        cmocka_unit_test(a_log_line_says_when_who_and_what_and_no_secret),
        cmocka_unit_test(undefined_behaviour_ends_the_process_where_the_suite_runs),
        cmocka_unit_test(what_steers_a_terminal_is_shown_as_an_escape),
        cmocka_unit_test(times_of_a_damaged_file_can_be_reckoned_with),
        cmocka_unit_test(shared_bytes_live_as_long_as_one_owner),
        cmocka_unit_test(a_hash_is_that_of_fnv_1a),
        cmocka_unit_test(a_ratio_of_traces_is_that_share_of_them),
        cmocka_unit_test(a_copy_is_terminated_and_a_format_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
