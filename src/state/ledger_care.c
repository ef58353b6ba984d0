/* What is done to a whole ledger, apart from its messages. */
#include "state/ledger_sql.h"

#include <stdio.h>
#include <string.h>

bool ledger_check(struct ledger *ledger, char *problem, size_t problem_size)
{
    sqlite3_stmt *statement = NULL;
    const char *text = NULL;
    bool read = sqlite3_prepare_v2(ledger->database, "PRAGMA quick_check(1)", -1, &statement,
                                   NULL) == SQLITE_OK &&
                sqlite3_step(statement) == SQLITE_ROW;
    if (read)
        text = (const char *)sqlite3_column_text(statement, 0);
    bool sound = text && strcmp(text, "ok") == 0;
    if (!sound)
        snprintf(problem, problem_size, "%s", text ? text : sqlite3_errmsg(ledger->database));
    sqlite3_finalize(statement);
    return sound;
}
