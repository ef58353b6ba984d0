/* base/log*: how a line looks in each form, and which are counted instead of written. */
#include "base/log_private.h"
#include "unit.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct log_line example = {
    .wall_ms = 1777666447123,
    .level = LOG_LEVEL_WARN,
    .event = LOG_HANDLER_FAILED,
    .subject = {.workspace = "7f1d0c9e-3a52-4a0e-9d0b-6f2b1f3f8a11",
                .row = "r 1",
                .peer = "canvas",
                .attempt = 2,
                .file = "agent.lua",
                .line = 12},
    .text = "it \"failed\" \x1b[31m\nat = once\n",
};

static char out[LOG_RENDERED_MAXIMUM + 1];

static const char *rendered(enum log_form form, const struct log_line *line)
{
    out[log_render(form, line, out)] = '\0';
    return out;
}

static void text_has_the_whole_time_and_id(void **state)
{
    (void)state;
    assert_string_equal(rendered(LOG_FORM_TEXT, &example),
                        "2026-05-01T20:14:07.123Z warn  7f1d0c9e-3a52-4a0e-9d0b-6f2b1f3f8a11: it "
                        "\"failed\" \\x1b[31m\n    at = once\n");
}

static void a_terminal_gets_a_short_line_and_colors_if_it_knows_them(void **state)
{
    (void)state;
    const char *plain = rendered(LOG_FORM_TERMINAL, &example);
    assert_int_equal(plain[2], ':');
    assert_int_equal(plain[5], ':');
    assert_string_equal(plain + 8, " warn  7f1d0c9e  it \"failed\" \\x1b[31m\n    at = once\n");
    struct log_line line = example;
    line.subject.workspace = NULL;
    assert_non_null(strstr(rendered(LOG_FORM_TERMINAL, &line), " warn            it \"failed\""));
    line.subject.workspace = "my.agent-with-a-name";
    assert_non_null(strstr(rendered(LOG_FORM_TERMINAL, &line), " my.agent-with-a-name  it"));
    assert_non_null(strstr(rendered(LOG_FORM_TERMINAL_COLORED, &example), "\x1b[33mwarn \x1b[0m"));
}

static void logfmt_quotes_what_is_not_one_word(void **state)
{
    (void)state;
    assert_string_equal(
        rendered(LOG_FORM_LOGFMT, &example),
        "time=2026-05-01T20:14:07.123Z level=warn event=handler.failed "
        "workspace=7f1d0c9e-3a52-4a0e-9d0b-6f2b1f3f8a11 row=\"r 1\" peer=canvas attempt=2 "
        "source=agent.lua:12 msg=\"it \\\"failed\\\" \\\\x1b[31m\\nat = once\"\n");
}

static void json_is_one_object_a_line_whatever_the_text(void **state)
{
    (void)state;
    char text[LOG_LINE_MAXIMUM];
    for (size_t i = 0; i < sizeof text - 1; i++)
        text[i] = (char)("\"\\\xff\x01\nx"[i % 6]);
    text[sizeof text - 1] = '\0';
    struct log_line line = example;
    for (int round = 0; round < 2; round++) {
        const char *json = rendered(LOG_FORM_JSON, &line);
        assert_ptr_equal(strchr(json, '\n'), json + strlen(json) - 1);
        json_t *value = json_loads(json, 0, NULL);
        assert_non_null(value);
        assert_string_equal(json_string_value(json_object_get(value, "event")), "handler.failed");
        assert_string_equal(json_string_value(json_object_get(value, "source")), "agent.lua:12");
        if (round == 0)
            assert_string_equal(json_string_value(json_object_get(value, "msg")),
                                "it \"failed\" \\x1b[31m\nat = once");
        json_decref(value);
        line.text = text;
    }
}

static void the_journal_gets_fields_and_a_length_before_several_lines(void **state)
{
    (void)state;
    size_t length = log_render(LOG_FORM_JOURNAL, &example, out);
    static const char fields[] = "PRIORITY=4\nSYSLOG_IDENTIFIER=molecule\nMESSAGE_ID=";
    assert_memory_equal(out, fields, sizeof fields - 1);
    static const char middle[] = "\nMOLECULE_EVENT=handler.failed\n"
                                 "MOLECULE_WORKSPACE=7f1d0c9e-3a52-4a0e-9d0b-6f2b1f3f8a11\n"
                                 "MOLECULE_ROW=r 1\nMOLECULE_PEER=canvas\nMOLECULE_ATTEMPT=2\n"
                                 "CODE_FILE=agent.lua\nCODE_LINE=12\n"
                                 "MESSAGE\n\x1e\0\0\0\0\0\0\0it \"failed\" \\x1b[31m\nat = once\n";
    assert_int_equal(length, sizeof fields - 1 + 32 + sizeof middle - 1);
    assert_memory_equal(out + sizeof fields - 1 + 32, middle, sizeof middle - 1);
}

static void every_event_has_its_own_name_and_id(void **state)
{
    (void)state;
    static const char *const ids[] = {
#define LOG_EVENT(name, title, id, ...) id,
#include "base/log_events.def"
    };
    for (size_t i = 0; i < LOG_EVENT_COUNT; i++) {
        assert_int_equal(strspn(ids[i], "0123456789abcdef"), 32);
        assert_int_equal(strspn(log_event_name(i), "abcdefghijklmnopqrstuvwxyz_."),
                         strlen(log_event_name(i)));
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(ids[i], ids[j]);
            assert_string_not_equal(log_event_name(i), log_event_name(j));
        }
    }
}

/* --- repeats --- */

static unsigned written;
static char last[512];

static bool keep(enum log_level level, const char *subject, const char *text)
{
    (void)level;
    (void)subject;
    written++;
    snprintf(last, sizeof last, "%s", text);
    return true;
}

static void what_a_sink_takes_is_not_counted_as_a_repeat(void **state)
{
    (void)state;
    log_set_sink(keep);
    uint64_t before = log_event_count(LOG_POLL_FAILING, LOG_LEVEL_WARN);
    for (int i = 0; i < 10; i++)
        log_warn(LOG_POLL_FAILING, "a", "the same");
    log_set_sink(NULL);
    assert_int_equal(written, 10);
    assert_string_equal(last, "the same");
    assert_int_equal(log_event_count(LOG_POLL_FAILING, LOG_LEVEL_WARN) - before, 10);
}

/* --- time --- */

static int64_t now_ms = 1000000;

int64_t __wrap_clock_monotonic_ms(void);
int64_t __wrap_clock_monotonic_ms(void)
{
    return now_ms;
}

static char lines[8192];

static void read_lines(int fd)
{
    log_flush();
    ssize_t length = read(fd, lines, sizeof lines - 1);
    lines[length > 0 ? length : 0] = '\0';
}

static void what_is_said_again_is_counted_and_told_after_a_minute(void **state)
{
    (void)state;
    int ends[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    for (int i = 0; i < 20; i++) {
        log_warn(LOG_POLL_FAILING, "a", "poll: HTTP 500");
        log_info(LOG_REGISTERED, "a", "registered"); /* no trouble: each counts */
    }
    log_warn(LOG_POLL_FAILING, "b", "poll: HTTP 500"); /* another workspace */
    log_write(LOG_LEVEL_WARN, LOG_HANDLER_FAILED,
              (struct log_subject){.workspace = "a", .row = "1"}, "once");
    log_tell_repeats();
    now_ms += LOG_FOLD_MS;
    log_tell_repeats();
    log_tell_repeats();
    log_warn(LOG_POLL_FAILING, "a", "poll: HTTP 500");
    read_lines(ends[0]);
    dup2(saved, STDERR_FILENO);
    unsigned warned = 0, registered = 0, told = 0;
    for (const char *at = lines; (at = strchr(at, ' ')); at++) {
        warned += strncmp(at, " warn  a: poll: HTTP 500\n", 25) == 0;
        registered += strncmp(at, " info  a: registered\n", 21) == 0;
        told += strncmp(at, " warn  a: poll: HTTP 500 (17 more in 60 s)\n", 43) == 0;
    }
    assert_int_equal(warned, 3 + 1);
    assert_int_equal(registered, 20);
    assert_int_equal(told, 1);
    assert_non_null(strstr(lines, " warn  b: poll: HTTP 500\n"));
}

static void what_was_counted_is_told_before_the_process_ends(void **state)
{
    (void)state;
    int ends[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    for (int i = 0; i < 5; i++)
        log_warn(LOG_POLL_FAILING, "c", "poll: HTTP 502");
    read_lines(ends[0]);
    dup2(saved, STDERR_FILENO);
    assert_non_null(strstr(lines, " warn  c: poll: HTTP 502 (2 more in 0 s)\n"));
}

static char kept[LOG_LINE_MAXIMUM];

static bool keep_line(enum log_level level, const char *subject, const char *text)
{
    (void)level, (void)subject;
    snprintf(kept, sizeof kept, "%s", text);
    return true;
}

static void a_line_that_is_cut_within_a_secret_does_not_show_its_beginning(void **state)
{
    (void)state;
    static const char secret[] = "tok-0123456789abcdefghijklmnopqrstuvwxyz";
    char long_text[LOG_LINE_MAXIMUM];
    memset(long_text, '.', sizeof long_text);
    long_text[LOG_LINE_MAXIMUM - 16 - 20] = '\0'; /* 20 bytes of it would fit before the mark */
    log_hide(secret);
    log_set_sink(keep_line);
    log_warn(LOG_POLL_FAILING, "a", "%s%s and more", long_text, secret);
    log_set_sink(NULL);
    assert_null(strstr(kept, "tok-"));
    assert_non_null(strstr(kept, ".[hidden] and more"));
    memset(long_text, '.', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    log_set_sink(keep_line);
    log_warn(LOG_POLL_FAILING, "a", "%s%s", long_text, secret);
    log_set_sink(NULL);
    assert_int_equal(strlen(kept), LOG_LINE_MAXIMUM - 2);
    assert_string_equal(kept + LOG_LINE_MAXIMUM - 16, " [...cut here]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_has_the_whole_time_and_id),
        cmocka_unit_test(a_terminal_gets_a_short_line_and_colors_if_it_knows_them),
        cmocka_unit_test(logfmt_quotes_what_is_not_one_word),
        cmocka_unit_test(json_is_one_object_a_line_whatever_the_text),
        cmocka_unit_test(the_journal_gets_fields_and_a_length_before_several_lines),
        cmocka_unit_test(every_event_has_its_own_name_and_id),
        cmocka_unit_test(what_is_said_again_is_counted_and_told_after_a_minute),
        cmocka_unit_test(what_a_sink_takes_is_not_counted_as_a_repeat),
        cmocka_unit_test(what_was_counted_is_told_before_the_process_ends),
        cmocka_unit_test(a_line_that_is_cut_within_a_secret_does_not_show_its_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
