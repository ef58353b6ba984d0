/* Operations travel to the disk thread, share one transaction per batch there, and come back when
 * it is committed. */
#include "host/journal_operation.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/shared.h"
#include "host/workspace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_FIRST_MS 200
#define RETRY_MAXIMUM_MS 10000
#define CHECKPOINT_PAGES 4000 /* of 4 KiB more in the write-ahead log */
/* 32 MiB; then commits wait for the rest of a checkpoint, some milliseconds */
#define LOG_PAGES_MAXIMUM 8000
#define PRUNE_EVERY 2000 /* finished messages */
#define PRUNE_MOST 5000  /* at a time */
#define PATIENCE_MS 2    /* for company in a commit */
/* behind the cursor row: the platform's own retention (contract §4.10) */
#define KEEP_SECONDS (7 * 86400)

static struct journal *journal_of(struct disk_batch *batch)
{
    return (struct journal *)((char *)batch - offsetof(struct journal, batch));
}

/* --- the disk thread --- */

static void deliver(struct task *task);

static void give_back(struct operation *operation, bool failed, const char *problem)
{
    operation->failed = failed;
    if (failed) {
        struct journal *journal = operation->journal;
        snprintf(operation->problem, sizeof operation->problem, "%s", problem);
        memcpy(journal->refusal, operation->problem, sizeof journal->refusal);
        journal->refusing = true;
    }
    operation->task.run = deliver;
    thread_post(operation->journal->network, &operation->task);
}

static void end_batch(struct journal *journal, bool failed, const char *problem)
{
    struct operation *operation = journal->performed;
    journal->performed = NULL;
    journal->performed_end = &journal->performed;
    journal->in_transaction = journal->durable = false;
    while (operation) {
        struct operation *next = operation->next;
        give_back(operation, failed, problem);
        operation = next;
    }
}

static bool commit(struct journal *journal, bool durable)
{
    if (!journal->in_transaction)
        return true;
    bool committed = durable || journal->durable ? ledger_commit_durably(journal->ledger)
                                                 : ledger_commit(journal->ledger);
    char problem[256] = "";
    if (!committed) {
        snprintf(problem, sizeof problem, "%s", ledger_problem(journal->ledger));
        ledger_rollback(journal->ledger);
    }
    end_batch(journal, !committed, problem);
    return committed;
}

struct checkpoint {
    uv_work_t work; /* first */
    struct journal *journal;
    char *path;
};

static void run_checkpoint(uv_work_t *work)
{
    ledger_checkpoint(((struct checkpoint *)work)->path);
}

static void after_checkpoint(uv_work_t *work, int status)
{
    (void)status;
    struct checkpoint *checkpoint = (struct checkpoint *)work;
    struct journal *journal = checkpoint->journal;
    journal->checkpointing = false;
    if (journal->ledger && !journal->in_transaction &&
        ledger_log_pages(journal->ledger) >= LOG_PAGES_MAXIMUM)
        ledger_restart_log(journal->ledger);
    free(checkpoint->path);
    free(checkpoint);
}

/* Beside the commits, on libuv's pool: a checkpoint inside a commit would hold it up for
 * milliseconds. */
static void checkpoint_if_due(struct journal *journal)
{
    int pages = ledger_log_pages(journal->ledger);
    if (pages < journal->checkpointed_pages) /* the log has begun anew */
        journal->checkpointed_pages = 0;
    if (journal->checkpointing || pages - journal->checkpointed_pages < CHECKPOINT_PAGES)
        return;
    journal->checkpointed_pages = pages;
    struct checkpoint *checkpoint = memory_allocate(sizeof *checkpoint);
    checkpoint->journal = journal;
    checkpoint->path = memory_copy_text(journal->path);
    journal->checkpointing = uv_queue_work(&journal->disk->thread.loop, &checkpoint->work,
                                           run_checkpoint, after_checkpoint) == 0;
    if (!journal->checkpointing)
        after_checkpoint(&checkpoint->work, 0);
}

static void commit_batch(struct disk_batch *batch)
{
    struct journal *journal = journal_of(batch);
    if (!journal->ledger || !commit(journal, false))
        return;
    checkpoint_if_due(journal);
    if (journal->finished >= PRUNE_EVERY && ledger_begin(journal->ledger)) {
        journal->finished = 0;
        if (!ledger_prune(journal->ledger, KEEP_SECONDS, PRUNE_MOST) ||
            !ledger_store_expire(journal->ledger, PRUNE_MOST) || !ledger_commit(journal->ledger))
            ledger_rollback(journal->ledger); /* only space is lost; the next time tries again */
    }
}

static void run_operation(struct task *task)
{
    struct operation *operation = (struct operation *)task;
    struct journal *journal = operation->journal;
    char problem[256];
    if (operation->leads)
        journal->refusing = false;
    if (journal->refusing && !operation->reads) {
        give_back(operation, true, journal->refusal);
        return;
    }
    if (!journal_open_ledger(journal, problem, sizeof problem)) {
        give_back(operation, true, problem);
        return;
    }
    if (!journal->in_transaction) {
        if (!ledger_begin(journal->ledger)) {
            give_back(operation, true, ledger_problem(journal->ledger));
            return;
        }
        journal->in_transaction = true;
        disk_defer(journal->disk, &journal->batch);
    }
    operation->next = NULL;
    *journal->performed_end = operation;
    journal->performed_end = &operation->next;
    journal->durable = journal->durable || operation->durable;
    if (!operation->perform(operation) ||
        (operation->settles && !ledger_store_apply(journal->ledger, operation->changes))) {
        snprintf(problem, sizeof problem, "%s", ledger_problem(journal->ledger));
        ledger_rollback(journal->ledger);
        end_batch(journal, true, problem);
    }
}

bool journal_sync(struct journal *journal, const char *cursor, const char *created_at,
                  int64_t last_poll_ms, char *problem, size_t problem_size)
{
    if (!journal->made)
        return true;
    if (!journal_open_ledger(journal, problem, problem_size))
        return false;
    bool synced = journal->in_transaction || ledger_begin(journal->ledger);
    journal->in_transaction = synced;
    synced = synced &&
             ledger_set_cursor(journal->ledger, cursor, created_at, last_poll_ms,
                               journal->origin) &&
             commit(journal, true);
    if (!synced) {
        snprintf(problem, problem_size, "%s", ledger_problem(journal->ledger));
        if (journal->in_transaction) {
            ledger_rollback(journal->ledger);
            end_batch(journal, true, problem);
        }
    }
    return synced;
}

/* --- the network thread --- */

static void free_operation(struct operation *operation)
{
    shared_release(operation->message.row);
    free((char *)operation->message.row_id);
    free((char *)operation->message.created_at);
    free((char *)operation->message.source);
    free(operation->text);
    free(operation->traceback);
    free(operation->row_id);
    for (size_t i = 0; operation->ids && i < operation->known.count; i++) {
        free(operation->ids[i]);
        journal_loaded_free(operation->known.loaded[i]);
    }
    free(operation->ids);
    free(operation->known.states);
    free(operation->known.loaded);
    journal_loaded_free(operation->loaded);
    free(operation->value);
    free(operation);
}

static void post(struct operation *operation)
{
    struct journal *journal = operation->journal;
    if (!operation->reads)
        journal->writing++;
    operation->task.run = run_operation;
    thread_post(&journal->disk->thread, &operation->task);
}

/* Not before what was handed over meanwhile has come back: it stands behind these. */
static void on_retry(uv_timer_t *timer)
{
    struct journal *journal = timer->data;
    struct operation *operation = journal->failed;
    if (journal->writing > 0) {
        workspace_arm(timer, on_retry, RETRY_FIRST_MS);
        return;
    }
    journal->failed = NULL;
    journal->failed_end = &journal->failed;
    if (operation)
        operation->leads = true;
    while (operation) {
        struct operation *next = operation->next;
        post(operation);
        operation = next;
    }
}

/* It waits to be tried again, or for the end. */
static void set_apart(struct journal *journal, struct operation *operation)
{
    operation->next = NULL;
    *journal->failed_end = operation;
    journal->failed_end = &operation->next;
}

static void set_failing(struct journal *journal, struct operation *operation)
{
    if (!journal->failing) {
        log_error(journal->workspace->settings.id,
                  "state: %s; nothing is handled or posted until it can be written again",
                  operation->problem);
        journal->retry_ms = RETRY_FIRST_MS;
    }
    journal->failing = true;
    snprintf(journal->problem, sizeof journal->problem, "%s", operation->problem);
    set_apart(journal, operation);
    if (!journal->closing && !uv_is_active((uv_handle_t *)&journal->timer)) {
        workspace_arm(&journal->timer, on_retry, journal->retry_ms);
        journal->retry_ms = journal->retry_ms * 2 < RETRY_MAXIMUM_MS ? journal->retry_ms * 2
                                                                     : RETRY_MAXIMUM_MS;
    }
}

static void deliver(struct task *task)
{
    struct operation *operation = (struct operation *)task;
    struct journal *journal = operation->journal;
    operation->leads = false;
    if (!operation->reads)
        journal->writing--;
    if (operation->failed) {
        set_failing(journal, operation);
        return;
    }
    if (journal->failing && !operation->reads) {
        log_info(journal->workspace->settings.id, "state: the ledger can be written again");
        journal->failing = false;
        workspace_dispatch(journal->workspace);
    }
    if (operation->settles)
        workspace_changes_stand(journal->workspace, operation->entry);
    if (operation->deliver)
        operation->deliver(operation);
    free_operation(operation);
}

struct operation *journal_operation(struct journal *journal,
                                    bool (*perform)(struct operation *operation),
                                    void (*then)(struct operation *operation))
{
    struct operation *operation = memory_allocate(sizeof *operation);
    operation->journal = journal;
    operation->perform = perform;
    operation->deliver = then;
    return operation;
}

static void hand_over(struct operation *operation)
{
    struct journal *journal = operation->journal;
    journal->exists = true;
    /* nothing goes to the disk thread behind the task that closes the ledger, nor is written in
     * front of what failed */
    if (journal->closing || (journal->failed && !operation->reads))
        set_apart(journal, operation);
    else
        post(operation);
}

static void send_patient(struct journal *journal)
{
    struct operation *operation = journal->patient;
    journal->patient = NULL;
    journal->patient_end = &journal->patient;
    while (operation) {
        struct operation *next = operation->next;
        hand_over(operation);
        operation = next;
    }
}

static void on_patience(uv_timer_t *timer)
{
    send_patient(timer->data);
}

/* It may wait for something to share a commit with. */
void journal_submit_soon(struct operation *operation)
{
    struct journal *journal = operation->journal;
    operation->next = NULL;
    *journal->patient_end = operation;
    journal->patient_end = &operation->next;
    if (!uv_is_active((uv_handle_t *)&journal->patience))
        workspace_arm(&journal->patience, on_patience, PATIENCE_MS);
}

void journal_submit(struct operation *operation)
{
    send_patient(operation->journal);
    hand_over(operation);
}

/* --- opening and closing --- */

struct journal *journal_open(struct workspace *workspace, const char *path,
                             const char *platform_url)
{
    struct journal *journal = memory_allocate(sizeof *journal);
    journal->workspace = workspace;
    journal->disk = &workspace->host->disk;
    journal->network = &workspace->host->network;
    journal->path = memory_copy_text(path);
    journal->platform_url = platform_url;
    journal->batch.commit = commit_batch;
    journal->performed_end = &journal->performed;
    journal->failed_end = &journal->failed;
    journal->patient_end = &journal->patient;
    uv_timer_init(&workspace->host->network.loop, &journal->timer);
    uv_timer_init(&workspace->host->network.loop, &journal->patience);
    journal->timer.data = journal->patience.data = journal;
    return journal;
}

struct close_task {
    struct task task;
    struct journal *journal;
    void (*closed)(struct workspace *workspace);
};

static void run_closed(struct task *task)
{
    struct close_task *close = (struct close_task *)task;
    close->closed(close->journal->workspace);
    free(close);
}

static void run_close(struct task *task)
{
    struct close_task *close = (struct close_task *)task;
    struct journal *journal = close->journal;
    if (journal->checkpointing) { /* behind it */
        thread_post(&journal->disk->thread, task);
        return;
    }
    if (journal->ledger)
        commit(journal, false);
    journal_unlist(journal);
    ledger_close(journal->ledger);
    journal->ledger = NULL;
    task->run = run_closed;
    thread_post(journal->network, task);
}

void journal_close(struct journal *journal, void (*closed)(struct workspace *workspace))
{
    struct close_task *close = memory_allocate(sizeof *close);
    close->task.run = run_close;
    close->journal = journal;
    close->closed = closed;
    send_patient(journal);
    journal->closing = true;
    uv_timer_stop(&journal->timer);
    uv_timer_stop(&journal->patience);
    thread_post(&journal->disk->thread, &close->task);
}

/* Both timers. */
static void free_closed(uv_handle_t *timer)
{
    struct journal *journal = timer->data;
    if (++journal->closed_timers < 2)
        return;
    free(journal->path);
    free(journal->origin);
    free(journal);
}

void journal_free(struct journal *journal)
{
    if (!journal)
        return;
    while (journal->failed) {
        struct operation *operation = journal->failed;
        journal->failed = operation->next;
        if (operation->entry)
            free(operation->context);
        free_operation(operation);
    }
    ledger_close(journal->ledger); /* only if nothing ever ran */
    uv_close((uv_handle_t *)&journal->patience, free_closed);
    uv_close((uv_handle_t *)&journal->timer, free_closed);
}

bool journal_exists(const struct journal *journal)
{
    return journal->exists;
}

const char *journal_problem(const struct journal *journal)
{
    return journal->failing ? journal->problem : NULL;
}
