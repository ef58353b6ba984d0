/* An open ledger: its statements, its transactions, its write-ahead log, and single values. It is
 * opened by ledger_open.c; ledger_messages.c, ledger_store.c and ledger_cursor.c keep its
 * contents. */
#include "state/ledger_sql.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *ledger_state_text(enum ledger_state state)
{
    switch (state) {
#define X(name, number, text) \
    case name: return text;
        LEDGER_STATES(X)
#undef X
    case LEDGER_UNREADABLE:
    case LEDGER_UNKNOWN: break;
    }
    return "unknown";
}

const char *ledger_sqlite_version(void)
{
    return sqlite3_libversion();
}

int64_t ledger_bytes(const struct ledger *ledger)
{
    const char *path = sqlite3_db_filename(ledger->database, "main");
    struct stat database = {0}, log = {0};
    if (stat(path, &database) != 0 || stat(sqlite3_filename_wal(path), &log) != 0)
        log.st_size = 0;
    return (int64_t)database.st_size + (int64_t)log.st_size;
}

const char *ledger_problem(const struct ledger *ledger)
{
    return ledger->problem;
}

bool ledger_fail(struct ledger *ledger, const char *what)
{
    snprintf(ledger->problem, sizeof ledger->problem, "the ledger %s: %s: %s",
             sqlite3_db_filename(ledger->database, "main"), what, sqlite3_errmsg(ledger->database));
    return false;
}

sqlite3_stmt *ledger_prepare(struct ledger *ledger, enum statement which)
{
    static const char *const texts[] = {
#define X(name, sql) sql,
        STATEMENTS(X)
#undef X
    };
    sqlite3_stmt **statement = &ledger->statements[which];
    if (!*statement &&
        sqlite3_prepare_v3(ledger->database, texts[which], -1, SQLITE_PREPARE_PERSISTENT, statement,
                           NULL) != SQLITE_OK) {
        ledger_fail(ledger, "cannot prepare a statement");
        return NULL;
    }
    return *statement;
}

bool ledger_run(struct ledger *ledger, sqlite3_stmt *statement, const char *what)
{
    if (!statement)
        return false;
    int result = sqlite3_step(statement);
    bool done = result == SQLITE_DONE || result == SQLITE_ROW;
    if (!done)
        ledger_fail(ledger, what);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return done;
}

void ledger_bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

void ledger_bind_bytes(sqlite3_stmt *statement, int index, const char *bytes, size_t length)
{
    sqlite3_bind_blob64(statement, index, bytes, length, SQLITE_STATIC);
}

bool ledger_execute(struct ledger *ledger, const char *sql)
{
    return sqlite3_exec(ledger->database, sql, NULL, NULL, NULL) == SQLITE_OK ||
           ledger_fail(ledger, sql);
}

/* --- single values --- */

char *ledger_get_meta(struct ledger *ledger, const char *key)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_GET);
    char *value = NULL;
    if (!statement)
        return NULL;
    ledger_bind_text(statement, 1, key);
    if (sqlite3_step(statement) == SQLITE_ROW)
        value = memory_copy_text((const char *)sqlite3_column_text(statement, 0));
    sqlite3_reset(statement);
    return value;
}

bool ledger_set_meta(struct ledger *ledger, const char *key, const char *value)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_SET);
    if (statement) {
        ledger_bind_text(statement, 1, key);
        ledger_bind_text(statement, 2, value);
    }
    return ledger_run(ledger, statement, key);
}

/* --- transactions --- */

bool ledger_begin(struct ledger *ledger)
{
    return ledger_run(ledger, ledger_prepare(ledger, STATEMENT_BEGIN), "begin");
}

bool ledger_commit(struct ledger *ledger)
{
    return ledger_run(ledger, ledger_prepare(ledger, STATEMENT_COMMIT), "commit");
}

/* synchronous cannot change inside a transaction, so the commit that must reach the platter is an
 * one after it: with FULL, every WAL commit syncs the whole log so far. It writes a new value: a
 * transaction that changes nothing commits nothing, and syncs nothing. */
bool ledger_commit_durably(struct ledger *ledger)
{
    if (!ledger_commit(ledger))
        return false;
    char stamp[32];
    int64_t now_ms = clock_wall_ms();
    ledger->synced_ms = now_ms > ledger->synced_ms ? now_ms : ledger->synced_ms + 1;
    snprintf(stamp, sizeof stamp, "%lld", (long long)ledger->synced_ms);
    bool synced = ledger_execute(ledger, "PRAGMA synchronous = FULL") && ledger_begin(ledger) &&
                  ledger_set_meta(ledger, "synced", stamp) && ledger_commit(ledger);
    if (!synced)
        ledger_rollback(ledger);
    return ledger_execute(ledger, "PRAGMA synchronous = NORMAL") && synced;
}

void ledger_rollback(struct ledger *ledger)
{
    if (!sqlite3_get_autocommit(ledger->database)) {
        sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_ROLLBACK);
        if (statement) {
            sqlite3_step(statement);
            sqlite3_reset(statement);
        }
    }
}

/* --- the write-ahead log --- */

void ledger_checkpoint(const char *path)
{
    sqlite3 *database = NULL;
    if (sqlite3_open_v2(path, &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) ==
        SQLITE_OK)
        sqlite3_wal_checkpoint_v2(database, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    sqlite3_close(database);
}

void ledger_restart_log(struct ledger *ledger)
{
    sqlite3_wal_checkpoint_v2(ledger->database, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    ledger->log_pages = 0;
}

bool ledger_is_plain(const struct ledger *ledger)
{
    return ledger->plain;
}

int ledger_log_pages(const struct ledger *ledger)
{
    return ledger->log_pages;
}
