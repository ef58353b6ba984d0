/* What is done to a whole ledger, apart from its messages. */
#include "state/ledger_sql.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

static bool run(struct ledger *ledger, const char *sql, const char *argument, char *problem,
                size_t problem_size)
{
    sqlite3_stmt *statement = NULL;
    bool done = sqlite3_prepare_v2(ledger->database, sql, -1, &statement, NULL) == SQLITE_OK &&
                (!argument ||
                 sqlite3_bind_text(statement, 1, argument, -1, SQLITE_STATIC) == SQLITE_OK) &&
                sqlite3_step(statement) == SQLITE_DONE;
    if (!done)
        snprintf(problem, problem_size, "%s", sqlite3_errmsg(ledger->database));
    sqlite3_finalize(statement);
    return done;
}

bool ledger_copy(struct ledger *ledger, const char *to, char *problem, size_t problem_size)
{
    /* SQLite would make it readable for others */
    int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        snprintf(problem, problem_size, "%s cannot be made: %s", to, strerror(errno));
        return false;
    }
    bool copied = run(ledger, "VACUUM INTO ?1", to, problem, problem_size);
    if (copied && fsync(fd) != 0) {
        snprintf(problem, problem_size, "%s cannot be synced: %s", to, strerror(errno));
        copied = false;
    }
    close(fd);
    if (!copied)
        unlink(to);
    return copied;
}

bool ledger_compact(struct ledger *ledger, char *problem, size_t problem_size)
{
    return run(ledger, "VACUUM", NULL, problem, problem_size);
}
