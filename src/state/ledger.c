#include "state/ledger.h"

#include "base/clock.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEMA_VERSION 1
#define ANCHOR_AGE_MS 10000
#define BUSY_TIMEOUT_MS 2000 /* a reader or the checkpoint holds it for moments only */

/* The columns of struct ledger_message, in the order that read_message expects. */
#define COLUMNS                                                                                                      \
    "row_id, state, row, attempts, failures, first_seen, updated, due, passed, dead_after_reply, to_canvas, target," \
    " reply_id, body, outcome, reason, traceback, source, created_at, hold"

/* X(enumerator, SQL): prepared at first use */
#define STATEMENTS(X)                                                                                                \
    X(STATE_OF, "SELECT state FROM messages WHERE row_id = ?1")                                                      \
    X(START, "INSERT INTO messages (row_id, state, row, attempts, failures, first_seen, updated, source, created_at," \
             " created) VALUES (?1, 1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8)"                                               \
             " ON CONFLICT (row_id) DO UPDATE SET state = 1, attempts = ?3, failures = ?4, updated = ?5")            \
    X(REPLY, "INSERT INTO messages (row_id, state, row, attempts, failures, first_seen, updated, source, created_at," \
             " created, to_canvas, target, reply_id, body, dead_after_reply, reason, traceback, digest)"              \
             " VALUES (?1, 2, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?17)"                 \
             " ON CONFLICT (row_id) DO UPDATE SET state = 2, attempts = ?3, failures = ?4, updated = ?5,"            \
             " to_canvas = ?9, target = ?10, reply_id = ?11, body = ?12, dead_after_reply = ?13, reason = ?14,"      \
             " traceback = ?15, digest = ?17")                                                                        \
    X(FINISH, "INSERT INTO messages (row_id, state, outcome, first_seen, updated) VALUES (?1, 3, ?2, ?3, ?3)"         \
              " ON CONFLICT (row_id) DO UPDATE SET state = CASE dead_after_reply WHEN 1 THEN 5 ELSE 3 END,"          \
              " outcome = CASE dead_after_reply WHEN 1 THEN 'dead' ELSE ?2 END, updated = ?3, body = NULL,"          \
              " row = CASE dead_after_reply WHEN 1 THEN row ELSE NULL END")                                          \
    X(KEEP, "INSERT INTO messages (row_id, state, row, attempts, failures, first_seen, updated, source, created_at,"  \
            " created, due, passed, reason, hold) VALUES (?1, 4, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?16, 1, ?14, ?18)"   \
            " ON CONFLICT (row_id) DO UPDATE SET state = CASE WHEN state = 2 THEN 2 ELSE 4 END, attempts = ?3,"      \
            " failures = ?4, updated = ?5, due = ?16, passed = 1, reason = ?14, hold = ?18"                          \
            " WHERE state IN (1, 2, 4)")                                                                             \
    X(DIE, "INSERT INTO messages (row_id, state, row, attempts, failures, first_seen, updated, source, created_at,"   \
           " created, outcome, reason, traceback) VALUES (?1, 5, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, 'dead', ?14, ?15)"   \
           " ON CONFLICT (row_id) DO UPDATE SET state = 5, attempts = ?3, failures = ?4, updated = ?5,"              \
           " outcome = 'dead', reason = ?14, traceback = ?15")                                                       \
    X(UNCOUNT, "UPDATE messages SET state = 4, attempts = max(attempts - 1, 0) WHERE row_id = ?1 AND state = 1")     \
    X(WAIT, "UPDATE messages SET state = 4, attempts = ?2, failures = ?3, updated = ?4 WHERE row_id = ?1 AND state = 1") \
    X(LEAVE, "UPDATE messages SET state = 6, outcome = 'elsewhere', updated = ?1"                                    \
             " WHERE state IN (1, 2, 4) AND passed = 0")                                                             \
    X(TAKE_BACK, "UPDATE messages SET state = CASE WHEN body IS NOT NULL THEN 2 WHEN attempts > failures THEN 1"     \
                 " ELSE 4 END, outcome = NULL WHERE row_id = ?1 AND state = 6")                                      \
    X(EACH_OPEN, "SELECT " COLUMNS " FROM messages WHERE state IN (1, 2, 4) ORDER BY sequence")                      \
    X(EACH_DEAD, "SELECT " COLUMNS " FROM messages WHERE state = 5 ORDER BY sequence")                               \
    X(FIND, "SELECT " COLUMNS " FROM messages WHERE row_id = ?1")                                                    \
    X(RETRY_DEAD, "UPDATE messages SET state = 4, passed = 1, due = ?2, attempts = 0, failures = 0, updated = ?2,"   \
                  " first_seen = ?2, outcome = NULL, dead_after_reply = 0, body = NULL"                              \
                  " WHERE row_id = ?1 AND state = 5")                                                                \
    X(DROP_DEAD, "UPDATE messages SET state = 3, outcome = 'dropped', row = NULL, body = NULL, traceback = NULL"     \
                 " WHERE row_id = ?1 AND state = 5")                                                                 \
    X(GET, "SELECT value FROM meta WHERE key = ?1")                                                                  \
    X(SET, "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2")               \
    X(COUNT, "SELECT state, count(*), min(first_seen) FROM messages GROUP BY state")                                 \
    X(PRUNE, "DELETE FROM messages WHERE sequence IN (SELECT sequence FROM messages WHERE state IN (3, 6)"           \
             " AND created > 0 AND created < ?1 ORDER BY sequence LIMIT ?2)")                                        \
    X(SAME_REPLIES, "SELECT count(*) FROM messages WHERE digest = ?1 AND state IN (3, 5) AND updated >= ?2"          \
                    " AND row_id <> ?3")                                                                             \
    X(OPEN_PASSED, "UPDATE messages SET passed = 1 WHERE state IN (1, 2, 4)")                                        \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                                      \
    X(COMMIT, "COMMIT")                                                                                              \
    X(ROLLBACK, "ROLLBACK")
enum statement {
#define X(name, sql) STATEMENT_##name,
    STATEMENTS(X)
#undef X
    STATEMENT_COUNT_OF_ALL
};

struct ledger {
    sqlite3 *database;
    sqlite3_stmt *statements[STATEMENT_COUNT_OF_ALL];
    int log_pages;
    char problem[512];
};

/* migrations[n] takes a database from version n to n + 1. */
static const char *const migrations[SCHEMA_VERSION] = {
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
    "CREATE TABLE messages ("
    "  sequence INTEGER PRIMARY KEY,"           /* order of first start */
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
    "  digest TEXT,"                            /* of a reply to the canvas */
    "  created INTEGER NOT NULL DEFAULT 0);"    /* created_at in microseconds, 0: unknown */
    "CREATE INDEX messages_open ON messages (state, sequence) WHERE state IN (1, 2, 4, 5);"
    "CREATE INDEX messages_digest ON messages (digest, updated) WHERE digest IS NOT NULL;",
};

const char *ledger_state_text(enum ledger_state state)
{
    switch (state) {
#define X(name, number, text) case name: return text;
        LEDGER_STATES(X)
#undef X
    case LEDGER_UNREADABLE:
    case LEDGER_UNKNOWN:
        break;
    }
    return "unknown";
}

const char *ledger_problem(const struct ledger *ledger)
{
    return ledger->problem;
}

static bool fail(struct ledger *ledger, const char *what)
{
    snprintf(ledger->problem, sizeof ledger->problem, "the ledger %s: %s: %s",
             sqlite3_db_filename(ledger->database, "main"), what, sqlite3_errmsg(ledger->database));
    return false;
}

static sqlite3_stmt *prepare(struct ledger *ledger, enum statement which)
{
    static const char *const texts[] = {
#define X(name, sql) sql,
        STATEMENTS(X)
#undef X
    };
    sqlite3_stmt **statement = &ledger->statements[which];
    if (!*statement && sqlite3_prepare_v3(ledger->database, texts[which], -1, SQLITE_PREPARE_PERSISTENT, statement,
                                          NULL) != SQLITE_OK) {
        fail(ledger, "cannot prepare a statement");
        return NULL;
    }
    return *statement;
}

/* Runs a statement that returns nothing. */
static bool run(struct ledger *ledger, sqlite3_stmt *statement, const char *what)
{
    if (!statement)
        return false;
    int result = sqlite3_step(statement);
    bool done = result == SQLITE_DONE || result == SQLITE_ROW;
    if (!done)
        fail(ledger, what);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return done;
}

static void bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    if (text)
        sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

static void bind_bytes(sqlite3_stmt *statement, int index, const char *bytes, size_t length)
{
    if (bytes)
        sqlite3_bind_blob64(statement, index, bytes, length, SQLITE_STATIC);
}

/* --- opening --- */

static int log_hook(void *context, sqlite3 *database, const char *name, int pages)
{
    (void)database;
    (void)name;
    ((struct ledger *)context)->log_pages = pages;
    return SQLITE_OK;
}

static bool execute(struct ledger *ledger, const char *sql)
{
    return sqlite3_exec(ledger->database, sql, NULL, NULL, NULL) == SQLITE_OK || fail(ledger, sql);
}

static int64_t read_number(struct ledger *ledger, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int64_t number = -1;
    if (sqlite3_prepare_v2(ledger->database, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        number = sqlite3_column_int64(statement, 0);
    else
        fail(ledger, sql);
    sqlite3_finalize(statement);
    return number;
}

static bool migrate(struct ledger *ledger, int64_t version)
{
    for (; version < SCHEMA_VERSION; version++) {
        char pragma[64];
        snprintf(pragma, sizeof pragma, "PRAGMA user_version = %lld", (long long)version + 1);
        if (!execute(ledger, "BEGIN IMMEDIATE") || !execute(ledger, migrations[version]) || !execute(ledger, pragma) ||
            !execute(ledger, "COMMIT"))
            return false;
    }
    return true;
}

static bool is_corrupt(const struct ledger *ledger)
{
    int code = sqlite3_errcode(ledger->database) & 0xff;
    return code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
}

/* The disk, the memory or another process was in the way of the check: what is in the ledger may be sound. It says so by
 * its result or, where a page could not be read, among its words ("… error code 266"). */
static bool is_out_of_reach(const struct ledger *ledger)
{
    const char *words = strstr(ledger->problem, "error code");
    int code = words ? (int)strtol(words + strcspn(words, "0123456789"), NULL, 10) : sqlite3_errcode(ledger->database);
    code &= 0xff;
    return code != SQLITE_OK && code != SQLITE_ROW && code != SQLITE_DONE && code != SQLITE_CORRUPT && code != SQLITE_NOTADB;
}

/* A whole check reads everything; the header, the schema and the open messages are what a start depends on. */
static bool passes_check(struct ledger *ledger, int64_t size)
{
    sqlite3_stmt *statement = NULL;
    const char *sql = size < 64 * 1024 * 1024 ? "PRAGMA quick_check(1)" : "SELECT 'ok' FROM sqlite_master LIMIT 1";
    bool sound = sqlite3_prepare_v2(ledger->database, sql, -1, &statement, NULL) == SQLITE_OK &&
                 sqlite3_step(statement) == SQLITE_ROW &&
                 strcmp((const char *)sqlite3_column_text(statement, 0), "ok") == 0;
    if (!sound && statement && sqlite3_errcode(ledger->database) == SQLITE_ROW)
        snprintf(ledger->problem, sizeof ledger->problem, "%s", sqlite3_column_text(statement, 0));
    else if (!sound)
        fail(ledger, "check");
    sqlite3_finalize(statement);
    return sound;
}

static char *get_meta(struct ledger *ledger, const char *key)
{
    sqlite3_stmt *statement = prepare(ledger, STATEMENT_GET);
    char *value = NULL;
    if (!statement)
        return NULL;
    bind_text(statement, 1, key);
    if (sqlite3_step(statement) == SQLITE_ROW)
        value = memory_copy_text((const char *)sqlite3_column_text(statement, 0));
    sqlite3_reset(statement);
    return value;
}

static bool set_meta(struct ledger *ledger, const char *key, const char *value)
{
    sqlite3_stmt *statement = prepare(ledger, STATEMENT_SET);
    if (statement) {
        bind_text(statement, 1, key);
        bind_text(statement, 2, value);
    }
    return run(ledger, statement, key);
}

static enum ledger_status check_platform(struct ledger *ledger, const char *url, enum ledger_mode mode)
{
    char *stored = url ? get_meta(ledger, "platform_url") : NULL;
    enum ledger_status status = LEDGER_OPENED;
    if (stored && strcmp(stored, url) != 0) {
        snprintf(ledger->problem, sizeof ledger->problem,
                 "the ledger %s belongs to the platform %s; use another --state-dir for %s",
                 sqlite3_db_filename(ledger->database, "main"), stored, url);
        status = LEDGER_OTHER_PLATFORM;
    } else if (url && !stored && mode != LEDGER_READ && !set_meta(ledger, "platform_url", url)) {
        status = LEDGER_FAILED;
    }
    free(stored);
    return status;
}

static enum ledger_status prepare_database(struct ledger *ledger, const char *url, enum ledger_mode mode, int64_t size)
{
    if (mode != LEDGER_READ && (!execute(ledger, "PRAGMA journal_mode = WAL") || !execute(ledger, "PRAGMA synchronous = NORMAL") ||
                                !execute(ledger, "PRAGMA wal_autocheckpoint = 0") ||
                                !execute(ledger, "PRAGMA cache_size = -512") || !execute(ledger, "PRAGMA temp_store = MEMORY")))
        return is_corrupt(ledger) ? LEDGER_DAMAGED : LEDGER_FAILED;
    if (size > 0 && !passes_check(ledger, size))
        return is_out_of_reach(ledger) ? LEDGER_FAILED : LEDGER_DAMAGED;
    int64_t version = read_number(ledger, "PRAGMA user_version");
    if (version < 0)
        return is_corrupt(ledger) ? LEDGER_DAMAGED : LEDGER_FAILED;
    if (version > SCHEMA_VERSION) {
        snprintf(ledger->problem, sizeof ledger->problem,
                 "the ledger has schema %lld, made by a newer molecule; this one knows %d", (long long)version, SCHEMA_VERSION);
        return LEDGER_NEWER;
    }
    if (mode != LEDGER_READ && !migrate(ledger, version))
        return LEDGER_FAILED;
    return check_platform(ledger, url, mode);
}

enum ledger_status ledger_open(struct ledger **ledger, const char *path, const char *platform_url, enum ledger_mode mode,
                               char *problem, size_t problem_size)
{
    struct stat status;
    *ledger = NULL;
    bool exists = stat(path, &status) == 0;
    if (!exists && mode != LEDGER_WRITE) {
        snprintf(problem, problem_size, "there is no ledger %s", path);
        return LEDGER_ABSENT;
    }
    struct ledger *opened = memory_allocate(sizeof *opened);
    int flags = mode == LEDGER_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    enum ledger_status result = LEDGER_FAILED;
    if (!exists) { /* its log and index get the same mode */
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0)
            close(fd);
    }
    if (sqlite3_open_v2(path, &opened->database, flags | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK) {
        sqlite3_busy_timeout(opened->database, BUSY_TIMEOUT_MS);
        sqlite3_wal_hook(opened->database, log_hook, opened);
        result = prepare_database(opened, platform_url, mode, exists ? status.st_size : 0);
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
        char *from = memory_format("%s%s", path, endings[i]), *to = memory_format("%s.damaged-%s%s", path, when, endings[i]);
        moved = rename(from, to) == 0 || errno == ENOENT;
        if (!moved)
            snprintf(problem, problem_size, "cannot move %s to %s: %s", from, to, strerror(errno));
        free(from);
        free(to);
    }
    return moved;
}

/* --- transactions --- */

bool ledger_begin(struct ledger *ledger)
{
    return run(ledger, prepare(ledger, STATEMENT_BEGIN), "begin");
}

bool ledger_commit(struct ledger *ledger)
{
    return run(ledger, prepare(ledger, STATEMENT_COMMIT), "commit");
}

/* synchronous cannot change inside a transaction, so the commit that must reach the platter is an empty one behind it:
 * with FULL, every WAL commit syncs the whole log so far. */
bool ledger_commit_durably(struct ledger *ledger)
{
    if (!ledger_commit(ledger))
        return false;
    bool synced = execute(ledger, "PRAGMA synchronous = FULL") && ledger_begin(ledger) &&
                  set_meta(ledger, "synced", sqlite3_libversion()) && ledger_commit(ledger);
    if (!synced)
        ledger_rollback(ledger);
    return execute(ledger, "PRAGMA synchronous = NORMAL") && synced;
}

void ledger_rollback(struct ledger *ledger)
{
    if (!sqlite3_get_autocommit(ledger->database)) {
        sqlite3_stmt *statement = prepare(ledger, STATEMENT_ROLLBACK);
        if (statement) {
            sqlite3_step(statement);
            sqlite3_reset(statement);
        }
    }
}

void ledger_checkpoint(const char *path)
{
    sqlite3 *database = NULL;
    if (sqlite3_open_v2(path, &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK)
        sqlite3_wal_checkpoint_v2(database, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    sqlite3_close(database);
}

int ledger_log_pages(const struct ledger *ledger)
{
    return ledger->log_pages;
}

/* --- messages --- */

enum ledger_state ledger_state_of(struct ledger *ledger, const char *row_id)
{
    sqlite3_stmt *statement = prepare(ledger, STATEMENT_STATE_OF);
    if (!statement)
        return LEDGER_UNREADABLE;
    bind_text(statement, 1, row_id);
    int result = sqlite3_step(statement);
    enum ledger_state state = LEDGER_UNKNOWN;
    if (result == SQLITE_ROW)
        state = (enum ledger_state)sqlite3_column_int(statement, 0);
    else if (result != SQLITE_DONE)
        state = LEDGER_UNREADABLE;
    if (state == LEDGER_UNREADABLE)
        fail(ledger, "look up a message");
    sqlite3_reset(statement);
    return state;
}

static void bind_common(sqlite3_stmt *statement, const struct ledger_message *message)
{
    int64_t created = 0;
    if (message->created_at)
        clock_parse(message->created_at, &created);
    bind_text(statement, 1, message->row_id);
    bind_bytes(statement, 2, message->row, message->row_length);
    sqlite3_bind_int64(statement, 3, message->attempts);
    sqlite3_bind_int64(statement, 4, message->failures);
    sqlite3_bind_int64(statement, 5, clock_wall_ms());
    bind_text(statement, 6, message->source);
    bind_text(statement, 7, message->created_at);
    sqlite3_bind_int64(statement, 8, created);
}

bool ledger_start(struct ledger *ledger, const struct ledger_message *message)
{
    sqlite3_stmt *statement = prepare(ledger, STATEMENT_START);
    if (statement)
        bind_common(statement, message);
    return run(ledger, statement, "record an attempt");
}

bool ledger_reply(struct ledger *ledger, const struct ledger_message *message)
{
    sqlite3_stmt *statement = prepare(ledger, STATEMENT_REPLY);
    if (statement) {
        bind_common(statement, message);
        sqlite3_bind_int(statement, 9, message->to_canvas);
        bind_text(statement, 10, message->target);
        bind_text(statement, 11, message->reply_id);
        bind_bytes(statement, 12, message->body, message->body_length);
        sqlite3_bind_int(statement, 13, message->dead_after_reply);
        bind_text(statement, 14, message->reason);
        bind_text(statement, 15, message->traceback);
        bind_text(statement, 17, message->digest);
    }
    return run(ledger, statement, "record a reply");
}

bool ledger_finish(struct ledger *ledger, const char *row_id, const char *outcome)
{
    sqlite3_stmt *statement = prepare(ledger, STATEMENT_FINISH);
    if (statement) {
        bind_text(statement, 1, row_id);
        bind_text(statement, 2, outcome);
        sqlite3_bind_int64(statement, 3, clock_wall_ms());
    }
    return run(ledger, statement, "record an outcome");
}

bool ledger_keep(struct ledger *ledger, const struct ledger_message *message)
{
    sqlite3_stmt *statement = prepare(ledger, STATEMENT_KEEP);
    if (statement) {
        bind_common(statement, message);
        bind_text(statement, 14, message->reason);
        sqlite3_bind_int64(statement, 16, message->due_ms);
        sqlite3_bind_int(statement, 18, message->hold);
    }
    return run(ledger, statement, "keep a message");
}

bool ledger_wait(struct ledger *ledger, const struct ledger_message *message)
{
    sqlite3_stmt *statement = prepare(ledger, STATEMENT_WAIT);
    if (statement) {
        bind_text(statement, 1, message->row_id);
        sqlite3_bind_int64(statement, 2, message->attempts);
        sqlite3_bind_int64(statement, 3, message->failures);
        sqlite3_bind_int64(statement, 4, clock_wall_ms());
    }
    return run(ledger, statement, "record a wait");
}

bool ledger_die(struct ledger *ledger, const struct ledger_message *message)
{
    sqlite3_stmt *statement = prepare(ledger, STATEMENT_DIE);
    if (statement) {
        bind_common(statement, message);
        bind_text(statement, 14, message->reason);
        bind_text(statement, 15, message->traceback);
    }
    return run(ledger, statement, "record a dead letter");
}

static bool run_for(struct ledger *ledger, enum statement which, const char *row_id, const char *what)
{
    sqlite3_stmt *statement = prepare(ledger, which);
    if (statement)
        bind_text(statement, 1, row_id);
    return run(ledger, statement, what);
}

bool ledger_uncount(struct ledger *ledger, const char *row_id)
{
    return run_for(ledger, STATEMENT_UNCOUNT, row_id, "take an attempt back");
}

bool ledger_leave_to_others(struct ledger *ledger)
{
    sqlite3_stmt *statement = prepare(ledger, STATEMENT_LEAVE);
    if (statement)
        sqlite3_bind_int64(statement, 1, clock_wall_ms());
    return run(ledger, statement, "leave messages to another client");
}

bool ledger_take_back(struct ledger *ledger, const char *row_id)
{
    return run_for(ledger, STATEMENT_TAKE_BACK, row_id, "take a message back");
}

static const char *column_text(sqlite3_stmt *statement, int column)
{
    return (const char *)sqlite3_column_text(statement, column);
}

static struct ledger_message read_message(sqlite3_stmt *statement)
{
    return (struct ledger_message){
        .row_id = column_text(statement, 0),
        .state = (enum ledger_state)sqlite3_column_int(statement, 1),
        .row = sqlite3_column_blob(statement, 2),
        .row_length = (size_t)sqlite3_column_bytes(statement, 2),
        .attempts = (unsigned)sqlite3_column_int(statement, 3),
        .failures = (unsigned)sqlite3_column_int(statement, 4),
        .first_seen_ms = sqlite3_column_int64(statement, 5),
        .updated_ms = sqlite3_column_int64(statement, 6),
        .due_ms = sqlite3_column_int64(statement, 7),
        .passed = sqlite3_column_int(statement, 8) != 0,
        .dead_after_reply = sqlite3_column_int(statement, 9) != 0,
        .to_canvas = sqlite3_column_int(statement, 10) != 0,
        .target = column_text(statement, 11),
        .reply_id = column_text(statement, 12),
        .body = sqlite3_column_blob(statement, 13),
        .body_length = (size_t)sqlite3_column_bytes(statement, 13),
        .outcome = column_text(statement, 14),
        .reason = column_text(statement, 15),
        .traceback = column_text(statement, 16),
        .source = column_text(statement, 17),
        .created_at = column_text(statement, 18),
        .hold = sqlite3_column_int(statement, 19) != 0,
    };
}

typedef bool visitor(const struct ledger_message *message, void *context);

static bool visit(struct ledger *ledger, sqlite3_stmt *statement, visitor *each, void *context, size_t *seen)
{
    if (!statement)
        return false;
    int result;
    for (*seen = 0; (result = sqlite3_step(statement)) == SQLITE_ROW; ++*seen) {
        struct ledger_message message = read_message(statement);
        if (!each(&message, context)) {
            result = SQLITE_DONE;
            ++*seen;
            break;
        }
    }
    if (result != SQLITE_DONE)
        fail(ledger, "read messages");
    sqlite3_reset(statement);
    return result == SQLITE_DONE;
}

bool ledger_each_open(struct ledger *ledger, visitor *each, void *context)
{
    size_t seen;
    return visit(ledger, prepare(ledger, STATEMENT_EACH_OPEN), each, context, &seen);
}

bool ledger_each_dead(struct ledger *ledger, visitor *each, void *context)
{
    size_t seen;
    return visit(ledger, prepare(ledger, STATEMENT_EACH_DEAD), each, context, &seen);
}

bool ledger_find(struct ledger *ledger, const char *row_id, visitor *each, void *context)
{
    size_t seen = 0;
    sqlite3_stmt *statement = prepare(ledger, STATEMENT_FIND);
    if (statement)
        bind_text(statement, 1, row_id);
    return visit(ledger, statement, each, context, &seen) && seen > 0;
}

bool ledger_retry_dead(struct ledger *ledger, const char *row_id, int64_t now_ms, bool *found)
{
    sqlite3_stmt *statement = prepare(ledger, STATEMENT_RETRY_DEAD);
    if (statement) {
        bind_text(statement, 1, row_id);
        sqlite3_bind_int64(statement, 2, now_ms);
    }
    bool done = run(ledger, statement, "retry a dead letter");
    *found = done && sqlite3_changes(ledger->database) > 0;
    return done;
}

bool ledger_drop_dead(struct ledger *ledger, const char *row_id, bool *found)
{
    bool done = run_for(ledger, STATEMENT_DROP_DEAD, row_id, "drop a dead letter");
    *found = done && sqlite3_changes(ledger->database) > 0;
    return done;
}

int64_t ledger_count_same(struct ledger *ledger, const char *digest, int64_t since_ms, const char *but_row_id)
{
    sqlite3_stmt *statement = prepare(ledger, STATEMENT_SAME_REPLIES);
    if (!statement)
        return -1;
    bind_text(statement, 1, digest);
    sqlite3_bind_int64(statement, 2, since_ms);
    bind_text(statement, 3, but_row_id);
    int64_t count = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
    if (count < 0)
        fail(ledger, "count replies");
    sqlite3_reset(statement);
    return count;
}

bool ledger_pass_open(struct ledger *ledger)
{
    return run(ledger, prepare(ledger, STATEMENT_OPEN_PASSED), "keep what is open");
}

/* --- the cursor's copy, counts, pruning --- */

char *ledger_cursor(struct ledger *ledger)
{
    return get_meta(ledger, "cursor");
}

char *ledger_cursor_before(struct ledger *ledger)
{
    return get_meta(ledger, "cursor_before");
}

char *ledger_anchor(struct ledger *ledger)
{
    return get_meta(ledger, "anchor");
}

/* Two cursors behind each other, ANCHOR_AGE_MS apart: the older one is the anchor. */
static bool set_anchor(struct ledger *ledger, const char *row_id)
{
    char now[32];
    char *next = get_meta(ledger, "anchor_next"), *at = get_meta(ledger, "anchor_next_ms");
    int64_t age_ms = at ? clock_wall_ms() - strtoll(at, NULL, 10) : ANCHOR_AGE_MS;
    bool set = true;
    if (age_ms >= ANCHOR_AGE_MS || age_ms < 0) { /* the wall clock may have been set back */
        snprintf(now, sizeof now, "%lld", (long long)clock_wall_ms());
        set = (!next || set_meta(ledger, "anchor", next)) && set_meta(ledger, "anchor_next", row_id) &&
              set_meta(ledger, "anchor_next_ms", now);
    }
    free(next);
    free(at);
    return set;
}

int64_t ledger_last_poll(struct ledger *ledger)
{
    char *text = get_meta(ledger, "last_poll_ms");
    int64_t number = text ? strtoll(text, NULL, 10) : 0;
    free(text);
    return number;
}

bool ledger_set_cursor(struct ledger *ledger, const char *row_id, const char *created_at, int64_t last_poll_ms)
{
    char number[32];
    snprintf(number, sizeof number, "%lld", (long long)last_poll_ms);
    char *before = get_meta(ledger, "cursor");
    bool moved = row_id && (!before || strcmp(before, row_id) != 0);
    bool set = !moved || ((!before || set_meta(ledger, "cursor_before", before)) && set_meta(ledger, "cursor", row_id) &&
                           set_anchor(ledger, row_id));
    free(before);
    return set && (!created_at || set_meta(ledger, "cursor_created_at", created_at)) && set_meta(ledger, "last_poll_ms", number);
}

bool ledger_count(struct ledger *ledger, struct ledger_counts *counts)
{
    *counts = (struct ledger_counts){0};
    sqlite3_stmt *statement = prepare(ledger, STATEMENT_COUNT);
    if (!statement)
        return false;
    int result;
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        int state = sqlite3_column_int(statement, 0);
        int64_t oldest = sqlite3_column_int64(statement, 2);
        if (state <= 0 || state > LEDGER_ELSEWHERE)
            continue;
        counts->by_state[state] = sqlite3_column_int64(statement, 1);
        bool open = state == LEDGER_RUNNING || state == LEDGER_REPLIED || state == LEDGER_KEPT;
        if (open && (counts->oldest_pending_ms == 0 || oldest < counts->oldest_pending_ms))
            counts->oldest_pending_ms = oldest;
    }
    if (result != SQLITE_DONE)
        fail(ledger, "count messages");
    sqlite3_reset(statement);
    return result == SQLITE_DONE;
}

bool ledger_prune(struct ledger *ledger, int64_t keep_seconds, int most)
{
    char *stamp = get_meta(ledger, "cursor_created_at");
    int64_t cursor_us = 0;
    bool known = stamp && clock_parse(stamp, &cursor_us);
    free(stamp);
    if (!known)
        return true;
    sqlite3_stmt *statement = prepare(ledger, STATEMENT_PRUNE);
    if (statement) {
        sqlite3_bind_int64(statement, 1, cursor_us - keep_seconds * 1000000);
        sqlite3_bind_int(statement, 2, most);
    }
    return run(ledger, statement, "prune");
}
