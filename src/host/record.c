/* Operations travel to the disk thread, share one transaction per batch there, and come back when it is committed. */
#include "host/record.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/uuid.h"
#include "host/workspace.h"
#include "state/disk.h"
#include "wire/repair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_FIRST_MS 200
#define RETRY_MAXIMUM_MS 10000
#define CHECKPOINT_PAGES 1000   /* of 4 KiB in the write-ahead log */
#define PRUNE_EVERY 2000        /* finished messages */
#define PRUNE_MOST 5000         /* at a time */
#define KEEP_SECONDS (7 * 86400) /* behind the cursor row: the platform's own retention (contract §4.10) */

struct operation {
    struct task task;
    struct operation *next;
    struct record *record;
    bool (*perform)(struct operation *operation); /* on the disk thread, in a transaction */
    void (*deliver)(struct operation *operation); /* on the network thread, once committed */
    bool durable, failed;
    bool reads; /* its success does not say that the ledger can be written */
    char problem[256];
    struct inbox_entry *entry;
    record_callback *then;
    void *context;
    const struct reply_request *request;
    char *text, *traceback, *row_id; /* owned */
    int64_t number;
    bool flag;
    /* known */
    char **ids;
    struct record_known known;
    void (*then_known)(struct workspace *workspace, struct record_known *known);
    /* dead letters, counts */
    enum record_dead_verb verb;
    struct record_loaded *loaded;
    void (*then_dead)(void *context, struct record_loaded *loaded, bool found);
    struct ledger_counts counts;
    void (*then_counts)(void *context, const struct ledger_counts *counts);
    void (*then_number)(void *context, int64_t number);
};

struct record {
    struct workspace *workspace;
    struct disk *disk;
    struct thread *network;
    char *path;
    const char *platform_url;
    /* the disk thread's */
    struct disk_batch batch; /* `commit` finds the record by its place */
    struct ledger *ledger;
    struct operation *performed, **performed_end;
    bool in_transaction, durable;
    unsigned finished;
    bool checkpointing;
    /* the network thread's */
    bool exists, failing, closing;
    char problem[256];
    struct operation *failed, **failed_end;
    uv_timer_t timer;
    int64_t retry_ms;
};

static struct record *record_of(struct disk_batch *batch)
{
    return (struct record *)((char *)batch - offsetof(struct record, batch));
}

/* --- the disk thread --- */

static void deliver(struct task *task);

static void give_back(struct operation *operation, bool failed, const char *problem)
{
    operation->failed = failed;
    if (failed)
        snprintf(operation->problem, sizeof operation->problem, "%s", problem);
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
    checkpoint->record->checkpointing = false;
    free(checkpoint->path);
    free(checkpoint);
}

/* Beside the commits, on libuv's pool: a checkpoint inside a commit would hold it up for milliseconds. */
static void checkpoint_if_due(struct record *record)
{
    if (record->checkpointing || ledger_log_pages(record->ledger) < CHECKPOINT_PAGES)
        return;
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
        if (!ledger_prune(record->ledger, KEEP_SECONDS, PRUNE_MOST) || !ledger_commit(record->ledger))
            ledger_rollback(record->ledger); /* only space is lost; the next time tries again */
    }
}

static bool open_ledger(struct record *record, char *problem, size_t size)
{
    return record->ledger ||
           ledger_open(&record->ledger, record->path, record->platform_url, LEDGER_WRITE, problem, size) == LEDGER_OPENED;
}

static void run_operation(struct task *task)
{
    struct operation *operation = (struct operation *)task;
    struct record *record = operation->record;
    char problem[256];
    if (!open_ledger(record, problem, sizeof problem)) {
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
    if (!operation->perform(operation)) {
        snprintf(problem, sizeof problem, "%s", ledger_problem(record->ledger));
        ledger_rollback(record->ledger);
        end_batch(record, true, problem);
    }
}

bool record_sync(struct record *record, const char *cursor, const char *created_at, int64_t last_poll_ms, char *problem,
                 size_t problem_size)
{
    if (!record->ledger)
        return true;
    bool synced = record->in_transaction || ledger_begin(record->ledger);
    record->in_transaction = synced;
    synced = synced && ledger_set_cursor(record->ledger, cursor, created_at, last_poll_ms) && commit(record, true);
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
    free(operation);
}

static void on_retry(uv_timer_t *timer)
{
    struct record *record = timer->data;
    struct operation *operation = record->failed;
    record->failed = NULL;
    record->failed_end = &record->failed;
    while (operation) {
        struct operation *next = operation->next;
        operation->task.run = run_operation;
        thread_post(&record->disk->thread, &operation->task);
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
    if (operation->failed) {
        set_failing(record, operation);
        return;
    }
    if (record->failing && !operation->reads) {
        log_info(record->workspace->settings.id, "state: the ledger can be written again");
        record->failing = false;
        workspace_dispatch(record->workspace);
    }
    if (operation->deliver)
        operation->deliver(operation);
    free_operation(operation);
}

static struct operation *make(struct record *record, bool (*perform)(struct operation *operation),
                              void (*then)(struct operation *operation))
{
    struct operation *operation = memory_allocate(sizeof *operation);
    operation->record = record;
    operation->perform = perform;
    operation->deliver = then;
    return operation;
}

static void submit(struct operation *operation)
{
    struct record *record = operation->record;
    record->exists = true;
    if (record->closing) { /* nothing goes to the disk thread behind the task that closes the ledger */
        set_apart(record, operation);
        return;
    }
    operation->task.run = run_operation;
    thread_post(&record->disk->thread, &operation->task);
}

static void deliver_entry(struct operation *operation)
{
    if (operation->then)
        operation->then(operation->record->workspace, operation->entry, operation->context);
}

static struct operation *make_for_entry(struct record *record, bool (*perform)(struct operation *operation),
                                        struct inbox_entry *entry, record_callback *then, void *context)
{
    struct operation *operation = make(record, perform, deliver_entry);
    operation->entry = entry;
    operation->then = then;
    operation->context = context;
    return operation;
}

/* What a script or the platform said, as the ledger may keep it and `molecule dead` can print it: UTF-8, no token. */
static char *copy_words(const char *words)
{
    size_t length;
    char *copy = words ? repair_text(words, strlen(words), &length) : NULL;
    if (copy)
        log_redact(copy);
    return copy;
}

/* What the ledger keeps of an entry. Read on the disk thread: the entry does not change while an operation is under way. */
static struct ledger_message describe(const struct operation *operation)
{
    const struct inbox_entry *entry = operation->entry;
    return (struct ledger_message){
        .row_id = entry->row_id,
        .row = entry->row,
        .row_length = entry->row_length,
        .attempts = entry->attempts,
        .failures = entry->failures,
        .source = entry->message && entry->message->source_id ? entry->message->source_id : "canvas",
        .created_at = entry->stamp,
        .reason = operation->text,
        .traceback = operation->traceback,
    };
}

static bool perform_start(struct operation *operation)
{
    struct ledger_message message = describe(operation);
    return ledger_start(operation->record->ledger, &message);
}

void record_start(struct record *record, struct inbox_entry *entry, record_callback *then, void *context)
{
    submit(make_for_entry(record, perform_start, entry, then, context));
}

static bool perform_reply(struct operation *operation)
{
    struct ledger_message message = describe(operation);
    const struct reply_request *request = operation->request;
    char digest[UUID_TEXT_SIZE];
    message.to_canvas = request->to_canvas;
    message.target = request->target;
    message.reply_id = request->id;
    message.body = request->body;
    message.body_length = request->body_length;
    message.dead_after_reply = operation->flag;
    if (request->to_canvas) {
        uuid_of_name(request->body, digest);
        message.digest = digest;
    }
    return ledger_reply(operation->record->ledger, &message);
}

void record_reply(struct record *record, struct inbox_entry *entry, const struct reply_request *request,
                  bool dead_after_reply, const char *reason, const char *traceback, record_callback *then, void *context)
{
    struct operation *operation = make_for_entry(record, perform_reply, entry, then, context);
    operation->request = request;
    operation->flag = dead_after_reply;
    operation->text = copy_words(reason);
    operation->traceback = copy_words(traceback);
    submit(operation);
}

static bool perform_finish(struct operation *operation)
{
    operation->record->finished++;
    return ledger_finish(operation->record->ledger, operation->entry->row_id, operation->text);
}

void record_finish(struct record *record, struct inbox_entry *entry, const char *outcome, record_callback *then,
                   void *context)
{
    struct operation *operation = make_for_entry(record, perform_finish, entry, then, context);
    operation->text = memory_copy_text(outcome);
    submit(operation);
}

static bool perform_keep(struct operation *operation)
{
    struct ledger_message message = describe(operation);
    message.due_ms = operation->number;
    message.hold = operation->flag;
    return ledger_keep(operation->record->ledger, &message);
}

void record_keep(struct record *record, struct inbox_entry *entry, int64_t due_ms, bool hold,
                 const char *reason,
                 record_callback *then, void *context)
{
    struct operation *operation = make_for_entry(record, perform_keep, entry, then, context);
    operation->number = due_ms;
    operation->flag = hold;
    operation->text = copy_words(reason);
    operation->durable = true; /* the cursor will pass it */
    submit(operation);
}

static bool perform_wait(struct operation *operation)
{
    struct ledger_message message = describe(operation);
    return ledger_wait(operation->record->ledger, &message);
}

void record_wait(struct record *record, struct inbox_entry *entry, record_callback *then, void *context)
{
    submit(make_for_entry(record, perform_wait, entry, then, context));
}

static bool perform_dead(struct operation *operation)
{
    struct ledger_message message = describe(operation);
    return ledger_die(operation->record->ledger, &message);
}

void record_dead(struct record *record, struct inbox_entry *entry, const char *reason, const char *traceback,
                 record_callback *then, void *context)
{
    struct operation *operation = make_for_entry(record, perform_dead, entry, then, context);
    operation->text = copy_words(reason);
    operation->traceback = copy_words(traceback);
    submit(operation);
}

static bool perform_uncount(struct operation *operation)
{
    return ledger_uncount(operation->record->ledger, operation->row_id);
}

void record_uncount(struct record *record, const char *row_id)
{
    struct operation *operation = make(record, perform_uncount, NULL);
    operation->row_id = memory_copy_text(row_id);
    submit(operation);
}

static bool perform_count_same(struct operation *operation)
{
    operation->known.count = 0;
    int64_t since = operation->number;
    operation->number = ledger_count_same(operation->record->ledger, operation->text, since, operation->row_id);
    if (operation->number >= 0)
        return true;
    operation->number = since; /* for the next try */
    return false;
}

static void deliver_number(struct operation *operation)
{
    operation->then_number(operation->context, operation->number);
}

void record_count_same(struct record *record, const char *digest, const char *but_row_id, int64_t since_ms,
                       void (*counted)(void *context, int64_t count), void *context)
{
    struct operation *operation = make(record, perform_count_same, deliver_number);
    operation->text = memory_copy_text(digest);
    operation->row_id = memory_copy_text(but_row_id);
    operation->number = since_ms;
    operation->then_number = counted;
    operation->reads = true;
    operation->context = context;
    submit(operation);
}

/* --- what is read back --- */

void record_loaded_free(struct record_loaded *loaded)
{
    if (!loaded)
        return;
    free(loaded->row_id);
    free(loaded->row);
    free(loaded->created_at);
    reply_request_free(&loaded->reply);
    free(loaded);
}

static struct record_loaded *copy_message(const struct ledger_message *message)
{
    struct record_loaded *loaded = memory_allocate(sizeof *loaded);
    loaded->row_id = memory_copy_text(message->row_id);
    loaded->row = message->row ? memory_copy(message->row, message->row_length) : NULL;
    loaded->row_length = message->row_length;
    loaded->created_at = memory_copy_text(message->created_at);
    loaded->state = message->state;
    loaded->attempts = message->attempts;
    loaded->failures = message->failures;
    loaded->first_seen_ms = message->first_seen_ms;
    loaded->due_ms = message->due_ms;
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
    *(struct record_loaded **)context = copy_message(message);
    return false;
}

static bool perform_known(struct operation *operation)
{
    struct ledger *ledger = operation->record->ledger;
    for (size_t i = 0; i < operation->known.count; i++) {
        enum ledger_state state = ledger_state_of(ledger, operation->ids[i]);
        if (state == LEDGER_UNREADABLE)
            return false;
        if (state == LEDGER_ELSEWHERE && operation->flag) {
            record_loaded_free(operation->known.loaded[i]); /* of an attempt whose commit failed */
            operation->known.loaded[i] = NULL;
            if (!ledger_take_back(ledger, operation->ids[i]) ||
                !ledger_find(ledger, operation->ids[i], load_one, &operation->known.loaded[i]))
                return false;
        }
        operation->known.states[i] = state;
    }
    return true;
}

static void deliver_known(struct operation *operation)
{
    operation->then_known(operation->record->workspace, &operation->known);
}

void record_known(struct record *record, const char *const *row_ids, size_t count, bool take_back,
                  void (*known)(struct workspace *workspace, struct record_known *known))
{
    struct operation *operation = make(record, perform_known, deliver_known);
    operation->flag = take_back;
    operation->then_known = known;
    operation->reads = true;
    operation->known.count = count;
    operation->ids = memory_allocate((count + 1) * sizeof *operation->ids);
    operation->known.states = memory_allocate((count + 1) * sizeof *operation->known.states);
    operation->known.loaded = memory_allocate((count + 1) * sizeof *operation->known.loaded);
    for (size_t i = 0; i < count; i++)
        operation->ids[i] = memory_copy_text(row_ids[i]);
    submit(operation);
}

static bool perform_dead_letter(struct operation *operation)
{
    struct ledger *ledger = operation->record->ledger;
    record_loaded_free(operation->loaded);
    operation->loaded = NULL;
    if (operation->verb == RECORD_DEAD_DROP)
        return ledger_drop_dead(ledger, operation->row_id, &operation->flag);
    if (!ledger_retry_dead(ledger, operation->row_id, clock_wall_ms(), &operation->flag))
        return false;
    return !operation->flag || ledger_find(ledger, operation->row_id, load_one, &operation->loaded);
}

static void deliver_dead_letter(struct operation *operation)
{
    struct record_loaded *loaded = operation->loaded;
    operation->loaded = NULL;
    operation->then_dead(operation->context, loaded, operation->flag);
}

void record_dead_letter(struct record *record, enum record_dead_verb verb, const char *row_id,
                        void (*done)(void *context, struct record_loaded *loaded, bool found), void *context)
{
    struct operation *operation = make(record, perform_dead_letter, deliver_dead_letter);
    operation->verb = verb;
    operation->row_id = memory_copy_text(row_id);
    operation->then_dead = done;
    operation->context = context;
    operation->durable = true;
    submit(operation);
}

static bool perform_counts(struct operation *operation)
{
    return ledger_count(operation->record->ledger, &operation->counts);
}

static void deliver_counts(struct operation *operation)
{
    operation->then_counts(operation->context, &operation->counts);
}

void record_counts(struct record *record, void (*counted)(void *context, const struct ledger_counts *counts), void *context)
{
    struct operation *operation = make(record, perform_counts, deliver_counts);
    operation->then_counts = counted;
    operation->reads = true;
    operation->context = context;
    submit(operation);
}

/* --- opening and closing --- */

struct collecting {
    struct record_loaded **end;
    size_t count;
};

static bool collect(const struct ledger_message *message, void *context)
{
    struct collecting *collecting = context;
    struct record_loaded *loaded = copy_message(message);
    *collecting->end = loaded;
    collecting->end = &loaded->next;
    collecting->count++;
    return true;
}

static bool read_start(struct record *record, const char *file_cursor, bool file_readable, struct record_start *start)
{
    struct ledger *ledger = record->ledger;
    start->cursor = ledger_cursor(ledger);
    start->last_poll_ms = ledger_last_poll(ledger);
    start->anchor = ledger_anchor(ledger);
    /* a crash between the ledger's commit and the file's rename leaves the file one cursor behind */
    char *before = ledger_cursor_before(ledger);
    start->taken_over = file_readable && file_cursor && start->cursor && strcmp(file_cursor, start->cursor) != 0 &&
                        (!before || strcmp(file_cursor, before) != 0);
    free(before);
    if (!ledger_begin(ledger))
        return false;
    if (start->taken_over && !ledger_leave_to_others(ledger))
        return false;
    struct collecting collecting = {.end = &start->open};
    if (!ledger_each_open(ledger, collect, &collecting) || !ledger_pass_open(ledger))
        return false;
    start->open_count = collecting.count;
    return ledger_commit(ledger);
}

void record_load(struct record *record, const char *file_cursor, bool file_readable, struct record_start *start)
{
    char problem[512];
    *start = (struct record_start){0};
    enum ledger_status status = ledger_open(&record->ledger, record->path, record->platform_url, LEDGER_WRITE_EXISTING,
                                            problem, sizeof problem);
    if (status == LEDGER_ABSENT)
        return;
    if (status == LEDGER_DAMAGED) {
        char why[512];
        start->failed = !ledger_set_aside(record->path, why, sizeof why);
        snprintf(start->problem, sizeof start->problem, "%s%s%s", problem, start->failed ? "; " : "",
                 start->failed ? why : "");
        start->set_aside = memory_copy_text(problem);
        return;
    }
    if (status != LEDGER_OPENED || !read_start(record, file_cursor, file_readable, start)) {
        start->failed = true;
        snprintf(start->problem, sizeof start->problem, "%s",
                 status != LEDGER_OPENED ? problem : ledger_problem(record->ledger));
        return;
    }
    record->exists = true;
}

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
    uv_timer_init(&workspace->host->network.loop, &record->timer);
    record->timer.data = record;
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
    record->closing = true;
    uv_timer_stop(&record->timer);
    thread_post(&record->disk->thread, &close->task);
}

static void free_closed(uv_handle_t *timer)
{
    struct record *record = timer->data;
    free(record->path);
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
