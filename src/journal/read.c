/* What is read back: what an earlier process left, what is known of a page, dead letters, counts.
 */
#include "journal/job.h"

#include "base/clock.h"
#include "base/memory.h"
#include "wire/jsontext.h"

#include <stdlib.h>

void journal_loaded_free(struct journal_loaded *loaded)
{
    if (!loaded)
        return;
    free(loaded->row_id);
    free(loaded->row);
    free(loaded->created_at);
    reply_request_free(&loaded->reply);
    free(loaded);
}

struct journal_loaded *journal_copy_message(const struct ledger_message *message)
{
    struct journal_loaded *loaded = memory_allocate(sizeof *loaded);
    loaded->row_id = memory_copy_text(message->row_id);
    loaded->row = message->row ? memory_copy(message->row, message->row_length) : NULL;
    loaded->row_length = message->row_length;
    loaded->created_at = memory_copy_text(message->created_at);
    loaded->state = message->state;
    loaded->attempts = message->attempts;
    loaded->failures = message->failures;
    loaded->retries = message->retries;
    loaded->first_seen_ms = message->first_seen_ms;
    loaded->due_ms = message->due_ms;
    loaded->updated_ms = message->updated_ms;
    loaded->age_ms = message->age_ms;
    loaded->dead_after_reply = message->dead_after_reply;
    loaded->passed = message->passed;
    loaded->hold = message->hold;
    if (message->state == LEDGER_REPLIED && message->body) {
        loaded->reply.to_canvas = message->to_canvas;
        loaded->reply.target = memory_copy_text(message->target);
        loaded->reply.id = memory_copy_text(message->reply_id);
        loaded->reply.body = memory_copy(message->body, message->body_length);
        loaded->reply.body_length = message->body_length;
    }
    return loaded;
}

static bool load_one(const struct ledger_message *message, void *context)
{
    *(struct journal_loaded **)context = journal_copy_message(message);
    return false;
}

static bool perform_known(struct job *job)
{
    struct ledger *ledger = job->journal->ledger;
    struct job_known *wanted = &job->known;
    for (size_t i = 0; i < wanted->known.count; i++) {
        enum ledger_state state = ledger_state_of(ledger, wanted->ids[i]);
        if (state == LEDGER_UNREADABLE)
            return false;
        if (state == LEDGER_ELSEWHERE && wanted->take_back) {
            journal_loaded_free(wanted->known.loaded[i]); /* of a try whose commit failed */
            wanted->known.loaded[i] = NULL;
            if (!ledger_take_back(ledger, wanted->ids[i]) ||
                !ledger_find(ledger, wanted->ids[i], load_one, &wanted->known.loaded[i]))
                return false;
        }
        wanted->known.states[i] = state;
    }
    return true;
}

static void deliver_known(struct job *job)
{
    job->known.then(job->known.context, &job->known.known);
}

static void release_known(struct job *job)
{
    struct job_known *wanted = &job->known;
    for (size_t i = 0; i < wanted->known.count; i++) {
        free(wanted->ids[i]);
        journal_loaded_free(wanted->known.loaded[i]);
    }
    free(wanted->ids);
    free(wanted->known.states);
    free(wanted->known.loaded);
}

static const struct job_type known_type = {perform_known, deliver_known, NULL,
                                           release_known, false,         true};

void journal_known(struct journal *journal, const char *const *row_ids, size_t count,
                   bool take_back, void (*known)(void *context, struct journal_known *known),
                   void *context)
{
    struct job *job = journal_job(journal, &known_type);
    struct job_known *wanted = &job->known;
    *wanted = (struct job_known){
        .ids = memory_allocate((count + 1) * sizeof *wanted->ids),
        .take_back = take_back,
        .known = {.count = count,
                  .states = memory_allocate((count + 1) * sizeof *wanted->known.states),
                  .loaded = memory_allocate((count + 1) * sizeof *wanted->known.loaded)},
        .then = known,
        .context = context,
    };
    for (size_t i = 0; i < count; i++)
        wanted->ids[i] = memory_copy_text(row_ids[i]);
    journal_submit(job);
}

static bool perform_count_same(struct job *job)
{
    struct job_count_same *same = &job->count_same;
    same->count = ledger_count_same(job->journal->ledger, same->digest, same->since_ms,
                                    same->but_row_id);
    return same->count >= 0;
}

static void deliver_count_same(struct job *job)
{
    job->count_same.then(job->count_same.context, job->count_same.count);
}

static void release_count_same(struct job *job)
{
    free(job->count_same.digest);
    free(job->count_same.but_row_id);
}

static const struct job_type count_same_type = {
    perform_count_same, deliver_count_same, deliver_count_same, release_count_same, false, true};

void journal_count_same(struct journal *journal, const char *digest, const char *but_row_id,
                        int64_t since_ms, void (*counted)(void *context, int64_t count),
                        void *context)
{
    struct job *job = journal_job(journal, &count_same_type);
    job->count_same = (struct job_count_same){
        .digest = memory_copy_text(digest),
        .but_row_id = memory_copy_text(but_row_id),
        .since_ms = since_ms,
        .then = counted,
        .context = context,
    };
    journal_submit(job);
}

static bool perform_dead_letter(struct job *job)
{
    struct ledger *ledger = job->journal->ledger;
    struct job_dead_letter *letter = &job->dead_letter;
    journal_loaded_free(letter->loaded); /* of a try whose commit failed */
    letter->loaded = NULL;
    if (letter->verb == JOURNAL_DEAD_DROP)
        return ledger_drop_dead(ledger, letter->row_id, &letter->found);
    bool found = false;
    if (!ledger_retry_dead(ledger, letter->row_id, clock_steady_ms(), &found))
        return false;
    letter->found = letter->found || found; /* a try before may have been committed after all */
    return !letter->found || ledger_find(ledger, letter->row_id, load_one, &letter->loaded);
}

static void deliver_dead_letter(struct job *job)
{
    struct journal_loaded *loaded = job->dead_letter.loaded;
    job->dead_letter.loaded = NULL;
    job->dead_letter.then(job->dead_letter.context, loaded, job->dead_letter.found);
}

static void give_up_dead_letter(struct job *job)
{
    job->dead_letter.then(job->dead_letter.context, NULL, false);
}

static void release_dead_letter(struct job *job)
{
    free(job->dead_letter.row_id);
    journal_loaded_free(job->dead_letter.loaded);
}

static const struct job_type dead_letter_type = {perform_dead_letter,
                                                 deliver_dead_letter,
                                                 give_up_dead_letter,
                                                 release_dead_letter,
                                                 true,
                                                 false};

void journal_dead_letter(struct journal *journal, enum journal_dead_verb verb, const char *row_id,
                         void (*done)(void *context, struct journal_loaded *loaded, bool found),
                         void *context)
{
    struct job *job = journal_job(journal, &dead_letter_type);
    job->dead_letter = (struct job_dead_letter){
        .verb = verb, .row_id = memory_copy_text(row_id), .then = done, .context = context};
    journal_submit(job);
}

static void add_sleeper(const char *row_id, int64_t until_ms, void *context)
{
    json_array_append_new(
        context, json_pack("{s:s, s:o}", "row_id", row_id, "until", jsontext_time(until_ms)));
}

json_t *journal_list_sleepers(struct ledger *ledger)
{
    json_t *sleepers = json_array();
    ledger_sleepers_each(ledger, JOURNAL_SLEEPERS, add_sleeper, sleepers);
    return sleepers;
}

static bool perform_counts(struct job *job)
{
    json_decref(job->counts.sleepers); /* of a try that failed */
    job->counts.sleepers = journal_list_sleepers(job->journal->ledger);
    return ledger_count(job->journal->ledger, &job->counts.counts);
}

static void deliver_counts(struct job *job)
{
    job->counts.then(job->counts.context, &job->counts.counts, job->counts.sleepers);
}

static void give_up_counts(struct job *job)
{
    job->counts.then(job->counts.context, NULL, NULL);
}

static void release_counts(struct job *job)
{
    json_decref(job->counts.sleepers);
}

static const struct job_type counts_type = {perform_counts, deliver_counts, give_up_counts,
                                            release_counts, false,          true};

void journal_counts(struct journal *journal, journal_counts_callback *counted, void *context)
{
    struct job *job = journal_job(journal, &counts_type);
    job->counts.then = counted;
    job->counts.context = context;
    journal_submit(job);
}
