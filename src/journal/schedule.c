/* Schedules of molecule.cron: when each was last due, and its runs, which are kept as messages. */
#include "journal/job.h"

#include "base/memory.h"

#include <stdlib.h>

static void release_schedule(struct job *job)
{
    struct job_schedule *schedule = &job->schedule;
    free(schedule->name);
    free(schedule->form);
    free(schedule->row_id);
    free(schedule->row);
    free(schedule->created_at);
    free(schedule->source);
    journal_loaded_free(schedule->loaded);
}

/* --- since when --- */

static bool perform_since(struct job *job)
{
    struct ledger *ledger = job->journal->ledger;
    struct job_schedule *schedule = &job->schedule;
    int64_t last_s;
    bool known = ledger_schedule_last(ledger, schedule->name, schedule->form, &last_s);
    bool ahead = known && last_s > schedule->at_s;
    if (known && (!schedule->starts_over || ahead)) {
        schedule->since_s = last_s;
        return true;
    }
    schedule->since_s = schedule->at_s;
    return ledger_schedule_set(ledger, schedule->name, schedule->form, schedule->at_s);
}

static void deliver_since(struct job *job)
{
    job->schedule.then_since(job->schedule.context, job->schedule.name, job->schedule.since_s);
}

static const struct job_type since_type = {perform_since,    deliver_since, NULL,
                                           release_schedule, false,         false};

void journal_schedule_since(struct journal *journal, const char *name, const char *form,
                            int64_t now_s, bool starts_over, journal_since_callback *then,
                            void *context)
{
    struct job *job = journal_job(journal, &since_type);
    job->schedule = (struct job_schedule){.name = memory_copy_text(name),
                                          .form = memory_copy_text(form),
                                          .at_s = now_s,
                                          .starts_over = starts_over,
                                          .then_since = then,
                                          .context = context};
    journal_submit(job);
}

/* --- a run --- */

static bool load_one(const struct ledger_message *message, void *context)
{
    *(struct journal_loaded **)context = journal_copy_message(message);
    return false;
}

static bool keep(struct job *job)
{
    const struct job_schedule *schedule = &job->schedule;
    const struct ledger_message message = {.row_id = schedule->row_id,
                                           .row = schedule->row,
                                           .row_length = schedule->row_length,
                                           .source = schedule->source,
                                           .created_at = schedule->created_at};
    return ledger_keep(job->journal->ledger, &message);
}

/* Does nothing but remember the time if the ledger knows this run: the clock was set back. */
static bool perform_run(struct job *job)
{
    struct ledger *ledger = job->journal->ledger;
    struct job_schedule *schedule = &job->schedule;
    enum ledger_state state = ledger_state_of(ledger, schedule->row_id);
    journal_loaded_free(schedule->loaded); /* of a try whose commit failed */
    schedule->loaded = NULL;
    /* a try before may have been committed after all */
    schedule->is_new = schedule->is_new || state == LEDGER_UNKNOWN;
    if (state == LEDGER_UNREADABLE || (state == LEDGER_UNKNOWN && !keep(job)))
        return false;
    return ledger_schedule_set(ledger, schedule->name, schedule->form, schedule->at_s) &&
           ledger_schedule_prune(ledger) &&
           (!schedule->is_new ||
            ledger_find(ledger, schedule->row_id, load_one, &schedule->loaded));
}

static void deliver_run(struct job *job)
{
    struct journal_loaded *loaded = job->schedule.loaded;
    job->schedule.loaded = NULL;
    job->schedule.then_run(job->schedule.context, job->schedule.name, loaded);
}

static const struct job_type run_type = {perform_run,      deliver_run, NULL,
                                         release_schedule, false,       false};

void journal_schedule_run(struct journal *journal, const struct journal_run *run,
                          journal_run_callback *then, void *context)
{
    struct job *job = journal_job(journal, &run_type);
    job->schedule = (struct job_schedule){.name = memory_copy_text(run->name),
                                          .form = memory_copy_text(run->form),
                                          .at_s = run->at_s,
                                          .row_id = memory_copy_text(run->row_id),
                                          .row = memory_copy(run->row, run->row_length),
                                          .row_length = run->row_length,
                                          .created_at = memory_copy_text(run->created_at),
                                          .source = memory_copy_text(run->source),
                                          .then_run = then,
                                          .context = context};
    journal_submit(job);
}
