/* What handlers have done for good: the results of their steps, and how long they sleep. A handler
 * that runs again gets them instead of doing it again. */
#include "state/ledger_sql.h"

#include "base/clock.h"

bool ledger_step_set(struct ledger *ledger, const char *row_id, const struct ledger_step *step,
                     bool *added)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_STEP_SET);
    if (statement) {
        ledger_bind_text(statement, 1, row_id);
        ledger_bind_text(statement, 2, step->key);
        ledger_bind_text(statement, 3, step->kind);
        ledger_bind_text(statement, 4, step->digest);
        ledger_bind_text(statement, 5, step->value);
        sqlite3_bind_int64(statement, 6, clock_steady_ms());
    }
    bool done = ledger_run(ledger, statement, "record a step");
    *added = done && sqlite3_changes(ledger->database) > 0;
    return done;
}

bool ledger_steps_any(struct ledger *ledger)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_STEPS_ANY);
    bool any = statement && sqlite3_step(statement) == SQLITE_ROW;
    if (statement)
        sqlite3_reset(statement);
    return any;
}

bool ledger_steps_each(struct ledger *ledger, const char *row_id,
                       void (*each)(const struct ledger_step *step, void *context), void *context)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_STEPS_OF);
    if (!statement)
        return false;
    ledger_bind_text(statement, 1, row_id);
    int result;
    while ((result = sqlite3_step(statement)) == SQLITE_ROW)
        each(&(struct ledger_step){.key = (const char *)sqlite3_column_text(statement, 0),
                                   .kind = (const char *)sqlite3_column_text(statement, 1),
                                   .digest = (const char *)sqlite3_column_text(statement, 2),
                                   .value = (const char *)sqlite3_column_text(statement, 3),
                                   .at_ms = sqlite3_column_int64(statement, 4)},
             context);
    if (result != SQLITE_DONE)
        ledger_fail(ledger, "read the steps of a message");
    sqlite3_reset(statement);
    return result == SQLITE_DONE;
}

bool ledger_sleepers_each(struct ledger *ledger, int most,
                          void (*each)(const char *row_id, int64_t until_ms, void *context),
                          void *context)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_SLEEPERS);
    if (!statement)
        return false;
    sqlite3_bind_int64(statement, 1, clock_steady_ms());
    sqlite3_bind_int(statement, 2, most);
    int result;
    while ((result = sqlite3_step(statement)) == SQLITE_ROW)
        each((const char *)sqlite3_column_text(statement, 0), sqlite3_column_int64(statement, 1),
             context);
    if (result != SQLITE_DONE)
        ledger_fail(ledger, "list what sleeps");
    sqlite3_reset(statement);
    return result == SQLITE_DONE;
}

bool ledger_steps_forget(struct ledger *ledger, const char *row_id)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_STEPS_FORGET);
    if (statement)
        ledger_bind_text(statement, 1, row_id);
    return ledger_run(ledger, statement, "forget the steps of a message");
}
