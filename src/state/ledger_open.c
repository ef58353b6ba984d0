/* Opening a ledger: its file, its check, its journal, its schema, and whose it is. */
#include "state/ledger_sql.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEMA_VERSION 7
#define BUSY_TIMEOUT_MS 2000 /* a reader or the checkpoint holds it only briefly */

/* migrations[n] takes a database from version n to n + 1. */
static const char *const migrations[SCHEMA_VERSION] = {
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
    "CREATE TABLE messages ("
    "  sequence INTEGER PRIMARY KEY," /* order of first start */
    "  row_id TEXT NOT NULL UNIQUE,"
    "  state INTEGER NOT NULL,"
    "  row BLOB,"
    "  attempts INTEGER NOT NULL DEFAULT 0,"
    "  failures INTEGER NOT NULL DEFAULT 0,"
    "  first_seen INTEGER NOT NULL,"
    "  updated INTEGER NOT NULL,"
    "  due INTEGER NOT NULL DEFAULT 0,"
    "  passed INTEGER NOT NULL DEFAULT 0,"
    "  hold INTEGER NOT NULL DEFAULT 0,"
    "  dead_after_reply INTEGER NOT NULL DEFAULT 0,"
    "  to_canvas INTEGER NOT NULL DEFAULT 0,"
    "  target TEXT, reply_id TEXT, body BLOB,"
    "  outcome TEXT, reason TEXT, traceback TEXT, source TEXT, created_at TEXT,"
    "  digest TEXT,"                         /* of a reply to the canvas */
    "  created INTEGER NOT NULL DEFAULT 0);" /* created_at in microseconds, 0: unknown */
    "CREATE INDEX messages_open ON messages (state, sequence) WHERE state IN (1, 2, 4, 5);"
    "CREATE INDEX messages_digest ON messages (digest, updated) WHERE digest IS NOT NULL;",
    /* JSON; ms, 0: never */
    "CREATE TABLE store (key TEXT NOT NULL UNIQUE, value TEXT NOT NULL, expires INTEGER NOT NULL);"
    "CREATE INDEX store_expires ON store (expires) WHERE expires > 0;"
    "CREATE TABLE answers (message_id TEXT PRIMARY KEY, answer TEXT NOT NULL, expires INTEGER NOT "
    "NULL) WITHOUT ROWID;",
    /* what is finished leaves `messages`, which stays small: a message under way costs a few pages
       that are always there */
    "CREATE TABLE finished ("
    "  sequence INTEGER PRIMARY KEY,"
    "  row_id TEXT NOT NULL UNIQUE,"
    "  outcome TEXT, source TEXT,"
    "  created INTEGER NOT NULL DEFAULT 0,"
    "  updated INTEGER NOT NULL,"
    "  digest TEXT);"
    "INSERT INTO finished (row_id, outcome, source, created, updated, digest)"
    "  SELECT row_id, outcome, source, created, updated, digest FROM messages WHERE state = 3 "
    "ORDER BY sequence;"
    "DELETE FROM messages WHERE state = 3;"
    /* an attempt under way stands beside the ledger now (state/runs.h) */
    "UPDATE messages SET state = 4 WHERE state = 1;"
    "DROP INDEX messages_open;"
    "DROP INDEX messages_digest;"
    "CREATE INDEX finished_digest ON finished (digest, updated) WHERE digest IS NOT NULL;",
    /* ms; independent of the clock */
    "ALTER TABLE messages ADD COLUMN age INTEGER NOT NULL DEFAULT 0;",
    /* until now every attempt that had not failed had asked for another one */
    "ALTER TABLE messages ADD COLUMN retries INTEGER NOT NULL DEFAULT 0;"
    "UPDATE messages SET retries = max(attempts - failures, 0) WHERE state = 4;"
    /* what handlers have done for good; gone when the message is finished */
    "CREATE TABLE steps ("
    "  sequence INTEGER PRIMARY KEY," /* in the order in which they were recorded */
    "  row_id TEXT NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL, digest TEXT NOT NULL,"
    "  value TEXT NOT NULL, at INTEGER NOT NULL,"
    "  UNIQUE (row_id, key));",
    /* tasks of molecule serve, and what is still to be told of them */
    "CREATE TABLE tasks ("
    "  sequence INTEGER PRIMARY KEY,"
    "  id TEXT NOT NULL UNIQUE, principal TEXT NOT NULL, context TEXT NOT NULL,"
    "  state INTEGER NOT NULL, open INTEGER NOT NULL,"
    "  updated INTEGER NOT NULL," /* ms: when its status last changed */
    "  document TEXT NOT NULL);"
    "CREATE INDEX tasks_open ON tasks (sequence) WHERE open = 1;"
    "CREATE INDEX tasks_ended ON tasks (principal, updated, id) WHERE open = 0;"
    "CREATE INDEX tasks_expire ON tasks (updated) WHERE open = 0;"
    "CREATE TABLE notifications ("
    "  sequence INTEGER PRIMARY KEY, task TEXT NOT NULL, config TEXT NOT NULL,"
    "  type TEXT NOT NULL, body BLOB NOT NULL, at INTEGER NOT NULL);",
    /* what open tasks got since their documents were written */
    "CREATE TABLE pieces (sequence INTEGER PRIMARY KEY, task TEXT NOT NULL, piece TEXT NOT NULL);"
    "CREATE INDEX pieces_task ON pieces (task);",
};

static int log_hook(void *context, sqlite3 *database, const char *name, int pages)
{
    (void)database;
    (void)name;
    ((struct ledger *)context)->log_pages = pages;
    return SQLITE_OK;
}

static int64_t read_number(struct ledger *ledger, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int64_t number = -1;
    if (sqlite3_prepare_v2(ledger->database, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        number = sqlite3_column_int64(statement, 0);
    else
        ledger_fail(ledger, sql);
    sqlite3_finalize(statement);
    return number;
}

static bool migrate(struct ledger *ledger, int64_t version)
{
    for (; version < SCHEMA_VERSION; version++) {
        char pragma[64];
        snprintf(pragma, sizeof pragma, "PRAGMA user_version = %lld", (long long)version + 1);
        if (!ledger_execute(ledger, "BEGIN IMMEDIATE") ||
            !ledger_execute(ledger, migrations[version]) || !ledger_execute(ledger, pragma) ||
            !ledger_execute(ledger, "COMMIT"))
            return false;
    }
    return true;
}

static bool is_corrupt(const struct ledger *ledger)
{
    int code = sqlite3_errcode(ledger->database) & 0xff;
    return code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
}

/* The check failed because of the disk, memory or another process; the ledger may be sound. SQLite
 * tells by its result code or, where a page could not be read, in its message ("… error code 266").
 */
static bool is_out_of_reach(const struct ledger *ledger)
{
    if (strstr(ledger->problem, "failed to get page")) /* of the list of free ones */
        return true;
    const char *words = strstr(ledger->problem, "error code");
    int code = words ? (int)strtol(words + strcspn(words, "0123456789"), NULL, 10)
                     : sqlite3_errcode(ledger->database);
    code &= 0xff;
    return code != SQLITE_OK && code != SQLITE_ROW && code != SQLITE_DONE &&
           code != SQLITE_CORRUPT && code != SQLITE_NOTADB;
}

/* A full check reads everything; for a large ledger only what a start depends on is read. */
static bool passes_check(struct ledger *ledger, int64_t size)
{
    sqlite3_stmt *statement = NULL;
    const char *sql = size < 64 * 1024 * 1024 ? "PRAGMA quick_check(1)"
                                              : "SELECT 'ok' FROM sqlite_master LIMIT 1";
    bool sound = sqlite3_prepare_v2(ledger->database, sql, -1, &statement, NULL) == SQLITE_OK &&
                 sqlite3_step(statement) == SQLITE_ROW &&
                 strcmp((const char *)sqlite3_column_text(statement, 0), "ok") == 0;
    if (!sound && statement && sqlite3_errcode(ledger->database) == SQLITE_ROW)
        snprintf(ledger->problem, sizeof ledger->problem, "%s", sqlite3_column_text(statement, 0));
    else if (!sound)
        ledger_fail(ledger, "check");
    sqlite3_finalize(statement);
    return sound;
}

static bool reads(enum ledger_mode mode)
{
    return mode == LEDGER_READ || mode == LEDGER_READ_SHARED;
}

static enum ledger_status check_platform(struct ledger *ledger, const char *url,
                                         enum ledger_mode mode)
{
    char *stored = url ? ledger_get_meta(ledger, "platform_url") : NULL;
    enum ledger_status status = LEDGER_OPENED;
    if (stored && strcmp(stored, url) != 0) {
        snprintf(ledger->problem, sizeof ledger->problem,
                 "the ledger %s belongs to the platform %s; use another --state-dir for %s",
                 sqlite3_db_filename(ledger->database, "main"), stored, url);
        status = LEDGER_OTHER_PLATFORM;
    } else if (url && !stored && !reads(mode) && !ledger_set_meta(ledger, "platform_url", url)) {
        status = LEDGER_FAILED;
    }
    free(stored);
    return status;
}

/* Runs `PRAGMA journal_mode = …`, and checks that the database can be read and written that way. */
static bool set_journal(struct ledger *ledger, const char *pragma, const char *expected)
{
    sqlite3_stmt *statement = NULL;
    bool set = sqlite3_prepare_v2(ledger->database, pragma, -1, &statement, NULL) == SQLITE_OK &&
               sqlite3_step(statement) == SQLITE_ROW &&
               strcmp((const char *)sqlite3_column_text(statement, 0), expected) == 0;
    if (!set)
        ledger_fail(ledger, pragma);
    sqlite3_finalize(statement);
    return set && ledger_execute(ledger, "BEGIN IMMEDIATE") && ledger_execute(ledger, "COMMIT");
}

/* What a file system without shared memory maps (9p, virtiofs, exFAT, …) answers when the index of
 * the log is to be made. */
static bool lacks_shared_memory(const struct ledger *ledger)
{
    switch (sqlite3_extended_errcode(ledger->database)) {
    case SQLITE_IOERR_SHMOPEN:
    case SQLITE_IOERR_SHMSIZE:
    case SQLITE_IOERR_SHMLOCK:
    case SQLITE_IOERR_SHMMAP:
    case SQLITE_PROTOCOL:
    case SQLITE_CANTOPEN:
    case SQLITE_OK:
    case SQLITE_ROW: /* another mode than we asked for */ return true;
    default: return false;
    }
}

/* Without shared memory a log can be read by one process alone, which then removes it. */
static bool leave_log(struct ledger *ledger, const char *path)
{
    sqlite3_close(ledger->database);
    ledger->database = NULL;
    if (sqlite3_open_v2(path, &ledger->database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK)
        return ledger_fail(ledger, "open");
    sqlite3_busy_timeout(ledger->database, BUSY_TIMEOUT_MS);
    ledger->plain = true;
    return ledger_execute(ledger, "PRAGMA locking_mode = EXCLUSIVE") &&
           set_journal(ledger, "PRAGMA journal_mode = TRUNCATE", "truncate") &&
           ledger_execute(ledger, "PRAGMA locking_mode = NORMAL") &&
           read_number(ledger, "SELECT count(*) FROM sqlite_master") >= 0;
}

static bool choose_journal(struct ledger *ledger, const char *path)
{
    return set_journal(ledger, "PRAGMA journal_mode = WAL", "wal") ||
           (lacks_shared_memory(ledger) && leave_log(ledger, path));
}

static enum ledger_status prepare_database(struct ledger *ledger, const char *path, const char *url,
                                           enum ledger_mode mode, int64_t size)
{
    if (!reads(mode) &&
        (!choose_journal(ledger, path) || !ledger_execute(ledger, "PRAGMA synchronous = NORMAL") ||
         !ledger_execute(ledger, "PRAGMA wal_autocheckpoint = 0") ||
         !ledger_execute(ledger, "PRAGMA cache_size = -512") ||
         !ledger_execute(ledger, "PRAGMA temp_store = MEMORY") ||
         /* overwrites deleted content, but writes no page for that alone (Debian: ON) */
         !ledger_execute(ledger, "PRAGMA secure_delete = FAST")))
        return is_corrupt(ledger) ? LEDGER_DAMAGED : LEDGER_FAILED;
    if (size > 0 && mode != LEDGER_WRITE_AGAIN && !passes_check(ledger, size))
        return is_out_of_reach(ledger) ? LEDGER_FAILED : LEDGER_DAMAGED;
    int64_t version = read_number(ledger, "PRAGMA user_version");
    if (version < 0)
        return is_corrupt(ledger) ? LEDGER_DAMAGED : LEDGER_FAILED;
    if (version > SCHEMA_VERSION) {
        snprintf(ledger->problem, sizeof ledger->problem,
                 "the ledger has schema %lld, made by a newer molecule; this one knows %d",
                 (long long)version, SCHEMA_VERSION);
        return LEDGER_NEWER;
    }
    if (!reads(mode) && !migrate(ledger, version))
        return LEDGER_FAILED;
    return check_platform(ledger, url, mode);
}

/* It has no log now, so that no process has it open: SQLite may read it as it lies there. Otherwise
 * even a reader makes a log and its index, and leaves them. */
static bool is_at_rest(const char *path)
{
    unsigned char head[20] = {0};
    struct stat status;
    char *log = memory_format("%s-wal", path);
    bool has_log = lstat(log, &status) == 0;
    free(log);
    int fd = has_log ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool logs = fd >= 0 && pread(fd, head, sizeof head, 0) == sizeof head && head[18] == 2;
    if (fd >= 0)
        close(fd);
    return logs;
}

/* "file:…?immutable=1" */
static char *immutable_uri(const char *path)
{
    struct buffer uri;
    buffer_init(&uri, SIZE_MAX);
    buffer_append_text(&uri, "file:");
    for (; *path; path++)
        if (strchr("?#%", *path))
            buffer_printf(&uri, "%%%02x", (unsigned)*path);
        else
            buffer_append_char(&uri, *path);
    buffer_append_text(&uri, "?immutable=1");
    return buffer_take(&uri);
}

static int open_database(struct ledger *ledger, const char *path, enum ledger_mode mode)
{
    if (!reads(mode))
        return sqlite3_open_v2(path, &ledger->database,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                               NULL);
    bool rests = mode == LEDGER_READ && is_at_rest(path);
    char *uri = rests ? immutable_uri(path) : NULL;
    int result = sqlite3_open_v2(
        rests ? uri : path, &ledger->database,
        SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | (rests ? SQLITE_OPEN_URI : 0), NULL);
    free(uri);
    return result;
}

/* Nobody asks SQLite how much memory it has, and counting takes a mutex for each allocation. */
static void prepare_sqlite(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* refused, where SQLite is in use already */
}

enum ledger_status ledger_open(struct ledger **ledger, const char *path, const char *platform_url,
                               enum ledger_mode mode, char *problem, size_t problem_size)
{
    static pthread_once_t prepared = PTHREAD_ONCE_INIT;
    struct stat status;
    pthread_once(&prepared, prepare_sqlite);
    *ledger = NULL;
    bool exists = lstat(path, &status) == 0;
    if (!exists && mode != LEDGER_WRITE && mode != LEDGER_WRITE_AGAIN) {
        snprintf(problem, problem_size, "there is no ledger %s", path);
        return LEDGER_ABSENT;
    }
    struct ledger *opened = memory_allocate(sizeof *opened);
    enum ledger_status result = LEDGER_FAILED;
    if (!exists) { /* its log and index get the same mode */
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd >= 0)
            close(fd);
    }
    if (exists && !S_ISREG(status.st_mode)) {
        snprintf(opened->problem, sizeof opened->problem,
                 "the ledger %s is not a regular file; symbolic links are not followed", path);
    } else if (open_database(opened, path, mode) == SQLITE_OK) {
        sqlite3_busy_timeout(opened->database, BUSY_TIMEOUT_MS);
        result = prepare_database(opened, path, platform_url, mode, exists ? status.st_size : 0);
        /* after PRAGMA wal_autocheckpoint, which removes the hook */
        sqlite3_wal_hook(opened->database, log_hook, opened);
    } else {
        snprintf(opened->problem, sizeof opened->problem, "cannot open the ledger %s: %s", path,
                 opened->database ? sqlite3_errmsg(opened->database) : "no memory");
    }
    if (result == LEDGER_OPENED) {
        *ledger = opened;
        return result;
    }
    snprintf(problem, problem_size, "%s", opened->problem);
    ledger_close(opened);
    return result;
}

void ledger_close(struct ledger *ledger)
{
    if (!ledger)
        return;
    for (size_t i = 0; i < STATEMENT_COUNT_OF_ALL; i++)
        sqlite3_finalize(ledger->statements[i]);
    sqlite3_close(ledger->database);
    free(ledger);
}

bool ledger_set_aside(const char *path, char *problem, size_t problem_size)
{
    static const char *const endings[] = {"", "-wal", "-shm"};
    char when[CLOCK_TEXT_SIZE];
    clock_format(clock_wall_ms(), when);
    bool moved = true;
    for (size_t i = 0; moved && i < sizeof endings / sizeof *endings; i++) {
        char *from = memory_format("%s%s", path, endings[i]),
             *to = memory_format("%s.damaged-%s%s", path, when, endings[i]);
        moved = rename(from, to) == 0 || errno == ENOENT;
        if (!moved)
            snprintf(problem, problem_size, "cannot move %s to %s: %s", from, to, strerror(errno));
        free(from);
        free(to);
    }
    return moved;
}
