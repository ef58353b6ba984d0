/* The journal with a disk that comes and goes: order, repetition after failures, and the end. */
#include "unit.h"

#include "base/memory.h"
#include "journal/journal.h"
#include "state/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define JOURNALS 6
#define WRITES 150

static struct thread network;
static struct disk disk;
static struct reserve reserve;
static struct open_ledgers ledgers;
static char directory[64], away[80];

struct one {
    struct journal *journal;
    int made, delivered, answered;
    bool closing, closed;
};

struct mark {
    struct one *one;
    int number;
};

static struct one all[JOURNALS];
static int open_journals, recoveries;

static int open_all(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/molecule-journal-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(away, sizeof away, "%s.away", directory);
    thread_adopt(&network, "network");
    disk_open(&disk);
    reserve_open(&reserve);
    ledgers = (struct open_ledgers){.reserve = &reserve};
    atomic_store(&ledgers.maximum, 2); /* fewer than there are journals */
    open_journals = recoveries = 0;
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    char command[200];
    disk_close(&disk);
    reserve_lend(&reserve);
    thread_close(&network);
    snprintf(command, sizeof command, "rm -rf %s %s", directory, away);
    return system(command);
}

static void on_recovered(void *context)
{
    (void)context;
    recoveries++;
}

static void on_changes(void *context, struct changes *changes)
{
    (void)context;
    changes_free(changes);
}

static void open_one(struct one *one, int number)
{
    char path[100];
    struct journal_env env = {.workspace_id = "w",
                              .platform_url = "https://one.example.com",
                              .disk = &disk,
                              .network = &network,
                              .open = &ledgers,
                              .recovered = on_recovered,
                              .changes_stand = on_changes,
                              .context = one};
    snprintf(path, sizeof path, "%s/%d.db", directory, number);
    *one = (struct one){.journal = journal_open(&env, path)};
    open_journals++;
}

static void on_written(void *context, char *value)
{
    struct mark *mark = context;
    free(value);
    assert_int_equal(mark->number, mark->one->delivered);
    mark->one->delivered++;
    free(mark);
}

static void write_one(struct one *one)
{
    char key[20];
    struct mark *mark = memory_allocate(sizeof *mark);
    *mark = (struct mark){one, one->made++};
    snprintf(key, sizeof key, "key-%d", mark->number);
    journal_answer_set(one->journal, key, "value", on_written, mark);
}

static void on_closed(void *context)
{
    struct one *one = context;
    one->closed = true;
    journal_free(one->journal);
    if (--open_journals == 0)
        uv_stop(&network.loop);
}

static void on_tick(uv_timer_t *timer)
{
    static unsigned ticks;
    bool gone = access(directory, F_OK) != 0;
    if (++ticks % 12 == 0)
        assert_int_equal(gone ? rename(away, directory) : rename(directory, away), 0);
    bool all_made = true;
    for (int i = 0; i < JOURNALS; i++) {
        for (int j = 0; j < 4 && all[i].made < WRITES; j++)
            write_one(&all[i]);
        all_made = all_made && all[i].made == all[i].delivered && all[i].made == WRITES;
    }
    if (all_made && !gone) {
        uv_timer_stop(timer);
        uv_stop(&network.loop);
    }
}

static void what_cannot_be_written_is_written_later_once_and_in_order(void **state)
{
    (void)state;
    uv_timer_t timer;
    for (int i = 0; i < JOURNALS; i++)
        open_one(&all[i], i);
    uv_timer_init(&network.loop, &timer);
    uv_timer_start(&timer, on_tick, 1, 5);
    thread_run(&network);
    assert_true(recoveries > 0);
    for (int i = 0; i < JOURNALS; i++) {
        assert_int_equal(all[i].delivered, WRITES);
        assert_null(journal_problem(all[i].journal));
        journal_close(all[i].journal, on_closed);
    }
    thread_run(&network);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&network.loop, UV_RUN_NOWAIT);
}

static void on_counted(void *context, const struct ledger_counts *counts, json_t *sleepers)
{
    assert_null(counts); /* nothing was read */
    assert_null(sleepers);
    ((struct one *)context)->answered++;
}

static void a_journal_that_closes_while_it_cannot_write_gives_up_and_says_so_to_who_asked(
    void **state)
{
    (void)state;
    assert_int_equal(rename(directory, away), 0);
    open_one(&all[0], 0);
    journal_answer_set(all[0].journal, "key", "value", NULL, NULL);
    journal_counts(all[0].journal, on_counted, &all[0]);
    journal_close(all[0].journal, on_closed);
    journal_counts(all[0].journal, on_counted, &all[0]); /* too late */
    thread_run(&network);
    assert_true(all[0].closed);
    assert_int_equal(all[0].answered, 2);
}

static void take_time(void *context)
{
    usleep(*(useconds_t *)context);
}

static void nothing(void *context)
{
    (void)context;
}

static void on_taken(void *context)
{
    (void)context;
    uv_stop(&network.loop);
}

/* The disk thread has more to do in the turn in which it closes the ledger: it must not come back
 * to a journal that was freed meanwhile. */
static void close_when_written(void *context, char *value)
{
    static useconds_t so_that_this_thread_is_woken = 5000, so_that_it_frees_the_journal = 100000;
    struct one *one = context;
    free(value);
    journal_close(one->journal, on_closed);
    disk_run(&disk, &network, take_time, nothing, &so_that_this_thread_is_woken);
    disk_run(&disk, &network, take_time, on_taken, &so_that_it_frees_the_journal);
    open_journals++; /* `on_taken` ends the test */
}

static void the_disk_thread_lets_go_of_a_journal_that_closes_after_a_failure(void **state)
{
    (void)state;
    assert_int_equal(rename(directory, away), 0);
    open_one(&all[0], 0);
    journal_answer_set(all[0].journal, "key", "value", close_when_written, &all[0]);
    usleep(50000); /* it fails meanwhile */
    assert_int_equal(rename(away, directory), 0);
    thread_run(&network);
    assert_true(all[0].closed);
}

static bool copy_updated(const struct ledger_message *found, void *context)
{
    *(int64_t *)context = found->updated_ms;
    return false;
}

static void an_attempt_that_began_as_its_message_was_kept_was_under_way(void **state)
{
    (void)state;
    char path[100], problem[512] = "";
    struct ledger *ledger;
    struct journal_start start;
    const struct ledger_message run = {
        .row_id = "run", .row = "{}", .row_length = 2, .source = "x"};
    int64_t kept_ms = 0;
    snprintf(path, sizeof path, "%s/0.db", directory);
    assert_int_equal(ledger_open(&ledger, path, "https://one.example.com", LEDGER_WRITE, problem,
                                 sizeof problem),
                     LEDGER_OPENED);
    assert_true(ledger_begin(ledger) && ledger_keep(ledger, &run) && ledger_commit(ledger));
    assert_true(ledger_find(ledger, "run", copy_updated, &kept_ms));
    ledger_close(ledger);
    open_one(&all[0], 0);
    journal_load(all[0].journal, NULL, true, &start);
    assert_int_equal(start.open_count, 1);
    assert_true(journal_lacks_outcome(all[0].journal, "run", 1, kept_ms));
    assert_true(journal_lacks_outcome(all[0].journal, "run", 1, kept_ms + 1));
    assert_false(journal_lacks_outcome(all[0].journal, "run", 1, kept_ms - 1));
    journal_loaded_free(start.open);
    journal_rest(all[0].journal);
    journal_free(all[0].journal);
    uv_run(&network.loop, UV_RUN_NOWAIT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
    const struct CMUnitTest tests[] = {
        TEST(what_cannot_be_written_is_written_later_once_and_in_order),
        TEST(a_journal_that_closes_while_it_cannot_write_gives_up_and_says_so_to_who_asked),
        TEST(an_attempt_that_began_as_its_message_was_kept_was_under_way),
        TEST(the_disk_thread_lets_go_of_a_journal_that_closes_after_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
