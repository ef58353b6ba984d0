/* What a handler has done for good (state/ledger_steps.c), before it continues. */
#include "journal/job.h"

#include "base/memory.h"
#include "wire/jsontext.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void add_step(const struct ledger_step *step, void *context)
{
    json_array_append_new(context, json_pack("[s, s, s, s, I]", step->key, step->kind, step->digest,
                                             step->value, (json_int_t)step->at_ms));
}

static bool perform_load(struct job *job)
{
    json_t *steps = json_array();
    bool read = ledger_steps_each(job->journal->ledger, job->value.key, add_step, steps);
    free(job->value.value); /* of a try whose commit failed */
    job->value.value = read ? jsontext_print(steps) : NULL;
    json_decref(steps);
    return read;
}

static void deliver_load(struct job *job)
{
    char *value = job->value.value;
    job->value.value = NULL;
    job->value.then(job->value.context, value);
}

static void release_load(struct job *job)
{
    free(job->value.key);
    free(job->value.value);
}

static const struct job_type load_type = {perform_load, deliver_load, NULL,
                                          release_load, false,        true};

void journal_steps_load(struct journal *journal, const char *row_id, journal_value_callback *then,
                        void *context)
{
    struct job *job = journal_job(journal, &load_type);
    job->value.key = memory_copy_text(row_id);
    job->value.then = then;
    job->value.context = context;
    journal_submit(job);
}

bool handler_step_perform(struct journal *journal, const struct journal_handler_step *made,
                          struct changes *changes)
{
    struct ledger_step step = {
        .key = made->key, .kind = made->kind, .digest = made->digest, .value = made->value};
    bool added;
    /* one that was on its way when its handler was run again was first; what it stored stands */
    return ledger_step_set(journal->ledger, made->row_id, &step, &added) &&
           (!added || !changes || ledger_store_apply(journal->ledger, changes)) &&
           (strcmp(made->kind, "answer") != 0 || ledger_wake(journal->ledger, made->row_id));
}

static bool perform_record(struct job *job)
{
    const struct job_handler_step *made = &job->handler_step;
    return handler_step_perform(job->journal, &made->texts, made->changes);
}

static void deliver_record(struct job *job)
{
    struct changes *changes = job->handler_step.changes;
    job->handler_step.changes = NULL;
    job->handler_step.then(job->handler_step.context, changes);
}

struct journal_handler_step handler_step_copy(const struct journal_handler_step *step)
{
    return (struct journal_handler_step){.row_id = memory_copy_text(step->row_id),
                                         .key = memory_copy_text(step->key),
                                         .kind = step->kind,
                                         .digest = memory_copy_text(step->digest),
                                         .value = memory_copy_text(step->value)};
}

void handler_step_free(struct journal_handler_step *step)
{
    free((char *)step->row_id);
    free((char *)step->key);
    free((char *)step->digest);
    free((char *)step->value);
}

static void release_record(struct job *job)
{
    handler_step_free(&job->handler_step.texts);
    changes_free(job->handler_step.changes);
}

static const struct job_type record_type = {perform_record, deliver_record, NULL,
                                            release_record, false,          false};
static const struct job_type durable_record_type = {perform_record, deliver_record, NULL,
                                                    release_record, true,           false};

void journal_step_record(struct journal *journal, const struct journal_handler_step *step,
                         struct changes *changes,
                         void (*then)(void *context, struct changes *changes), void *context)
{
    struct job *job = journal_job(journal, step->durable ? &durable_record_type : &record_type);
    job->handler_step = (struct job_handler_step){
        .texts = handler_step_copy(step),
        .changes = changes,
        .then = then,
        .context = context,
    };
    journal_submit(job);
}
