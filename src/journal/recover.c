/* What the ledger tells before anything runs. Everything here blocks on the disk. */
#include "journal/job.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct collecting {
    struct journal_loaded **end;
    size_t count;
};

static bool collect(const struct ledger_message *message, void *context)
{
    struct collecting *collecting = context;
    struct journal_loaded *loaded = journal_copy_message(message);
    *collecting->end = loaded;
    collecting->end = &loaded->next;
    collecting->count++;
    return true;
}

struct collecting_questions {
    struct journal_question **end;
};

static void collect_question(const char *row_id, const char *key, const char *asked,
                             const char *posted, void *context)
{
    struct collecting_questions *collecting = context;
    struct journal_question *question = memory_allocate(sizeof *question);
    question->row_id = memory_copy_text(row_id);
    question->key = memory_copy_text(key);
    question->asked = memory_copy_text(asked);
    question->posted = memory_copy_text(posted);
    *collecting->end = question;
    collecting->end = &question->next;
}

void journal_start_free(struct journal_start *start)
{
    while (start->questions) {
        struct journal_question *question = start->questions;
        start->questions = question->next;
        free(question->row_id);
        free(question->key);
        free(question->asked);
        free(question->posted);
        free(question);
    }
}

static bool read_start(struct journal *journal, const char *file_cursor, bool file_readable,
                       struct journal_start *start)
{
    struct ledger *ledger = journal->ledger;
    start->cursor = ledger_cursor(ledger);
    start->last_poll_ms = ledger_last_poll(ledger);
    start->anchor = ledger_anchor(ledger);
    /* a crash between the ledger's commit and the file's rename leaves the file one cursor behind
     */
    char *before = ledger_cursor_before(ledger);
    start->taken_over = file_readable && file_cursor && start->cursor &&
                        strcmp(file_cursor, start->cursor) != 0 &&
                        (!before || strcmp(file_cursor, before) != 0);
    free(before);
    if (!ledger_begin(ledger))
        return false;
    if (start->taken_over) { /* what is read again from before was the other client's */
        free(start->anchor);
        start->anchor = NULL;
        if (!ledger_leave_to_others(ledger) || !ledger_forget_anchor(ledger))
            return false;
    }
    struct collecting collecting = {.end = &start->open};
    if (!ledger_each_open(ledger, collect, &collecting) || !ledger_pass_open(ledger))
        return false;
    start->open_count = collecting.count;
    struct collecting_questions questions = {.end = &start->questions};
    if (!ledger_questions_each(ledger, collect_question, &questions))
        return false;
    return ledger_commit(ledger);
}

void journal_load(struct journal *journal, const char *file_cursor, bool file_readable,
                  struct journal_start *start)
{
    char problem[512];
    *start = (struct journal_start){0};
    journal->origin = memory_copy_text(file_cursor);
    enum ledger_status status = ledger_open(&journal->ledger, journal->path,
                                            journal->env.platform_url, LEDGER_WRITE_EXISTING,
                                            problem, sizeof problem);
    if (status == LEDGER_ABSENT)
        return;
    if (status == LEDGER_DAMAGED) {
        char why[512];
        start->failed = !ledger_set_aside(journal->path, why, sizeof why);
        snprintf(start->problem, sizeof start->problem, "%s%s%s", problem,
                 start->failed ? "; " : "", start->failed ? why : "");
        start->set_aside = memory_copy_text(problem);
        return;
    }
    if (status != LEDGER_OPENED || !read_start(journal, file_cursor, file_readable, start)) {
        start->failed = true;
        snprintf(start->problem, sizeof start->problem, "%s",
                 status != LEDGER_OPENED ? problem : ledger_problem(journal->ledger));
        return;
    }
    journal->exists = journal->made = true;
    journal->had_steps = ledger_steps_any(journal->ledger);
    journal_say_mode(journal);
}

void journal_rest(struct journal *journal)
{
    ledger_close(journal->ledger);
    journal->ledger = NULL;
}

static bool copy_attempt(const struct ledger_message *message, void *context)
{
    *(struct ledger_message *)context = (struct ledger_message){.attempts = message->attempts,
                                                                .updated_ms = message->updated_ms};
    return false;
}

bool journal_knows(struct journal *journal, const char *row_id)
{
    return journal->ledger && ledger_state_of(journal->ledger, row_id) != LEDGER_UNKNOWN;
}

bool journal_lacks_outcome(struct journal *journal, const char *row_id, unsigned attempts,
                           int64_t started_ms)
{
    struct ledger_message known = {0};
    enum ledger_state state = journal->ledger ? ledger_state_of(journal->ledger, row_id)
                                              : LEDGER_UNKNOWN;
    if (state != LEDGER_KEPT || !ledger_find(journal->ledger, row_id, copy_attempt, &known))
        return state == LEDGER_KEPT || state == LEDGER_UNKNOWN;
    /* a retried dead letter, whose attempts count from zero, or a run of a schedule: it may have
     * started in the millisecond in which it was kept */
    if (known.attempts == 0)
        return started_ms >= known.updated_ms;
    return attempts > known.attempts;
}
