/* Questions that handlers have asked and that have no answer yet. They are steps of their messages:
 * an answer is recorded once, whoever gives it. */
#include "state/ledger_sql.h"

#include "base/clock.h"

bool ledger_questions_each(struct ledger *ledger,
                           void (*each)(const char *row_id, const char *key, const char *asked,
                                        const char *posted, void *context),
                           void *context)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_QUESTIONS);
    if (!statement)
        return false;
    int result;
    while ((result = sqlite3_step(statement)) == SQLITE_ROW)
        each((const char *)sqlite3_column_text(statement, 0),
             (const char *)sqlite3_column_text(statement, 1),
             (const char *)sqlite3_column_text(statement, 2),
             (const char *)sqlite3_column_text(statement, 3), context);
    if (result != SQLITE_DONE)
        ledger_fail(ledger, "list the open questions");
    sqlite3_reset(statement);
    return result == SQLITE_DONE;
}

bool ledger_questions_cancel(struct ledger *ledger, const char *row_id)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_QUESTIONS_CANCEL);
    if (statement)
        ledger_bind_text(statement, 1, row_id);
    return ledger_run(ledger, statement, "cancel the questions of a message");
}

bool ledger_wake(struct ledger *ledger, const char *row_id)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_WAKE);
    if (statement) {
        ledger_bind_text(statement, 1, row_id);
        sqlite3_bind_int64(statement, 2, clock_steady_ms());
    }
    return ledger_run(ledger, statement, "wake a message");
}
