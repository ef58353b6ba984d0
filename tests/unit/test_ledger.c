/* The ledger's file: states, durability of what was committed, damage, other platforms, pruning. */
#include "unit.h"

#include "base/clock.h"
#include "base/memory.h"
#include "state/ledger.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define URL "https://one.example.com"

static unsigned syncs; /* of any file, while the ledger works */

/* In place of libc's: SQLite's own calls come here. */
int fdatasync(int fd)
{
    syncs++;
    return fsync(fd);
}

static char directory[64];
static char path[128];

static int make_directory(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/molecule-ledger-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/w.db", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    char command[160];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static struct ledger *open_ledger(enum ledger_mode mode)
{
    struct ledger *ledger;
    char problem[512] = "";
    if (ledger_open(&ledger, path, URL, mode, problem, sizeof problem) != LEDGER_OPENED)
        fail_msg("%s", problem);
    return ledger;
}

static struct ledger_message message(const char *row_id)
{
    return (struct ledger_message){.row_id = row_id,
                                   .row = "{\"id\":1}",
                                   .row_length = 8,
                                   .attempts = 1,
                                   .source = "canvas",
                                   .created_at = "2026-05-01T10:00:00.000001Z"};
}

static bool copy_state(const struct ledger_message *found, void *context)
{
    struct ledger_message *copy = context;
    *copy = *found;
    copy->row_id = copy->target = copy->reply_id = copy->outcome = NULL;
    static char body[64], reason[64], row[64];
    snprintf(body, sizeof body, "%.*s", (int)found->body_length, found->body ? found->body : "");
    snprintf(reason, sizeof reason, "%s", found->reason ? found->reason : "");
    snprintf(row, sizeof row, "%.*s", (int)found->row_length, found->row ? found->row : "");
    copy->body = body;
    copy->reason = reason;
    copy->row = row;
    return false;
}

static void a_reply_stands_byte_for_byte_after_a_restart(void **state)
{
    (void)state;
    struct ledger *ledger = open_ledger(LEDGER_WRITE);
    struct ledger_message one = message("a"), found = {0};
    one.body = "{\"message\":\"\xc3\xa9\"}";
    one.body_length = strlen(one.body);
    one.to_canvas = true;
    assert_true(ledger_begin(ledger) && ledger_reply(ledger, &one) && ledger_commit(ledger));
    ledger_close(ledger);
    ledger = open_ledger(LEDGER_WRITE);
    assert_true(ledger_find(ledger, "a", copy_state, &found));
    assert_int_equal(found.state, LEDGER_REPLIED);
    assert_string_equal(found.body, one.body);
    assert_true(found.to_canvas);
    assert_string_equal(found.row, "{\"id\":1}");
    ledger_close(ledger);
}

static void what_was_not_committed_is_gone(void **state)
{
    (void)state;
    struct ledger *ledger = open_ledger(LEDGER_WRITE);
    struct ledger_message one = message("a");
    assert_true(ledger_begin(ledger) && ledger_reply(ledger, &one));
    ledger_rollback(ledger);
    assert_int_equal(ledger_state_of(ledger, "a"), LEDGER_UNKNOWN);
    ledger_close(ledger);
}

static bool finish(struct ledger *ledger, struct ledger_message one)
{
    one.outcome = "replied";
    return ledger_finish(ledger, &one);
}

static void a_finished_message_keeps_its_id_and_gives_its_space_back(void **state)
{
    (void)state;
    struct ledger *ledger = open_ledger(LEDGER_WRITE);
    struct ledger_message one = message("a"), found = {0};
    struct ledger_counts counts;
    assert_true(ledger_begin(ledger) && ledger_reply(ledger, &one) && finish(ledger, one) &&
                ledger_commit(ledger));
    assert_false(ledger_find(ledger, "a", copy_state, &found));
    assert_int_equal(ledger_state_of(ledger, "a"), LEDGER_FINISHED);
    assert_true(ledger_count(ledger, &counts));
    assert_int_equal(counts.by_state[LEDGER_FINISHED], 1);
    assert_int_equal(counts.by_state[LEDGER_REPLIED], 0);
    ledger_close(ledger);
}

static void a_message_that_was_finished_is_not_kept_again_by_a_late_word(void **state)
{
    (void)state;
    struct ledger *ledger = open_ledger(LEDGER_WRITE);
    struct ledger_message one = message("a");
    assert_true(ledger_begin(ledger) && ledger_reply(ledger, &one) && finish(ledger, one) &&
                ledger_keep(ledger, &one) && ledger_commit(ledger));
    assert_int_equal(ledger_state_of(ledger, "a"), LEDGER_FINISHED);
    ledger_close(ledger);
}

static void a_dead_letter_runs_again_when_asked_and_only_then(void **state)
{
    (void)state;
    struct ledger *ledger = open_ledger(LEDGER_WRITE);
    struct ledger_message one = message("a"), found = {0};
    bool there;
    one.reason = "boom";
    one.traceback = "agent.lua:3";
    assert_true(ledger_begin(ledger) && ledger_die(ledger, &one) && ledger_commit(ledger));
    assert_true(ledger_begin(ledger));
    assert_true(ledger_retry_dead(ledger, "b", 1, &there));
    assert_false(there);
    assert_true(ledger_retry_dead(ledger, "a", 1, &there));
    assert_true(there);
    assert_true(ledger_commit(ledger));
    assert_true(ledger_find(ledger, "a", copy_state, &found));
    assert_int_equal(found.state, LEDGER_KEPT);
    assert_int_equal(found.attempts, 0);
    assert_true(found.passed);
    ledger_close(ledger);
}

static void an_error_reply_that_was_posted_leaves_a_dead_letter_with_its_row(void **state)
{
    (void)state;
    struct ledger *ledger = open_ledger(LEDGER_WRITE);
    struct ledger_message one = message("a"), found = {0};
    one.body = "x";
    one.body_length = 1;
    one.dead_after_reply = true;
    one.reason = "boom";
    struct ledger_message waits = one; /* for its peer, meanwhile */
    waits.reason = "its conversation waits";
    assert_true(ledger_begin(ledger) && ledger_reply(ledger, &one) && ledger_keep(ledger, &waits) &&
                finish(ledger, one) && ledger_commit(ledger));
    assert_true(ledger_find(ledger, "a", copy_state, &found));
    assert_int_equal(found.state, LEDGER_DEAD);
    assert_string_equal(found.row, "{\"id\":1}");
    assert_string_equal(found.reason, "boom");
    ledger_close(ledger);
}

static void what_another_client_passed_is_left_to_it_unless_the_platform_brings_it_back(
    void **state)
{
    (void)state;
    struct ledger *ledger = open_ledger(LEDGER_WRITE);
    struct ledger_message waiting = message("a"), kept = message("b");
    assert_true(ledger_begin(ledger) && ledger_wait(ledger, &waiting) &&
                ledger_keep(ledger, &kept) && ledger_leave_to_others(ledger) &&
                ledger_commit(ledger));
    assert_int_equal(ledger_state_of(ledger, "a"), LEDGER_ELSEWHERE);
    assert_int_equal(ledger_state_of(ledger, "b"), LEDGER_KEPT);
    assert_true(ledger_begin(ledger) && ledger_take_back(ledger, "a") && ledger_commit(ledger));
    assert_int_equal(ledger_state_of(ledger, "a"), LEDGER_KEPT);
    ledger_close(ledger);
}

static void a_ledger_meets_only_its_own_platform(void **state)
{
    (void)state;
    struct ledger *ledger = open_ledger(LEDGER_WRITE);
    char problem[512];
    ledger_close(ledger);
    assert_int_equal(ledger_open(&ledger, path, "https://two.example.com", LEDGER_WRITE, problem,
                                 sizeof problem),
                     LEDGER_OTHER_PLATFORM);
    assert_non_null(strstr(problem, "https://one.example.com"));
}

static void a_damaged_ledger_is_told_and_set_aside_never_replaced_silently(void **state)
{
    (void)state;
    struct ledger *ledger = open_ledger(LEDGER_WRITE);
    char problem[512] = "", aside[256];
    struct stat status;
    ledger_close(ledger);
    int fd = open(path, O_WRONLY);
    for (int i = 0; i < 8192; i++)
        assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
    assert_int_equal(ledger_open(&ledger, path, URL, LEDGER_WRITE, problem, sizeof problem),
                     LEDGER_DAMAGED);
    assert_null(ledger);
    assert_true(problem[0]);
    assert_true(ledger_set_aside(path, problem, sizeof problem));
    assert_int_not_equal(stat(path, &status), 0);
    snprintf(aside, sizeof aside, "ls %s/w.db.damaged-* >/dev/null", directory);
    assert_int_equal(system(aside), 0);
}

static void a_ledger_of_a_newer_version_is_refused(void **state)
{
    (void)state;
    struct ledger *ledger = open_ledger(LEDGER_WRITE);
    char problem[512], command[256];
    ledger_close(ledger);
    /* user_version stands at byte 60 of the header, big-endian */
    snprintf(command, sizeof command,
             "printf '\\000\\000\\000\\143' | dd of=%s bs=1 seek=60 conv=notrunc 2>/dev/null",
             path);
    assert_int_equal(system(command), 0);
    assert_int_equal(ledger_open(&ledger, path, URL, LEDGER_WRITE, problem, sizeof problem),
                     LEDGER_NEWER);
    assert_non_null(strstr(problem, "newer"));
}

static void a_copy_is_of_one_moment_whoever_writes_meanwhile(void **state)
{
    (void)state;
    char problem[512], copy[160], rows[512];
    struct ledger *ledger = open_ledger(LEDGER_WRITE), *shared;
    ledger_close(ledger); /* at rest: no log is left */
    snprintf(copy, sizeof copy, "%s/copy.db", directory);
    assert_int_equal(ledger_open(&shared, path, NULL, LEDGER_READ_SHARED, problem, sizeof problem),
                     LEDGER_OPENED);
    ledger = open_ledger(LEDGER_WRITE); /* a fleet opens it again */
    for (int i = 0; i < 50; i++) {
        char id[16];
        snprintf(id, sizeof id, "row %d", i);
        struct ledger_message dead = message(id);
        assert_true(ledger_begin(ledger));
        dead.reason = "no";
        assert_true(ledger_die(ledger, &dead));
        assert_true(ledger_commit(ledger));
    }
    ledger_close(ledger); /* what it wrote is in the database now */
    assert_true(ledger_copy(shared, copy, problem, sizeof problem));
    ledger_close(shared);
    snprintf(rows, sizeof rows,
             "test $(sqlite3 %s 'SELECT count(*) FROM messages') = 50 && "
             "test $(sqlite3 %s 'PRAGMA integrity_check') = ok",
             copy, copy);
    assert_int_equal(system(rows), 0);
}

static void only_the_owner_can_read_it(void **state)
{
    (void)state;
    struct stat status;
    struct ledger *ledger = open_ledger(LEDGER_WRITE);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    ledger_close(ledger);
}

static void the_log_begins_anew_when_it_was_moved_into_the_database(void **state)
{
    (void)state;
    struct ledger *ledger = open_ledger(LEDGER_WRITE);
    struct ledger_message one = message("a");
    assert_true(ledger_begin(ledger) && ledger_keep(ledger, &one) && ledger_commit(ledger));
    int pages = ledger_log_pages(ledger);
    assert_true(pages > 0);
    ledger_checkpoint(path);
    assert_true(ledger_begin(ledger) && ledger_keep(ledger, &one) && ledger_commit(ledger));
    ledger_restart_log(ledger);
    assert_int_equal(ledger_log_pages(ledger), 0);
    assert_true(ledger_begin(ledger) && ledger_keep(ledger, &one) && ledger_commit(ledger));
    assert_true(ledger_log_pages(ledger) <= pages);
    ledger_close(ledger);
}

static void old_finished_ids_are_forgotten_by_the_cursors_stamp_not_by_the_clock(void **state)
{
    (void)state;
    struct ledger *ledger = open_ledger(LEDGER_WRITE);
    struct ledger_message old = message("old"), recent = message("recent"), dead = message("dead");
    old.created_at = dead.created_at = "2020-01-01T00:00:00Z";
    recent.created_at = "2020-02-01T00:00:00Z";
    assert_true(ledger_begin(ledger) && ledger_reply(ledger, &old) &&
                ledger_reply(ledger, &recent) && finish(ledger, old) && finish(ledger, recent) &&
                ledger_die(ledger, &dead) && ledger_commit(ledger));
    assert_true(ledger_begin(ledger) && ledger_prune(ledger, 86400, 100) && ledger_commit(ledger));
    /* no cursor: nothing is forgotten */
    assert_int_equal(ledger_state_of(ledger, "old"), LEDGER_FINISHED);
    assert_true(ledger_begin(ledger) &&
                ledger_set_cursor(ledger, "recent", "2020-02-01T00:00:00Z", 1, NULL) &&
                ledger_prune(ledger, 86400, 100) && ledger_commit_durably(ledger));
    assert_int_equal(ledger_state_of(ledger, "old"), LEDGER_UNKNOWN);
    assert_int_equal(ledger_state_of(ledger, "recent"), LEDGER_FINISHED);
    assert_int_equal(ledger_state_of(ledger, "dead"), LEDGER_DEAD);
    ledger_close(ledger);
}

static int64_t last_of(struct ledger *ledger, const char *name, const char *form)
{
    int64_t last_s = -1;
    ledger_schedule_last(ledger, name, form, &last_s);
    return last_s;
}

static void a_schedule_keeps_when_it_was_due_until_it_becomes_another(void **state)
{
    (void)state;
    struct ledger *ledger = open_ledger(LEDGER_WRITE);
    assert_int_equal(last_of(ledger, "report", "0 8 * * * UTC"), -1);
    assert_true(ledger_begin(ledger) &&
                ledger_schedule_set(ledger, "report", "0 8 * * * UTC", 1774746000) &&
                ledger_schedule_set(ledger, "report 2", "0 9 * * * UTC", 5) &&
                ledger_commit(ledger));
    ledger_close(ledger);
    ledger = open_ledger(LEDGER_WRITE_EXISTING);
    assert_int_equal(last_of(ledger, "report", "0 8 * * * UTC"), 1774746000);
    assert_int_equal(last_of(ledger, "report", "0 8 * * * UT"), -1);
    assert_int_equal(last_of(ledger, "report", "0 9 * * * UTC"), -1);
    assert_int_equal(last_of(ledger, "report 2", "0 9 * * * UTC"), 5);
    assert_int_equal(last_of(ledger, "2", "0 9 * * * UTC"), -1);
    ledger_close(ledger);
}

static void age_finished(void)
{
    sqlite3 *database;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database,
                                  "UPDATE finished SET updated = updated - 8 * 86400000"
                                  " WHERE row_id <> 'recent'",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(database);
}

static void runs_of_schedules_are_forgotten_after_a_week_without_a_cursor(void **state)
{
    (void)state;
    struct ledger *ledger = open_ledger(LEDGER_WRITE);
    struct ledger_message old = message("old"), recent = message("recent"),
                          heard = message("heard");
    old.source = recent.source = "cron/report";
    assert_true(ledger_begin(ledger) && finish(ledger, old) && finish(ledger, heard) &&
                finish(ledger, recent) && ledger_commit(ledger));
    age_finished();
    assert_true(ledger_begin(ledger) && ledger_schedule_prune(ledger) && ledger_commit(ledger));
    assert_int_equal(ledger_state_of(ledger, "old"), LEDGER_UNKNOWN);
    assert_int_equal(ledger_state_of(ledger, "recent"), LEDGER_FINISHED);
    assert_int_equal(ledger_state_of(ledger, "heard"), LEDGER_FINISHED);
    ledger_close(ledger);
}

static void the_cursor_and_the_one_before_it_are_known(void **state)
{
    (void)state;
    struct ledger *ledger = open_ledger(LEDGER_WRITE);
    assert_true(ledger_begin(ledger) && ledger_set_cursor(ledger, "a", NULL, 5, NULL) &&
                ledger_set_cursor(ledger, "b", NULL, 6, NULL) &&
                ledger_set_cursor(ledger, "b", NULL, 7, NULL) && ledger_commit_durably(ledger));
    char *cursor = ledger_cursor(ledger), *before = ledger_cursor_before(ledger);
    assert_string_equal(cursor, "b");
    assert_string_equal(before, "a");
    assert_int_equal(ledger_last_poll(ledger), 7);
    free(cursor);
    free(before);
    ledger_close(ledger);
}

/* A disk of which a read fails: SQLite's own way to files, but for the reads from the n-th on. */
static int reads_left;
static sqlite3_io_methods failing_methods;
static int (*real_read)(sqlite3_file *file, void *bytes, int size, sqlite3_int64 offset);

static int failing_read(sqlite3_file *file, void *bytes, int size, sqlite3_int64 offset)
{
    return reads_left == 0 ? SQLITE_IOERR_READ
                           : (reads_left--, real_read(file, bytes, size, offset));
}

static int failing_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags,
                        int *flags_out)
{
    sqlite3_vfs *real = vfs->pAppData;
    int result = real->xOpen(real, name, file, flags, flags_out);
    if (result == SQLITE_OK && flags & SQLITE_OPEN_MAIN_DB) {
        failing_methods = *file->pMethods;
        real_read = failing_methods.xRead;
        failing_methods.xRead = failing_read;
        failing_methods.iVersion = 2; /* no mapped pages: they would not be read */
        file->pMethods = &failing_methods;
    }
    return result;
}

static sqlite3_vfs *begin_failing_reads(void)
{
    static sqlite3_vfs failing;
    failing = *sqlite3_vfs_find(NULL);
    failing.pAppData = sqlite3_vfs_find(NULL);
    failing.zName = "failing";
    failing.xOpen = failing_open;
    sqlite3_vfs_register(&failing, 1);
    return &failing;
}

static void a_disk_that_cannot_be_read_is_not_a_damaged_ledger(void **state)
{
    (void)state;
    char problem[512];
    struct ledger *ledger = open_ledger(LEDGER_WRITE);
    struct ledger_message kept = message("kept");
    assert_true(ledger_begin(ledger) && ledger_keep(ledger, &kept) && ledger_commit(ledger));
    ledger_close(ledger);
    sqlite3_vfs *failing = begin_failing_reads();
    enum ledger_status status = LEDGER_FAILED;
    for (int reads = 0; reads < 100 && status == LEDGER_FAILED; reads++) {
        reads_left = reads;
        status = ledger_open(&ledger, path, URL, LEDGER_WRITE_EXISTING, problem, sizeof problem);
    }
    sqlite3_vfs_unregister(failing);
    /* never LEDGER_DAMAGED: it would be set aside, and what is kept with it */
    assert_int_equal(status, LEDGER_OPENED);
    ledger_close(ledger);
}

static void a_message_that_cannot_be_looked_up_is_not_an_unknown_one(void **state)
{
    (void)state;
    struct ledger *ledger = open_ledger(LEDGER_WRITE);
    assert_true(ledger_begin(ledger) && finish(ledger, message("a")) && ledger_commit(ledger));
    sqlite3 *vandal;
    assert_int_equal(sqlite3_open(path, &vandal), SQLITE_OK);
    assert_int_equal(sqlite3_exec(vandal, "DROP TABLE finished", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(vandal);
    /* as unknown it would be answered again */
    assert_int_equal(ledger_state_of(ledger, "a"), LEDGER_UNREADABLE);
    ledger_close(ledger);
}

static bool apply(struct ledger *ledger, enum change_verb verb, const char *value)
{
    struct changes *changes = NULL;
    assert_true(changes_add(&changes, verb, "key", value, strlen(value), 0, 0));
    bool applied = ledger_begin(ledger) && ledger_store_apply(ledger, changes);
    if (applied)
        assert_true(ledger_commit(ledger));
    else
        ledger_rollback(ledger);
    changes_free(changes);
    return applied;
}

static void assert_stored(struct ledger *ledger, const char *expected)
{
    char *value;
    assert_true(ledger_store_get(ledger, "key", &value));
    assert_string_equal(value, expected);
    free(value);
}

static void a_list_that_holds_a_nul_is_added_to_as_any_other(void **state)
{
    (void)state;
    struct ledger *ledger = open_ledger(LEDGER_WRITE);
    assert_true(apply(ledger, CHANGE_SET, "[\"t\\u0000wo\"]"));
    assert_true(apply(ledger, CHANGE_APPEND, "\"thr\\u0000ee\""));
    assert_stored(ledger, "[\"t\\u0000wo\",\"thr\\u0000ee\"]");
    ledger_close(ledger);
}

static void a_stored_value_that_is_no_json_is_told_and_stays(void **state)
{
    (void)state;
    struct ledger *ledger = open_ledger(LEDGER_WRITE);
    assert_true(apply(ledger, CHANGE_SET, "[\"half"));
    assert_false(apply(ledger, CHANGE_APPEND, "1"));
    assert_non_null(strstr(ledger_problem(ledger), "the value of the key \"key\" is not JSON: "));
    assert_false(apply(ledger, CHANGE_INCR, "1"));
    assert_stored(ledger, "[\"half");
    ledger_close(ledger);
}

static void a_sum_outside_64_bits_is_kept_as_a_real_number(void **state)
{
    (void)state;
    struct ledger *ledger = open_ledger(LEDGER_WRITE);
    assert_true(apply(ledger, CHANGE_SET, "9223372036854775806"));
    assert_true(apply(ledger, CHANGE_INCR, "1"));
    assert_stored(ledger, "9223372036854775807");
    assert_true(apply(ledger, CHANGE_INCR, "1"));
    assert_stored(ledger, "9.223372036854776e18");
    ledger_close(ledger);
}

static void only_the_newest_answers_are_kept(void **state)
{
    (void)state;
    struct ledger *ledger = open_ledger(LEDGER_WRITE);
    char id[32], *answer;
    assert_true(ledger_begin(ledger));
    for (int i = 0; i < 2100; i++) {
        snprintf(id, sizeof id, "question-%d", i);
        assert_true(ledger_answer_set(ledger, id, "yes", 1000000 + i * 1000));
    }
    assert_true(ledger_store_expire(ledger, 1000));
    assert_true(ledger_commit(ledger));
    assert_true(ledger_answer_get(ledger, "question-99", &answer));
    assert_null(answer);
    assert_true(ledger_answer_get(ledger, "question-100", &answer));
    assert_string_equal(answer, "yes");
    free(answer);
    ledger_close(ledger);
}

static void every_durable_commit_is_on_the_platter_and_the_others_are_not(void **state)
{
    (void)state;
    struct ledger *ledger = open_ledger(LEDGER_WRITE);
    struct ledger_message one = message("row-1");
    for (int i = 0; i < 3; i++) {
        unsigned before = syncs;
        assert_true(ledger_begin(ledger) && ledger_wait(ledger, &one) && ledger_commit(ledger));
        assert_int_equal(syncs, before);
        assert_true(ledger_begin(ledger) && ledger_keep(ledger, &one) &&
                    ledger_commit_durably(ledger));
        assert_true(syncs > before);
    }
    ledger_close(ledger);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_directory, remove_directory)
    const struct CMUnitTest tests[] = {
        TEST(a_reply_stands_byte_for_byte_after_a_restart),
        TEST(what_was_not_committed_is_gone),
        TEST(every_durable_commit_is_on_the_platter_and_the_others_are_not),
        TEST(only_the_newest_answers_are_kept),
        TEST(a_finished_message_keeps_its_id_and_gives_its_space_back),
        TEST(a_message_that_was_finished_is_not_kept_again_by_a_late_word),
        TEST(a_dead_letter_runs_again_when_asked_and_only_then),
        TEST(an_error_reply_that_was_posted_leaves_a_dead_letter_with_its_row),
        TEST(what_another_client_passed_is_left_to_it_unless_the_platform_brings_it_back),
        TEST(a_ledger_meets_only_its_own_platform),
        TEST(a_damaged_ledger_is_told_and_set_aside_never_replaced_silently),
        TEST(a_ledger_of_a_newer_version_is_refused),
        TEST(a_copy_is_of_one_moment_whoever_writes_meanwhile),
        TEST(only_the_owner_can_read_it),
        TEST(the_log_begins_anew_when_it_was_moved_into_the_database),
        TEST(old_finished_ids_are_forgotten_by_the_cursors_stamp_not_by_the_clock),
        TEST(a_schedule_keeps_when_it_was_due_until_it_becomes_another),
        TEST(runs_of_schedules_are_forgotten_after_a_week_without_a_cursor),
        TEST(the_cursor_and_the_one_before_it_are_known),
        TEST(a_disk_that_cannot_be_read_is_not_a_damaged_ledger),
        TEST(a_message_that_cannot_be_looked_up_is_not_an_unknown_one),
        TEST(a_list_that_holds_a_nul_is_added_to_as_any_other),
        TEST(a_stored_value_that_is_no_json_is_told_and_stays),
        TEST(a_sum_outside_64_bits_is_kept_as_a_real_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
