/* The script's store: read, listed and changed on the disk thread, like everything else in the
 * ledger. */
#include "journal/job.h"

#include "base/memory.h"
#include "wire/jsontext.h"

#include <jansson.h>
#include <stdlib.h>

/* the default of --reply-ttl */
#define ANSWER_KEEP_MS (24 * 3600 * 1000)

static void deliver_value(struct job *job)
{
    char *value = job->value.value;
    job->value.value = NULL;
    if (job->value.then)
        job->value.then(job->value.context, value);
    else
        free(value);
}

static void release_value(struct job *job)
{
    free(job->value.key);
    free(job->value.value);
}

static struct job *make(struct journal *journal, const struct job_type *type, const char *key,
                        journal_value_callback *then, void *context)
{
    struct job *job = journal_job(journal, type);
    job->value.key = memory_copy_text(key);
    job->value.then = then;
    job->value.context = context;
    return job;
}

static bool perform_get(struct job *job)
{
    free(job->value.value); /* of a try whose commit failed */
    return ledger_store_get(job->journal->ledger, job->value.key, &job->value.value);
}

static const struct job_type get_type = {perform_get,   deliver_value, NULL,
                                         release_value, false,         true};

void journal_store_get(struct journal *journal, const char *key, journal_value_callback *then,
                       void *context)
{
    journal_submit(make(journal, &get_type, key, then, context));
}

static void add_key(const char *key, void *context)
{
    json_array_append_new(context, json_string(key));
}

static bool perform_keys(struct job *job)
{
    json_t *keys = json_array();
    bool read = ledger_store_keys(job->journal->ledger, job->value.key, job->value.most, add_key,
                                  keys);
    free(job->value.value);
    job->value.value = read ? jsontext_print(keys) : NULL;
    json_decref(keys);
    return read;
}

static const struct job_type keys_type = {perform_keys,  deliver_value, NULL,
                                          release_value, false,         true};

void journal_store_keys(struct journal *journal, const char *prefix, int64_t most,
                        journal_value_callback *then, void *context)
{
    struct job *job = make(journal, &keys_type, prefix, then, context);
    job->value.most = most;
    journal_submit(job);
}

static bool perform_commit(struct job *job)
{
    return ledger_store_apply(job->journal->ledger, job->commit.changes);
}

static void deliver_commit(struct job *job)
{
    struct changes *changes = job->commit.changes;
    job->commit.changes = NULL;
    job->commit.then(job->commit.context, changes);
}

static void release_commit(struct job *job)
{
    changes_free(job->commit.changes);
}

static const struct job_type commit_type = {perform_commit, deliver_commit, NULL,
                                            release_commit, false,          false};

void journal_store_commit(struct journal *journal, struct changes *changes,
                          void (*then)(void *context, struct changes *changes), void *context)
{
    struct job *job = journal_job(journal, &commit_type);
    job->commit = (struct job_commit){.changes = changes, .then = then, .context = context};
    journal_submit(job);
}

static bool perform_answer_get(struct job *job)
{
    free(job->value.value);
    return ledger_answer_get(job->journal->ledger, job->value.key, &job->value.value);
}

static const struct job_type answer_get_type = {perform_answer_get, deliver_value, NULL,
                                                release_value,      false,         true};

void journal_answer_get(struct journal *journal, const char *message_id,
                        journal_value_callback *then, void *context)
{
    journal_submit(make(journal, &answer_get_type, message_id, then, context));
}

static bool perform_answer_set(struct job *job)
{
    return ledger_answer_set(job->journal->ledger, job->value.key, job->value.value,
                             ANSWER_KEEP_MS);
}

static void deliver_answer_set(struct job *job)
{
    if (job->value.then)
        job->value.then(job->value.context, NULL);
}

static const struct job_type answer_set_type = {
    perform_answer_set, deliver_answer_set, NULL, release_value, false, false};

void journal_answer_set(struct journal *journal, const char *message_id, const char *answer,
                        journal_value_callback *then, void *context)
{
    struct job *job = make(journal, &answer_set_type, message_id, then, context);
    job->value.value = memory_copy_text(answer);
    journal_submit(job);
}
