/* Operations travel to the disk thread, share one transaction per batch there, and come back when it is committed. */
#include "host/record_operation.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/shared.h"
#include "host/workspace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_FIRST_MS 200
#define RETRY_MAXIMUM_MS 10000
#define CHECKPOINT_PAGES 4000   /* of 4 KiB more in the write-ahead log */
#define LOG_PAGES_MAXIMUM 8000  /* 32 MiB; then commits wait for the rest of a checkpoint, some milliseconds */
#define PRUNE_EVERY 2000        /* finished messages */
#define PRUNE_MOST 5000         /* at a time */
#define PATIENCE_MS 2           /* for company in a commit */
#define KEEP_SECONDS (7 * 86400) /* behind the cursor row: the platform's own retention (contract §4.10) */

static struct record *record_of(struct disk_batch *batch)
{
    return (struct record *)((char *)batch - offsetof(struct record, batch));
}

/* --- the disk thread --- */

static void deliver(struct task *task);

static void give_back(struct operation *operation, bool failed, const char *problem)
{
    operation->failed = failed;
    if (failed) {
        struct record *record = operation->record;
        snprintf(operation->problem, sizeof operation->problem, "%s", problem);
        memcpy(record->refusal, operation->problem, sizeof record->refusal);
        record->refusing = true;
    }
    operation->task.run = deliver;
    thread_post(operation->record->network, &operation->task);
}

static void end_batch(struct record *record, bool failed, const char *problem)
{
    struct operation *operation = record->performed;
    record->performed = NULL;
    record->performed_end = &record->performed;
    record->in_transaction = record->durable = false;
    while (operation) {
        struct operation *next = operation->next;
        give_back(operation, failed, problem);
        operation = next;
    }
}

static bool commit(struct record *record, bool durable)
{
    if (!record->in_transaction)
        return true;
    bool committed = durable || record->durable ? ledger_commit_durably(record->ledger) : ledger_commit(record->ledger);
    char problem[256] = "";
    if (!committed) {
        snprintf(problem, sizeof problem, "%s", ledger_problem(record->ledger));
        ledger_rollback(record->ledger);
    }
    end_batch(record, !committed, problem);
    return committed;
}

struct checkpoint {
    uv_work_t work; /* first */
    struct record *record;
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
    struct record *record = checkpoint->record;
    record->checkpointing = false;
    if (record->ledger && !record->in_transaction && ledger_log_pages(record->ledger) >= LOG_PAGES_MAXIMUM)
        ledger_restart_log(record->ledger);
    free(checkpoint->path);
    free(checkpoint);
}

/* Beside the commits, on libuv's pool: a checkpoint inside a commit would hold it up for milliseconds. */
static void checkpoint_if_due(struct record *record)
{
    int pages = ledger_log_pages(record->ledger);
    if (pages < record->checkpointed_pages) /* the log has begun anew */
        record->checkpointed_pages = 0;
    if (record->checkpointing || pages - record->checkpointed_pages < CHECKPOINT_PAGES)
        return;
    record->checkpointed_pages = pages;
    struct checkpoint *checkpoint = memory_allocate(sizeof *checkpoint);
    checkpoint->record = record;
    checkpoint->path = memory_copy_text(record->path);
    record->checkpointing =
        uv_queue_work(&record->disk->thread.loop, &checkpoint->work, run_checkpoint, after_checkpoint) == 0;
    if (!record->checkpointing)
        after_checkpoint(&checkpoint->work, 0);
}

static void commit_batch(struct disk_batch *batch)
{
    struct record *record = record_of(batch);
    if (!record->ledger || !commit(record, false))
        return;
    checkpoint_if_due(record);
    if (record->finished >= PRUNE_EVERY && ledger_begin(record->ledger)) {
        record->finished = 0;
        if (!ledger_prune(record->ledger, KEEP_SECONDS, PRUNE_MOST) ||
            !ledger_store_expire(record->ledger, PRUNE_MOST) || !ledger_commit(record->ledger))
            ledger_rollback(record->ledger); /* only space is lost; the next time tries again */
    }
}

static void run_operation(struct task *task)
{
    struct operation *operation = (struct operation *)task;
    struct record *record = operation->record;
    char problem[256];
    if (operation->leads)
        record->refusing = false;
    if (record->refusing && !operation->reads) {
        give_back(operation, true, record->refusal);
        return;
    }
    if (!record_open_ledger(record, problem, sizeof problem)) {
        give_back(operation, true, problem);
        return;
    }
    if (!record->in_transaction) {
        if (!ledger_begin(record->ledger)) {
            give_back(operation, true, ledger_problem(record->ledger));
            return;
        }
        record->in_transaction = true;
        disk_defer(record->disk, &record->batch);
    }
    operation->next = NULL;
    *record->performed_end = operation;
    record->performed_end = &operation->next;
    record->durable = record->durable || operation->durable;
    if (!operation->perform(operation) || (operation->settles && !ledger_store_apply(record->ledger, operation->changes))) {
        snprintf(problem, sizeof problem, "%s", ledger_problem(record->ledger));
        ledger_rollback(record->ledger);
        end_batch(record, true, problem);
    }
}

bool record_sync(struct record *record, const char *cursor, const char *created_at, int64_t last_poll_ms, char *problem,
                 size_t problem_size)
{
    if (!record->made)
        return true;
    if (!record_open_ledger(record, problem, problem_size))
        return false;
    bool synced = record->in_transaction || ledger_begin(record->ledger);
    record->in_transaction = synced;
    synced = synced && ledger_set_cursor(record->ledger, cursor, created_at, last_poll_ms, record->origin) && commit(record, true);
    if (!synced) {
        snprintf(problem, problem_size, "%s", ledger_problem(record->ledger));
        if (record->in_transaction) {
            ledger_rollback(record->ledger);
            end_batch(record, true, problem);
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
        record_loaded_free(operation->known.loaded[i]);
    }
    free(operation->ids);
    free(operation->known.states);
    free(operation->known.loaded);
    record_loaded_free(operation->loaded);
    free(operation->value);
    free(operation);
}

static void post(struct operation *operation)
{
    struct record *record = operation->record;
    if (!operation->reads)
        record->writing++;
    operation->task.run = run_operation;
    thread_post(&record->disk->thread, &operation->task);
}

/* Not before what was handed over meanwhile has come back: it stands behind these. */
static void on_retry(uv_timer_t *timer)
{
    struct record *record = timer->data;
    struct operation *operation = record->failed;
    if (record->writing > 0) {
        workspace_arm(timer, on_retry, RETRY_FIRST_MS);
        return;
    }
    record->failed = NULL;
    record->failed_end = &record->failed;
    if (operation)
        operation->leads = true;
    while (operation) {
        struct operation *next = operation->next;
        post(operation);
        operation = next;
    }
}

/* It waits to be tried again, or for the end. */
static void set_apart(struct record *record, struct operation *operation)
{
    operation->next = NULL;
    *record->failed_end = operation;
    record->failed_end = &operation->next;
}

static void set_failing(struct record *record, struct operation *operation)
{
    if (!record->failing) {
        log_error(record->workspace->settings.id,
                  "state: %s; nothing is handled or posted until it can be written again", operation->problem);
        record->retry_ms = RETRY_FIRST_MS;
    }
    record->failing = true;
    snprintf(record->problem, sizeof record->problem, "%s", operation->problem);
    set_apart(record, operation);
    if (!record->closing && !uv_is_active((uv_handle_t *)&record->timer)) {
        workspace_arm(&record->timer, on_retry, record->retry_ms);
        record->retry_ms = record->retry_ms * 2 < RETRY_MAXIMUM_MS ? record->retry_ms * 2 : RETRY_MAXIMUM_MS;
    }
}

static void deliver(struct task *task)
{
    struct operation *operation = (struct operation *)task;
    struct record *record = operation->record;
    operation->leads = false;
    if (!operation->reads)
        record->writing--;
    if (operation->failed) {
        set_failing(record, operation);
        return;
    }
    if (record->failing && !operation->reads) {
        log_info(record->workspace->settings.id, "state: the ledger can be written again");
        record->failing = false;
        workspace_dispatch(record->workspace);
    }
    if (operation->settles)
        workspace_changes_stand(record->workspace, operation->entry);
    if (operation->deliver)
        operation->deliver(operation);
    free_operation(operation);
}

struct operation *record_operation(struct record *record, bool (*perform)(struct operation *operation),
                                   void (*then)(struct operation *operation))
{
    struct operation *operation = memory_allocate(sizeof *operation);
    operation->record = record;
    operation->perform = perform;
    operation->deliver = then;
    return operation;
}

static void hand_over(struct operation *operation)
{
    struct record *record = operation->record;
    record->exists = true;
    /* nothing goes to the disk thread behind the task that closes the ledger, nor is written in front of what failed */
    if (record->closing || (record->failed && !operation->reads))
        set_apart(record, operation);
    else
        post(operation);
}

static void send_patient(struct record *record)
{
    struct operation *operation = record->patient;
    record->patient = NULL;
    record->patient_end = &record->patient;
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
void record_submit_soon(struct operation *operation)
{
    struct record *record = operation->record;
    operation->next = NULL;
    *record->patient_end = operation;
    record->patient_end = &operation->next;
    if (!uv_is_active((uv_handle_t *)&record->patience))
        workspace_arm(&record->patience, on_patience, PATIENCE_MS);
}

void record_submit(struct operation *operation)
{
    send_patient(operation->record);
    hand_over(operation);
}

/* --- opening and closing --- */

struct record *record_open(struct workspace *workspace, const char *path, const char *platform_url)
{
    struct record *record = memory_allocate(sizeof *record);
    record->workspace = workspace;
    record->disk = &workspace->host->disk;
    record->network = &workspace->host->network;
    record->path = memory_copy_text(path);
    record->platform_url = platform_url;
    record->batch.commit = commit_batch;
    record->performed_end = &record->performed;
    record->failed_end = &record->failed;
    record->patient_end = &record->patient;
    uv_timer_init(&workspace->host->network.loop, &record->timer);
    uv_timer_init(&workspace->host->network.loop, &record->patience);
    record->timer.data = record->patience.data = record;
    return record;
}

struct close_task {
    struct task task;
    struct record *record;
    void (*closed)(struct workspace *workspace);
};

static void run_closed(struct task *task)
{
    struct close_task *close = (struct close_task *)task;
    close->closed(close->record->workspace);
    free(close);
}

static void run_close(struct task *task)
{
    struct close_task *close = (struct close_task *)task;
    struct record *record = close->record;
    if (record->checkpointing) { /* behind it */
        thread_post(&record->disk->thread, task);
        return;
    }
    if (record->ledger)
        commit(record, false);
    record_unlist(record);
    ledger_close(record->ledger);
    record->ledger = NULL;
    task->run = run_closed;
    thread_post(record->network, task);
}

void record_close(struct record *record, void (*closed)(struct workspace *workspace))
{
    struct close_task *close = memory_allocate(sizeof *close);
    close->task.run = run_close;
    close->record = record;
    close->closed = closed;
    send_patient(record);
    record->closing = true;
    uv_timer_stop(&record->timer);
    uv_timer_stop(&record->patience);
    thread_post(&record->disk->thread, &close->task);
}

/* Both timers. */
static void free_closed(uv_handle_t *timer)
{
    struct record *record = timer->data;
    if (++record->closed_timers < 2)
        return;
    free(record->path);
    free(record->origin);
    free(record);
}

void record_free(struct record *record)
{
    if (!record)
        return;
    while (record->failed) {
        struct operation *operation = record->failed;
        record->failed = operation->next;
        if (operation->entry)
            free(operation->context);
        free_operation(operation);
    }
    ledger_close(record->ledger); /* only if nothing ever ran */
    uv_close((uv_handle_t *)&record->patience, free_closed);
    uv_close((uv_handle_t *)&record->timer, free_closed);
}

bool record_exists(const struct record *record)
{
    return record->exists;
}

const char *record_problem(const struct record *record)
{
    return record->failing ? record->problem : NULL;
}
