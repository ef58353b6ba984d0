/* Tasks of molecule serve: what an A2A client sees of a message, for as long as it may ask. */
#include "state/ledger_sql.h"

#include "base/clock.h"

static sqlite3_stmt *bind_task(struct ledger *ledger, enum statement which,
                               const struct ledger_task *task)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, which);
    if (!statement)
        return NULL;
    ledger_bind_text(statement, 1, task->id);
    ledger_bind_text(statement, 2, task->principal);
    ledger_bind_text(statement, 3, task->context_id);
    sqlite3_bind_int(statement, 4, task->state);
    sqlite3_bind_int(statement, 5, task->open);
    sqlite3_bind_int64(statement, 6, task->updated_ms);
    ledger_bind_text(statement, 7, task->document);
    return statement;
}

bool ledger_task_add(struct ledger *ledger, const struct ledger_task *task, bool *added)
{
    bool done = ledger_run(ledger, bind_task(ledger, STATEMENT_TASK_ADD, task), "add a task");
    *added = done && sqlite3_changes(ledger->database) > 0;
    return done;
}

bool ledger_task_put(struct ledger *ledger, const struct ledger_task *task)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_TASK_PUT);
    if (statement) {
        ledger_bind_text(statement, 1, task->id);
        sqlite3_bind_int(statement, 4, task->state);
        sqlite3_bind_int(statement, 5, task->open);
        sqlite3_bind_int64(statement, 6, task->updated_ms);
        ledger_bind_text(statement, 7, task->document);
    }
    if (!ledger_run(ledger, statement, "record a task"))
        return false;
    statement = ledger_prepare(ledger, STATEMENT_PIECES_DROP);
    if (statement)
        ledger_bind_text(statement, 1, task->id);
    return ledger_run(ledger, statement, "record a task");
}

bool ledger_piece_add(struct ledger *ledger, const char *task_id, int64_t sequence,
                      const char *piece)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_PIECE_ADD);
    if (statement) {
        sqlite3_bind_int64(statement, 1, sequence);
        ledger_bind_text(statement, 2, task_id);
        ledger_bind_text(statement, 3, piece);
    }
    return ledger_run(ledger, statement, "record a task");
}

bool ledger_pieces_each(struct ledger *ledger, const char *task_id,
                        void (*each)(const char *piece, void *context), void *context)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_PIECES);
    int result = SQLITE_ERROR;
    if (statement)
        ledger_bind_text(statement, 1, task_id);
    while (statement && (result = sqlite3_step(statement)) == SQLITE_ROW)
        each((const char *)sqlite3_column_text(statement, 0), context);
    if (result != SQLITE_DONE && statement)
        ledger_fail(ledger, "read tasks");
    if (statement)
        sqlite3_reset(statement);
    return result == SQLITE_DONE;
}

static bool each_row(struct ledger *ledger, sqlite3_stmt *statement, ledger_task_visitor *each,
                     void *context)
{
    int result = SQLITE_ERROR;
    while (statement && (result = sqlite3_step(statement)) == SQLITE_ROW)
        each(&(struct ledger_task){.id = (const char *)sqlite3_column_text(statement, 0),
                                   .principal = (const char *)sqlite3_column_text(statement, 1),
                                   .context_id = (const char *)sqlite3_column_text(statement, 2),
                                   .state = sqlite3_column_int(statement, 3),
                                   .open = sqlite3_column_int(statement, 4) != 0,
                                   .updated_ms = sqlite3_column_int64(statement, 5),
                                   .document = (const char *)sqlite3_column_text(statement, 6)},
             context);
    if (result != SQLITE_DONE && statement)
        ledger_fail(ledger, "read tasks");
    if (statement)
        sqlite3_reset(statement);
    return result == SQLITE_DONE;
}

bool ledger_task_get(struct ledger *ledger, const char *id, ledger_task_visitor *each,
                     void *context)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_TASK_GET);
    if (statement)
        ledger_bind_text(statement, 1, id);
    return each_row(ledger, statement, each, context);
}

bool ledger_tasks_open(struct ledger *ledger, ledger_task_visitor *each, void *context)
{
    return each_row(ledger, ledger_prepare(ledger, STATEMENT_TASKS_OPEN), each, context);
}

static sqlite3_stmt *bind_query(struct ledger *ledger, enum statement which,
                                const struct ledger_task_query *query)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, which);
    if (!statement)
        return NULL;
    ledger_bind_text(statement, 1, query->principal);
    ledger_bind_text(statement, 2, query->context_id);
    sqlite3_bind_int(statement, 3, query->state);
    sqlite3_bind_int64(statement, 4, query->since_ms);
    return statement;
}

bool ledger_tasks_ended(struct ledger *ledger, const struct ledger_task_query *query,
                        ledger_task_visitor *each, void *context, int64_t *total)
{
    sqlite3_stmt *statement = bind_query(ledger, STATEMENT_TASKS_COUNT, query);
    if (!statement || sqlite3_step(statement) != SQLITE_ROW) {
        if (statement)
            sqlite3_reset(statement);
        return ledger_fail(ledger, "count tasks");
    }
    *total = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    statement = bind_query(ledger, STATEMENT_TASKS_ENDED, query);
    if (statement) {
        sqlite3_bind_int64(statement, 5, query->after_id ? query->after_ms : INT64_MAX);
        ledger_bind_text(statement, 6, query->after_id ? query->after_id : "");
        sqlite3_bind_int(statement, 7, query->most);
        sqlite3_bind_int(statement, 8, query->whole);
    }
    return each_row(ledger, statement, each, context);
}

static bool expire(struct ledger *ledger, enum statement which, int64_t before_ms, int most)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, which);
    if (statement) {
        sqlite3_bind_int64(statement, 1, before_ms);
        sqlite3_bind_int(statement, 2, most);
    }
    return ledger_run(ledger, statement, "forget old tasks");
}

bool ledger_tasks_expire(struct ledger *ledger, int64_t before_ms, int most)
{
    return expire(ledger, STATEMENT_TASKS_EXPIRE, before_ms, most) &&
           expire(ledger, STATEMENT_FINISHED_EXPIRE, before_ms, most);
}

/* --- notifications --- */

bool ledger_notification_add(struct ledger *ledger, const struct ledger_notification *notification)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_NOTIFICATION_ADD);
    if (statement) {
        sqlite3_bind_int64(statement, 1, notification->sequence);
        ledger_bind_text(statement, 2, notification->task_id);
        ledger_bind_text(statement, 3, notification->config);
        ledger_bind_text(statement, 4, notification->type);
        ledger_bind_bytes(statement, 5, notification->body, notification->length);
        sqlite3_bind_int64(statement, 6, notification->at_ms);
    }
    return ledger_run(ledger, statement, "add a notification");
}

bool ledger_notification_drop(struct ledger *ledger, int64_t sequence)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_NOTIFICATION_DROP);
    if (statement)
        sqlite3_bind_int64(statement, 1, sequence);
    return ledger_run(ledger, statement, "drop a notification");
}

bool ledger_notifications_each(struct ledger *ledger,
                               void (*each)(const struct ledger_notification *notification,
                                            void *context),
                               void *context)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_NOTIFICATIONS);
    int result = SQLITE_ERROR;
    while (statement && (result = sqlite3_step(statement)) == SQLITE_ROW)
        each(
            &(struct ledger_notification){
                .sequence = sqlite3_column_int64(statement, 0),
                .task_id = (const char *)sqlite3_column_text(statement, 1),
                .config = (const char *)sqlite3_column_text(statement, 2),
                .type = (const char *)sqlite3_column_text(statement, 3),
                .body = sqlite3_column_blob(statement, 4),
                .length = (size_t)sqlite3_column_bytes(statement, 4),
                .at_ms = sqlite3_column_int64(statement, 5),
            },
            context);
    if (result != SQLITE_DONE && statement)
        ledger_fail(ledger, "read notifications");
    if (statement)
        sqlite3_reset(statement);
    return result == SQLITE_DONE;
}
