/* Tasks of molecule serve: how each stands, the messages that belong to it, and what is still to be
 * told of it. */
#include "journal/job.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define EXPIRE_AT_ONCE 200
#define LISTED_BYTES ((size_t)4 << 20) /* of the documents of a page; one at least */

void journal_notification_free(struct journal_notification *notification)
{
    free(notification->task_id);
    memory_wipe(notification->config); /* it has the token of the webhook */
    free(notification->type);
    free(notification->body);
    free(notification);
}

void journal_task_free(struct journal_task *task)
{
    if (!task)
        return;
    while (task->notifications) {
        struct journal_notification *notification = task->notifications;
        task->notifications = notification->next;
        journal_notification_free(notification);
    }
    free(task->id);
    free(task->principal);
    free(task->context_id);
    free(task->document);
    free(task->piece);
    json_decref(task->pieces);
    free(task);
}

static void free_all(struct journal_task *task)
{
    while (task) {
        struct journal_task *next = task->next;
        journal_task_free(task);
        task = next;
    }
}

static struct ledger_task row_of(const struct journal_task *task)
{
    return (struct ledger_task){.id = task->id,
                                .principal = task->principal,
                                .context_id = task->context_id,
                                .state = task->state,
                                .open = task->open,
                                .updated_ms = task->updated_ms,
                                .document = task->document};
}

static bool add_notifications(struct ledger *ledger, const struct journal_task *task)
{
    for (const struct journal_notification *each = task->notifications; each; each = each->next) {
        const struct ledger_notification row = {.sequence = each->sequence,
                                                .task_id = each->task_id,
                                                .config = each->config,
                                                .type = each->type,
                                                .body = each->body,
                                                .length = each->length,
                                                .at_ms = each->at_ms};
        if (!ledger_notification_add(ledger, &row))
            return false;
    }
    return true;
}

bool task_perform(struct ledger *ledger, const struct journal_task *task)
{
    if (!task)
        return true;
    struct ledger_task row = row_of(task);
    bool put = task->piece ? ledger_piece_add(ledger, task->id, task->sequence, task->piece)
                           : ledger_task_put(ledger, &row);
    return put && add_notifications(ledger, task);
}

static void copy_task(const struct ledger_task *row, void *context)
{
    struct job_task *job = context;
    job->cut = job->cut || job->found_bytes > LISTED_BYTES;
    if (job->cut && job->listed)
        return;
    job->found_bytes += strlen(row->document);
    struct journal_task *task = memory_allocate(sizeof *task);
    task->id = memory_copy_text(row->id);
    task->principal = memory_copy_text(row->principal);
    task->context_id = memory_copy_text(row->context_id);
    task->document = memory_copy_text(row->document);
    task->state = row->state;
    task->open = row->open;
    task->updated_ms = row->updated_ms;
    *job->found_end = task;
    job->found_end = &task->next;
}

/* Again, after a try whose commit failed. */
static void forget_found(struct job_task *job)
{
    free_all(job->found);
    job->found = NULL;
    job->found_bytes = 0;
    job->cut = false;
    job->found_end = &job->found;
}

static void release(struct job *job)
{
    struct job_task *tasks = &job->tasks;
    journal_task_free(tasks->task);
    free_all(tasks->found);
    journal_loaded_free(tasks->loaded);
    char *const texts[] = {tasks->row_id,
                           tasks->row,
                           tasks->created_at,
                           tasks->source,
                           (char *)(uintptr_t)tasks->query.principal,
                           (char *)(uintptr_t)tasks->query.context_id,
                           (char *)(uintptr_t)tasks->query.after_id};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
}

/* --- a message --- */

static bool load_one(const struct ledger_message *message, void *context)
{
    *(struct journal_loaded **)context = journal_copy_message(message);
    return false;
}

static bool keep_message(struct ledger *ledger, struct job_task *job)
{
    const struct ledger_message message = {.row_id = job->row_id,
                                           .row = job->row,
                                           .row_length = job->row_length,
                                           .source = job->source,
                                           .created_at = job->created_at};
    journal_loaded_free(job->loaded);
    job->loaded = NULL;
    return ledger_keep(ledger, &message) &&
           ledger_find(ledger, job->row_id, load_one, &job->loaded);
}

static bool perform_admit(struct job *job)
{
    struct ledger *ledger = job->journal->ledger;
    struct job_task *tasks = &job->tasks;
    struct ledger_task row = row_of(tasks->task);
    bool added;
    forget_found(tasks);
    enum ledger_state state = ledger_state_of(ledger, tasks->row_id);
    if (state == LEDGER_UNREADABLE)
        return false;
    /* the message may be remembered longer than its task */
    bool may_add = state == LEDGER_UNKNOWN || tasks->is_new;
    added = may_add;
    if (tasks->begins && may_add && !ledger_task_add(ledger, &row, &added))
        return false;
    /* a try before may have been committed after all */
    tasks->is_new = tasks->is_new || (added && state == LEDGER_UNKNOWN);
    if (!tasks->is_new)
        return ledger_task_get(ledger, tasks->task->id, copy_task, tasks);
    return keep_message(ledger, tasks) && (tasks->begins ? add_notifications(ledger, tasks->task)
                                                         : task_perform(ledger, tasks->task));
}

static void deliver_admit(struct job *job)
{
    struct job_task *tasks = &job->tasks;
    struct journal_loaded *loaded = tasks->loaded;
    tasks->loaded = NULL;
    tasks->admitted(tasks->context, loaded, tasks->found);
}

static const struct job_type admit_type = {perform_admit, deliver_admit, NULL,
                                           release,       false,         false};

void journal_task_admit(struct journal *journal, struct journal_task *task, bool begins,
                        const struct journal_run *row, journal_admit_callback *then, void *context)
{
    struct job *job = journal_job(journal, &admit_type);
    job->tasks = (struct job_task){.task = task,
                                   .begins = begins,
                                   .row_id = memory_copy_text(row->row_id),
                                   .row = memory_copy(row->row, row->row_length),
                                   .row_length = row->row_length,
                                   .created_at = memory_copy_text(row->created_at),
                                   .source = memory_copy_text(row->source),
                                   .admitted = then,
                                   .context = context};
    job->tasks.found_end = &job->tasks.found;
    journal_submit(job);
}

/* --- how it stands --- */

static bool perform_put(struct job *job)
{
    return task_perform(job->journal->ledger, job->tasks.task);
}

static void deliver_put(struct job *job)
{
    if (job->tasks.then)
        job->tasks.then(job->tasks.context);
}

static const struct job_type put_type = {perform_put, deliver_put, NULL, release, false, false};

void journal_task_put(struct journal *journal, struct journal_task *task,
                      void (*then)(void *context), void *context)
{
    struct job *job = journal_job(journal, &put_type);
    job->tasks = (struct job_task){.task = task, .then = then, .context = context};
    journal_submit(job);
}

/* --- looking --- */

static bool perform_get(struct job *job)
{
    forget_found(&job->tasks);
    return ledger_task_get(job->journal->ledger, job->tasks.row_id, copy_task, &job->tasks);
}

static bool perform_ended(struct job *job)
{
    struct job_task *tasks = &job->tasks;
    forget_found(tasks);
    return ledger_tasks_ended(job->journal->ledger, &tasks->query, copy_task, tasks, &tasks->total);
}

static void deliver_found(struct job *job)
{
    struct job_task *tasks = &job->tasks;
    struct journal_task *found = tasks->found;
    tasks->found = NULL;
    tasks->then_found(tasks->context, found, tasks->total, tasks->cut && tasks->listed, false);
}

static void give_up_found(struct job *job)
{
    job->tasks.then_found(job->tasks.context, NULL, 0, false, true);
}

static const struct job_type get_type = {perform_get, deliver_found, give_up_found,
                                         release,     false,         true};
static const struct job_type ended_type = {perform_ended, deliver_found, give_up_found,
                                           release,       false,         true};

void journal_task_get(struct journal *journal, const char *id, journal_tasks_callback *then,
                      void *context)
{
    struct job *job = journal_job(journal, &get_type);
    job->tasks = (struct job_task){
        .row_id = memory_copy_text(id), .then_found = then, .context = context};
    job->tasks.found_end = &job->tasks.found;
    journal_submit(job);
}

void journal_tasks_ended(struct journal *journal, const struct ledger_task_query *query,
                         journal_tasks_callback *then, void *context)
{
    struct job *job = journal_job(journal, &ended_type);
    job->tasks = (struct job_task){
        .listed = true, .query = *query, .then_found = then, .context = context};
    job->tasks.query.principal = memory_copy_text(query->principal);
    job->tasks.query.context_id = memory_copy_text(query->context_id);
    job->tasks.query.after_id = memory_copy_text(query->after_id);
    job->tasks.found_end = &job->tasks.found;
    journal_submit(job);
}

/* --- the end --- */

static bool perform_drop(struct job *job)
{
    return ledger_notification_drop(job->journal->ledger, job->tasks.number);
}

static void deliver_nothing(struct job *job)
{
    (void)job;
}

static const struct job_type drop_type = {perform_drop, deliver_nothing, NULL,
                                          release,      false,           false};

void journal_notification_drop(struct journal *journal, int64_t sequence)
{
    struct job *job = journal_job(journal, &drop_type);
    job->tasks = (struct job_task){.number = sequence};
    journal_submit_soon(job);
}

static bool perform_expire(struct job *job)
{
    return ledger_tasks_expire(job->journal->ledger, job->tasks.number, EXPIRE_AT_ONCE);
}

static const struct job_type expire_type = {perform_expire, deliver_nothing, NULL,
                                            release,        false,           false};

void journal_tasks_expire(struct journal *journal, int64_t before_ms)
{
    struct job *job = journal_job(journal, &expire_type);
    job->tasks = (struct job_task){.number = before_ms};
    journal_submit_soon(job);
}

/* --- at the start --- */

struct loading {
    struct journal_notification **end;
};

static void copy_notification(const struct ledger_notification *row, void *context)
{
    struct loading *loading = context;
    struct journal_notification *notification = memory_allocate(sizeof *notification);
    notification->sequence = row->sequence;
    notification->task_id = memory_copy_text(row->task_id);
    notification->config = memory_copy_text(row->config);
    notification->type = memory_copy_text(row->type);
    notification->body = memory_copy(row->body, row->length);
    notification->length = row->length;
    notification->at_ms = row->at_ms;
    *loading->end = notification;
    loading->end = &notification->next;
}

static void add_piece(const char *piece, void *context)
{
    struct journal_task *task = context;
    if (!task->pieces)
        task->pieces = json_array();
    json_array_append_new(task->pieces, json_loads(piece, JSON_ALLOW_NUL, NULL));
}

static bool load_pieces(struct ledger *ledger, struct journal_task *tasks)
{
    bool loaded = true;
    for (struct journal_task *each = tasks; each && loaded; each = each->next)
        loaded = ledger_pieces_each(ledger, each->id, add_piece, each);
    return loaded;
}

bool journal_tasks_load(struct journal *journal, struct journal_task **tasks,
                        struct journal_notification **notifications)
{
    struct job_task job = {0};
    struct loading loading = {.end = notifications};
    *tasks = NULL;
    *notifications = NULL;
    if (!journal->ledger)
        return true;
    job.found_end = &job.found;
    bool loaded = ledger_tasks_open(journal->ledger, copy_task, &job) &&
                  load_pieces(journal->ledger, job.found) &&
                  ledger_notifications_each(journal->ledger, copy_notification, &loading);
    *tasks = job.found;
    return loaded;
}
