/* The network thread's half of the journal: jobs are made here, travel to the disk thread
 * (writer.c), and are delivered here once they are committed. */
#include "journal/job.h"

#include "base/check.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/timer.h"

#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 2 /* to share a commit with others */

static void job_queue_init(struct job_queue *queue)
{
    queue->first = NULL;
    queue->end = &queue->first;
}

void job_queue_add(struct job_queue *queue, struct job *job)
{
    job->next = NULL;
    *queue->end = job;
    queue->end = &job->next;
}

struct job *job_queue_take_all(struct job_queue *queue)
{
    struct job *first = queue->first;
    job_queue_init(queue);
    return first;
}

static void free_job(struct job *job)
{
    job->type->release(job);
    free(job);
}

struct job *journal_job(struct journal *journal, const struct job_type *type)
{
    struct job *job = memory_allocate(sizeof *job);
    job->journal = journal;
    job->type = type;
    return job;
}

void journal_deliver(struct task *task)
{
    struct job *job = (struct job *)task;
    job->type->deliver(job);
    free_job(job);
}

static void give_up(struct job *job)
{
    if (job->type->give_up)
        job->type->give_up(job);
    free_job(job);
}

void journal_give_up(struct task *task)
{
    give_up((struct job *)task);
}

static void hand_over(struct job *job)
{
    struct journal *journal = job->journal;
    journal->exists = true;
    job->task.run = writer_run;
    /* nothing goes to the disk thread after the task that closes the ledger */
    if (journal->closing)
        job_queue_add(&journal->late, job);
    else
        thread_post(&journal->env.disk->thread, &job->task);
}

static void send_patient(struct journal *journal)
{
    struct job *job = job_queue_take_all(&journal->patient);
    while (job) {
        struct job *next = job->next;
        hand_over(job);
        job = next;
    }
}

static void on_patience(uv_timer_t *timer)
{
    send_patient(timer->data);
}

void journal_submit_soon(struct job *job)
{
    struct journal *journal = job->journal;
    job_queue_add(&journal->patient, job);
    if (!uv_is_active((uv_handle_t *)&journal->patience))
        timer_arm(&journal->patience, on_patience, PATIENCE_MS);
}

void journal_submit(struct job *job)
{
    send_patient(job->journal);
    hand_over(job);
}

struct journal *journal_open(const struct journal_env *env, const char *path)
{
    struct journal *journal = memory_allocate(sizeof *journal);
    journal->env = *env;
    journal->path = memory_copy_text(path);
    journal->batch.commit = writer_commit_batch;
    job_queue_init(&journal->performed);
    job_queue_init(&journal->failed);
    job_queue_init(&journal->patient);
    job_queue_init(&journal->late);
    uv_timer_init(&env->network->loop, &journal->patience);
    journal->patience.data = journal;
    return journal;
}

struct close_task {
    struct task task;
    struct journal *journal;
    void (*closed)(void *context);
};

static void run_closed(struct task *task)
{
    struct close_task *close = (struct close_task *)task;
    close->closed(close->journal->env.context);
    free(close);
}

static void run_close(struct task *task)
{
    struct journal *journal = ((struct close_task *)task)->journal;
    if (!writer_close(journal)) {
        thread_post(&journal->env.disk->thread, task);
        return;
    }
    task->run = run_closed;
    thread_post(journal->env.network, task);
}

void journal_close(struct journal *journal, void (*closed)(void *context))
{
    check(!journal->closing);
    struct close_task *close = memory_allocate(sizeof *close);
    close->task.run = run_close;
    close->journal = journal;
    close->closed = closed;
    send_patient(journal);
    journal->closing = true;
    uv_timer_stop(&journal->patience);
    thread_post(&journal->env.disk->thread, &close->task);
}

static void free_closed(uv_handle_t *timer)
{
    struct journal *journal = timer->data;
    free(journal->path);
    free(journal->origin);
    free(journal);
}

static void give_up_all(struct job_queue *queue)
{
    struct job *job = job_queue_take_all(queue);
    while (job) {
        struct job *next = job->next;
        give_up(job);
        job = next;
    }
}

void journal_free(struct journal *journal)
{
    if (!journal)
        return;
    give_up_all(&journal->late);
    give_up_all(&journal->patient);
    ledger_close(journal->ledger); /* only if nothing ever ran */
    uv_close((uv_handle_t *)&journal->patience, free_closed);
}

bool journal_had_steps(const struct journal *journal)
{
    return journal->had_steps;
}

bool journal_exists(const struct journal *journal)
{
    return journal->exists;
}

const struct journal_counts *journal_counts_of(const struct journal *journal)
{
    return &journal->counts;
}

const char *journal_problem(const struct journal *journal)
{
    return journal->failing ? journal->problem : NULL;
}

void journal_say_mode(struct journal *journal)
{
    if (!journal->ledger || !ledger_is_plain(journal->ledger) || journal->said_mode)
        return;
    journal->said_mode = true;
    log_warn(LOG_LEDGER_ROLLBACK, journal->env.workspace_id,
             "state: the file system of %s has no shared memory maps; the ledger keeps a rollback "
             "journal instead of a write-ahead log, which is slower but just as safe",
             journal->path);
}
