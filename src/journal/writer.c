/* The disk thread's half of the journal, and the only place where jobs are ordered: they share one
 * transaction per batch, come back when it is committed, and are retried in order when it fails. */
#include "journal/job.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/timer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_FIRST_MS 200
#define SIZE_EVERY_US 1000000
#define RETRY_MAXIMUM_MS 10000
#define PRUNE_EVERY 2000 /* finished messages */
#define PRUNE_MOST 5000  /* at a time */
/* before the cursor's row: the platform's own retention (contract §4.10) */
#define KEEP_SECONDS (7 * 86400)

/* Of a journal that could not write at least once. */
struct retry {
    uv_timer_t timer; /* first */
    struct journal *journal;
    int64_t next_ms;
    bool failing; /* the network thread was told */
};

struct news {
    struct task task;
    struct journal *journal;
    char problem[256]; /* "": it can be written again */
};

static struct journal *journal_of(struct disk_batch *batch)
{
    return (struct journal *)((char *)batch - offsetof(struct journal, batch));
}

static void run_news(struct task *task)
{
    struct news *news = (struct news *)task;
    struct journal *journal = news->journal;
    const char *id = journal->env.workspace_id;
    bool failing = news->problem[0];
    memcpy(journal->problem, news->problem, sizeof journal->problem);
    if (failing && !journal->failing)
        log_error(LOG_STATE_FAILING, id,
                  "state: %s; nothing is handled or posted until it can be written again",
                  news->problem);
    else if (!failing && journal->failing)
        log_info(LOG_STATE_RECOVERED, id, "state: the ledger can be written again");
    bool recovered = !failing && journal->failing;
    journal->failing = failing;
    free(news);
    if (recovered && !journal->closing)
        journal->env.recovered(journal->env.context);
}

static void tell(struct journal *journal, const char *problem)
{
    struct news *news = memory_allocate(sizeof *news);
    news->task.run = run_news;
    news->journal = journal;
    snprintf(news->problem, sizeof news->problem, "%s", problem);
    thread_post(journal->env.network, &news->task);
}

static void give_back(struct job *job, void (*run)(struct task *task))
{
    job->task.run = run;
    thread_post(job->journal->env.network, &job->task);
}

static void on_retry(uv_timer_t *timer);

/* Its queue of failed jobs is not empty. */
static void retry_later(struct journal *journal, const char *problem)
{
    struct retry *retry = journal->retry;
    if (!retry) {
        retry = journal->retry = memory_allocate(sizeof *retry);
        retry->journal = journal;
        uv_timer_init(&journal->env.disk->thread.loop, &retry->timer);
    }
    if (!retry->failing)
        retry->next_ms = RETRY_FIRST_MS;
    retry->failing = true;
    tell(journal, problem);
    if (uv_is_active((uv_handle_t *)&retry->timer))
        return;
    timer_arm(&retry->timer, on_retry, retry->next_ms);
    retry->next_ms = retry->next_ms * 2 < RETRY_MAXIMUM_MS ? retry->next_ms * 2 : RETRY_MAXIMUM_MS;
}

/* The transaction is over. If it failed, all its jobs are retried. */
static void end_batch(struct journal *journal, bool committed, const char *problem)
{
    struct job *job = job_queue_take_all(&journal->performed);
    journal->in_transaction = journal->durable = false;
    if (committed && !journal->failed.first && journal->retry && journal->retry->failing) {
        journal->retry->failing = false;
        tell(journal, "");
    }
    bool any = job != NULL;
    while (job) {
        struct job *next = job->next;
        if (committed)
            give_back(job, journal_deliver);
        else
            job_queue_add(&journal->failed, job);
        job = next;
    }
    if (!committed && any)
        retry_later(journal, problem);
}

/* Whatever failed since follows what was performed before it. */
static void fail_batch(struct journal *journal)
{
    char problem[256];
    snprintf(problem, sizeof problem, "%s", ledger_problem(journal->ledger));
    ledger_rollback(journal->ledger);
    end_batch(journal, false, problem);
}

static bool commit(struct journal *journal, bool durable)
{
    if (!journal->in_transaction)
        return true;
    int64_t began_us = clock_monotonic_us();
    bool committed = durable || journal->durable ? ledger_commit_durably(journal->ledger)
                                                 : ledger_commit(journal->ledger);
    int64_t ended_us = clock_monotonic_us();
    histogram_observe_us(&journal->counts.commit, ended_us - began_us);
    if (ended_us - journal->sized_us >= SIZE_EVERY_US) {
        journal->sized_us = ended_us;
        journal->counts.bytes = ledger_bytes(journal->ledger);
    }
    if (committed)
        end_batch(journal, true, NULL);
    else
        fail_batch(journal);
    return committed;
}

void writer_commit_batch(struct disk_batch *batch)
{
    struct journal *journal = journal_of(batch);
    if (!journal->ledger || !commit(journal, false))
        return;
    checkpoint_if_due(journal);
    if (journal->finished >= PRUNE_EVERY && ledger_begin(journal->ledger)) {
        journal->finished = 0;
        if (!ledger_prune(journal->ledger, KEEP_SECONDS, PRUNE_MOST) ||
            !ledger_store_expire(journal->ledger, PRUNE_MOST) || !ledger_commit(journal->ledger))
            ledger_rollback(journal->ledger); /* only space is lost; the next pruning retries */
    }
}

static void fail_job(struct job *job, const char *problem)
{
    job_queue_add(&job->journal->failed, job);
    retry_later(job->journal, problem);
}

static void perform(struct job *job)
{
    struct journal *journal = job->journal;
    char problem[256];
    if (!open_ledgers_use(journal->env.open, journal, problem, sizeof problem)) {
        fail_job(job, problem);
        return;
    }
    if (!journal->in_transaction) {
        if (!ledger_begin(journal->ledger)) {
            fail_job(job, ledger_problem(journal->ledger));
            return;
        }
        journal->in_transaction = true;
        disk_defer(journal->env.disk, &journal->batch);
    }
    job_queue_add(&journal->performed, job);
    journal->durable = journal->durable || job->type->durable;
    if (!job->type->perform(job))
        fail_batch(journal);
}

void writer_run(struct task *task)
{
    struct job *job = (struct job *)task;
    if (job->journal->failed.first && !job->type->reads) /* after what failed */
        job_queue_add(&job->journal->failed, job);
    else
        perform(job);
}

static void on_retry(uv_timer_t *timer)
{
    struct journal *journal = ((struct retry *)timer)->journal;
    struct job *job = job_queue_take_all(&journal->failed);
    while (job) {
        struct job *next = job->next;
        writer_run(&job->task);
        job = next;
    }
    disk_undefer(journal->env.disk, &journal->batch);
    writer_commit_batch(&journal->batch);
}

bool journal_sync(struct journal *journal, const char *cursor, const char *created_at,
                  int64_t last_poll_ms, char *problem, size_t problem_size)
{
    if (!journal->made)
        return true;
    if (!open_ledgers_use(journal->env.open, journal, problem, problem_size))
        return false;
    journal->in_transaction = journal->in_transaction || ledger_begin(journal->ledger);
    bool set = journal->in_transaction && ledger_set_cursor(journal->ledger, cursor, created_at,
                                                            last_poll_ms, journal->origin);
    if (!set) {
        snprintf(problem, problem_size, "%s", ledger_problem(journal->ledger));
        if (journal->in_transaction)
            fail_batch(journal);
        return false;
    }
    bool synced = commit(journal, true);
    if (!synced)
        snprintf(problem, problem_size, "%s", ledger_problem(journal->ledger));
    return synced;
}

static void free_retry(uv_handle_t *timer)
{
    free(timer);
}

bool writer_close(struct journal *journal)
{
    if (journal->checkpointing)
        return false;
    disk_undefer(journal->env.disk, &journal->batch); /* it may be freed before this batch ends */
    if (journal->ledger)
        commit(journal, false);
    open_ledgers_close(journal->env.open, journal);
    struct job *job = job_queue_take_all(&journal->failed);
    while (job) {
        struct job *next = job->next;
        give_back(job, journal_give_up);
        job = next;
    }
    if (journal->retry)
        uv_close((uv_handle_t *)&journal->retry->timer, free_retry);
    journal->retry = NULL;
    return true;
}
