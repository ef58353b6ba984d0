/* What is written of a message at each step of its way. */
#include "journal/job.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/shared.h"
#include "base/uuid.h"
#include "wire/repair.h"

#include <stdlib.h>
#include <string.h>

static struct job *make_step(struct journal *journal, const struct job_type *type,
                             const struct journal_step *step)
{
    struct job *job = journal_job(journal, type);
    job->step = (struct job_step){
        .entry = step->entry,
        .names = shared_take(step->names),
        .message =
            {
                .row_id = step->row_id,
                .row = shared_take(step->row),
                .row_length = step->row_length,
                .attempts = step->attempts,
                .failures = step->failures,
                .retries = step->retries,
                .source = step->source,
                .created_at = step->created_at,
                .first_seen_ms = step->first_seen_ms,
                .age_ms = step->age_ms,
                .has_steps = step->has_steps,
            },
        .changes = step->changes,
        .task = step->task,
        .then = step->then,
        .context = step->context,
    };
    return job;
}

static void submit(struct job *job, const struct journal_step *step)
{
    if (step->soon)
        journal_submit_soon(job);
    else
        journal_submit(job);
}

static void deliver_step(struct job *job)
{
    const struct journal_env *env = &job->journal->env;
    struct changes *changes = job->step.changes;
    job->step.changes = NULL;
    if (changes)
        env->changes_stand(env->context, changes);
    if (job->step.then)
        job->step.then(job->step.entry, job->step.context);
}

static void release_step(struct job *job)
{
    shared_release(job->step.message.row);
    shared_release(job->step.names);
    changes_free(job->step.changes);
    journal_task_free(job->step.task);
}

/* What the handler stored becomes visible with the step. */
static bool apply_changes(const struct job *job)
{
    return ledger_store_apply(job->journal->ledger, job->step.changes);
}

/* What a script or the platform said, as the ledger may keep it and `molecule dead` can print it:
 * UTF-8, no token. */
static char *copy_words(const char *words)
{
    size_t length;
    char *copy = words ? repair_text(words, strlen(words), &length) : NULL;
    if (copy)
        log_redact(copy);
    return copy;
}

/* --- reply --- */

static bool perform_reply(struct job *job)
{
    struct ledger_message message = job->step.message;
    const struct reply_request *request = job->reply.request;
    char digest[UUID_TEXT_SIZE];
    message.to_canvas = request->to_canvas;
    message.target = request->target;
    message.reply_id = request->id;
    message.body = request->body;
    message.body_length = request->body_length;
    message.dead_after_reply = job->reply.dead_reason != NULL;
    message.reason = job->reply.dead_reason;
    message.traceback = job->reply.traceback;
    if (request->to_canvas) {
        uuid_of_name(request->body, digest);
        message.digest = digest;
    }
    return ledger_reply(job->journal->ledger, &message) && apply_changes(job) &&
           (!message.dead_after_reply || !message.has_steps ||
            ledger_questions_cancel(job->journal->ledger, message.row_id));
}

static void release_reply(struct job *job)
{
    reply_request_release(job->reply.request);
    free(job->reply.dead_reason);
    free(job->reply.traceback);
    release_step(job);
}

static const struct job_type reply_type = {perform_reply, deliver_step, NULL,
                                           release_reply, false,        false};

void journal_reply(struct journal *journal, const struct journal_step *step,
                   struct reply_request *request, const char *dead_reason, const char *traceback)
{
    struct job *job = make_step(journal, &reply_type, step);
    job->reply.request = reply_request_take(request);
    job->reply.dead_reason = copy_words(dead_reason);
    job->reply.traceback = copy_words(traceback);
    submit(job, step);
}

/* --- finished --- */

/* It was the answer to what another message's handler asked. */
static bool record_answer(const struct job *job)
{
    const struct journal_handler_step *answer = &job->finish.answer;
    return !answer->key || handler_step_perform(job->journal, answer, NULL);
}

static bool perform_finish(struct job *job)
{
    struct ledger_message message = job->step.message;
    const struct reply_request *request = job->finish.request;
    char digest[UUID_TEXT_SIZE];
    message.outcome = job->finish.outcome;
    if (request && request->to_canvas) {
        uuid_of_name(request->body, digest);
        message.digest = digest;
    }
    job->journal->finished++;
    return ledger_finish(job->journal->ledger, &message) && apply_changes(job) &&
           record_answer(job) && task_perform(job->journal->ledger, job->step.task);
}

static void release_finish(struct job *job)
{
    reply_request_release(job->finish.request);
    free(job->finish.outcome);
    handler_step_free(&job->finish.answer);
    release_step(job);
}

static const struct job_type finish_type = {perform_finish, deliver_step, NULL,
                                            release_finish, false,        false};

void journal_finish(struct journal *journal, const struct journal_step *step, const char *outcome,
                    struct reply_request *request)
{
    struct job *job = make_step(journal, &finish_type, step);
    job->finish.outcome = memory_copy_text(outcome);
    job->finish.request = reply_request_take(request);
    if (step->answer)
        job->finish.answer = handler_step_copy(step->answer);
    submit(job, step);
}

/* --- deferred --- */

static bool perform_defer(struct job *job)
{
    struct ledger_message message = job->step.message;
    message.due_ms = job->defer.due_ms;
    message.hold = job->defer.hold;
    message.reason = job->defer.reason;
    return ledger_keep(job->journal->ledger, &message) && apply_changes(job);
}

static void release_defer(struct job *job)
{
    free(job->defer.reason);
    release_step(job);
}

/* durable: the cursor will pass it */
static const struct job_type defer_type = {perform_defer, deliver_step, NULL,
                                           release_defer, true,         false};

void journal_defer(struct journal *journal, const struct journal_step *step, int64_t due_ms,
                   bool hold, const char *reason)
{
    struct job *job = make_step(journal, &defer_type, step);
    job->defer.due_ms = due_ms;
    job->defer.hold = hold;
    job->defer.reason = copy_words(reason);
    submit(job, step);
}

/* --- waits --- */

static bool perform_wait(struct job *job)
{
    return ledger_wait(job->journal->ledger, &job->step.message) && apply_changes(job);
}

static const struct job_type wait_type = {perform_wait, deliver_step, NULL,
                                          release_step, false,        false};

void journal_wait(struct journal *journal, const struct journal_step *step)
{
    submit(make_step(journal, &wait_type, step), step);
}

/* --- dead --- */

static bool perform_dead(struct job *job)
{
    struct ledger_message message = job->step.message;
    message.reason = job->dead.reason;
    message.traceback = job->dead.traceback;
    return ledger_die(job->journal->ledger, &message) && apply_changes(job) &&
           task_perform(job->journal->ledger, job->step.task);
}

static void release_dead(struct job *job)
{
    free(job->dead.reason);
    free(job->dead.traceback);
    release_step(job);
}

static const struct job_type dead_type = {perform_dead, deliver_step, NULL,
                                          release_dead, false,        false};

void journal_dead(struct journal *journal, const struct journal_step *step, const char *reason,
                  const char *traceback)
{
    struct job *job = make_step(journal, &dead_type, step);
    job->dead.reason = copy_words(reason);
    job->dead.traceback = copy_words(traceback);
    submit(job, step);
}
