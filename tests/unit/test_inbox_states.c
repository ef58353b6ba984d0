/* Every state of an entry, with either flag, meets every event: it goes where the table of the
 * inbox says, or the process ends. */
#include "unit.h"

#include "base/memory.h"
#include "base/shared.h"
#include "messages/inbox.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define REFUSED (-1)

static struct inbox_entry *admit_message(struct inbox *inbox, struct message *message,
                                         bool moves_cursor)
{
    const char *row = shared_copy("{}", 2);
    struct inbox_entry *entry = inbox_admit(inbox, message, row, 2, moves_cursor);
    shared_release(row);
    return entry;
}

static struct inbox_entry *admit(struct inbox *inbox, int number, const char *conversation)
{
    struct message *message = memory_allocate(sizeof *message);
    message->row_id = memory_format("row-%d", number);
    message->conversation = memory_copy_text(conversation);
    message->created_at = memory_format("2026-05-01T00:00:00.%06dZ", number);
    message->text = memory_copy_text("");
    message->raw = memory_copy_text("");
    return admit_message(inbox, message, true);
}

/* --- the events --- */

static void start(struct inbox *inbox, struct inbox_entry *entry)
{
    inbox_start(inbox, entry);
}

static void record(struct inbox *inbox, struct inbox_entry *entry)
{
    inbox_record(inbox, entry);
}

static void send_it(struct inbox *inbox, struct inbox_entry *entry)
{
    inbox_send(inbox, entry);
}

static void settle(struct inbox *inbox, struct inbox_entry *entry)
{
    inbox_settle(inbox, entry);
}

static void retry_held(struct inbox *inbox, struct inbox_entry *entry)
{
    inbox_retry(inbox, entry, 100, true, true);
}

static void retry_aside(struct inbox *inbox, struct inbox_entry *entry)
{
    inbox_retry(inbox, entry, 100, false, true);
}

static void postpone_held(struct inbox *inbox, struct inbox_entry *entry)
{
    inbox_postpone(inbox, entry, 100, true);
}

static void postpone_aside(struct inbox *inbox, struct inbox_entry *entry)
{
    inbox_postpone(inbox, entry, 100, false);
}

static void finish(struct inbox *inbox, struct inbox_entry *entry)
{
    inbox_finish(inbox, entry);
}

static void defer(struct inbox *inbox, struct inbox_entry *entry)
{
    inbox_defer(inbox, entry);
}

#define W INBOX_WAITING
#define A INBOX_ASIDE
#define R INBOX_RUNNING
#define C INBOX_RECORDING
#define P INBOX_PARKED
#define S INBOX_SENT
#define T INBOX_SETTLED
#define F INBOX_FINISHED
#define X REFUSED

/* clang-format off */
static const struct {
    const char *name;
    void (*happen)(struct inbox *inbox, struct inbox_entry *entry);
    int leads_to[INBOX_STATES]; /* from each state, in their order */
} events[] = {
    /*                                    W  A  R  C  P  S  T  F */
    {"start",          start,            {R, R, X, X, X, X, X, X}},
    {"record",         record,           {C, C, C, X, X, X, X, X}},
    {"send",           send_it,          {X, X, X, S, P, X, X, X}}, /* P: it stays parked */
    {"settle",         settle,           {X, X, X, X, X, T, X, X}},
    {"retry, held",    retry_held,       {W, X, W, W, X, X, X, X}},
    {"retry, aside",   retry_aside,      {A, X, A, A, X, X, X, X}},
    {"postpone, held", postpone_held,    {W, X, X, X, X, X, X, X}},
    {"postpone, aside", postpone_aside,  {A, X, X, X, X, X, X, X}},
    {"finish",         finish,           {F, X, X, F, X, F, F, X}},
    {"defer",          defer,            {W, A, R, C, P, S, T, X}},
};
/* clang-format on */

/* An entry in that state. A row before it is unfinished, so that a finished one is still there. */
static struct inbox_entry *lead_to(struct inbox *inbox, enum inbox_state state)
{
    admit(inbox, 1, "other");
    struct inbox_entry *ahead = state == INBOX_PARKED ? admit(inbox, 2, "this") : NULL;
    struct inbox_entry *entry = admit(inbox, 3, "this");
    if (ahead) {
        inbox_start(inbox, ahead);
        inbox_record(inbox, ahead);
        assert_true(inbox_send(inbox, ahead));
    }
    if (state == INBOX_ASIDE)
        inbox_postpone(inbox, entry, 100, false);
    if (state == INBOX_WAITING || state == INBOX_ASIDE)
        return entry;
    inbox_start(inbox, entry);
    if (state == INBOX_RUNNING)
        return entry;
    inbox_record(inbox, entry);
    if (state == INBOX_RECORDING)
        return entry;
    inbox_send(inbox, entry);
    if (state == INBOX_SETTLED || state == INBOX_FINISHED)
        inbox_settle(inbox, entry);
    if (state == INBOX_FINISHED)
        inbox_finish(inbox, entry);
    return entry;
}

static void check_counts(const struct inbox *inbox, const struct inbox_entry *entry)
{
    assert_int_equal(inbox_running(inbox), entry->state == INBOX_RUNNING);
    size_t answering = entry->state >= INBOX_RECORDING && entry->state <= INBOX_SETTLED;
    size_t ahead = entry->state == INBOX_PARKED; /* what it waits for */
    assert_int_equal(inbox_answering(inbox), answering + ahead);
}

/* In a process of its own: the state it came to, or REFUSED. */
static int outcome_of(enum inbox_state state, bool deferred, bool suspect, size_t event)
{
    pid_t child = fork();
    if (child == 0) {
        int silent = open("/dev/null", O_WRONLY | O_CLOEXEC);
        struct inbox *inbox = inbox_open(NULL);
        struct inbox_entry *entry = lead_to(inbox, state);
        if (deferred && state != INBOX_FINISHED)
            inbox_defer(inbox, entry);
        entry->suspect = suspect;
        dup2(silent, STDERR_FILENO); /* the refusal's words */
        events[event].happen(inbox, entry);
        _exit(entry->state + 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGABRT);
        return REFUSED;
    }
    return WEXITSTATUS(status) - 1;
}

static void every_event_leads_where_the_table_says_or_ends_the_process(void **unused)
{
    (void)unused;
    for (size_t event = 0; event < COUNT(events); event++)
        for (int state = 0; state < INBOX_STATES; state++)
            for (int flags = 0; flags < 4; flags++) {
                int came = outcome_of((enum inbox_state)state, flags & 1, flags & 2, event);
                /* a deferred entry that is finished is not in the order any more, and was freed */
                bool freed = flags & 1 && events[event].leads_to[state] == INBOX_FINISHED;
                if (!freed && came != events[event].leads_to[state])
                    fail_msg("%s in state %d (flags %d) led to %d, not to %d", events[event].name,
                             state, flags, came, events[event].leads_to[state]);
            }
}

static void every_state_is_counted_as_what_it_is(void **unused)
{
    (void)unused;
    for (int state = 0; state < INBOX_STATES; state++) {
        struct inbox *inbox = inbox_open(NULL);
        struct inbox_entry *entry = lead_to(inbox, (enum inbox_state)state);
        assert_int_equal(entry->state, state);
        check_counts(inbox, entry);
        inbox_close(inbox);
    }
}

/* The flags are nobody's state: neither changes what an entry is doing. */
static void a_deferred_entry_and_a_suspect_one_keep_their_state(void **unused)
{
    (void)unused;
    for (int state = 0; state < INBOX_FINISHED; state++) {
        struct inbox *inbox = inbox_open(NULL);
        struct inbox_entry *entry = lead_to(inbox, (enum inbox_state)state);
        size_t pending = inbox_pending(inbox);
        inbox_defer(inbox, entry);
        inbox_defer(inbox, entry); /* once more changes nothing */
        entry->suspect = true;
        assert_int_equal(entry->state, state);
        assert_int_equal(inbox_deferred(inbox), 1);
        assert_int_equal(inbox_pending(inbox), pending - 1);
        check_counts(inbox, entry);
        inbox_close(inbox);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_leads_where_the_table_says_or_ends_the_process),
        cmocka_unit_test(every_state_is_counted_as_what_it_is),
        cmocka_unit_test(a_deferred_entry_and_a_suspect_one_keep_their_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
