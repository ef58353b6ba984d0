/* What the files of the ledger share: its statements and the few steps that every one of them
 * takes. Only they include this, and with it sqlite3.h. */
#ifndef MOLECULE_STATE_LEDGER_SQL_H
#define MOLECULE_STATE_LEDGER_SQL_H

#include "state/ledger.h"

#include <sqlite3.h>

/* The columns of struct ledger_message, in the order that read_message expects; after them the age
 * and the retries, which a ledger from an older version does not have. */
#define COLUMNS                                                                                    \
    "row_id, state, row, attempts, failures, first_seen, updated, due, passed, dead_after_reply, " \
    "to_canvas, target,"                                                                           \
    " reply_id, body, outcome, reason, traceback, source, created_at, hold"

/* Those that have no answer; of which messages follows. */
#define CANCEL_QUESTIONS                                                                          \
    "DELETE FROM steps WHERE kind IN ('ask', 'posted') AND NOT EXISTS (SELECT 1 FROM steps AS "   \
    "answer WHERE answer.row_id = steps.row_id AND answer.key = CASE steps.kind WHEN 'ask' THEN " \
    "steps.key ELSE substr(steps.key, 1, length(steps.key) - 7) END || '/answer') AND row_id "

/* X(enumerator, SQL): prepared at first use */
#define STATEMENTS(X)                                                                              \
    X(STATE_OF, "SELECT state FROM messages WHERE row_id = ?1 UNION ALL SELECT 3 FROM finished "   \
                "WHERE row_id = ?1")                                                               \
    X(REPLY, "INSERT OR IGNORE INTO messages (row_id, state, row, attempts, failures, "            \
             "first_seen, updated, source,"                                                        \
             " created_at, created, to_canvas, target, reply_id, body, dead_after_reply, reason, " \
             "traceback, digest,"                                                                  \
             " age) VALUES (?1, 2, ?2, ?3, ?4, ?19, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, " \
             "?15, ?17, ?20)")                                                                     \
    X(REPLY_AGAIN,                                                                                 \
      "UPDATE messages SET state = 2, attempts = ?3, failures = ?4, updated = ?5, to_canvas = ?9," \
      " target = ?10, reply_id = ?11, body = ?12, dead_after_reply = ?13, reason = ?14,"           \
      " traceback = ?15, digest = ?17, age = ?20 WHERE row_id = ?1")                               \
    X(FINISH, "DELETE FROM messages WHERE row_id = ?1 AND dead_after_reply = 0")                   \
    X(FINISH_DEAD, "UPDATE messages SET state = 5, outcome = 'dead', updated = ?2, body = NULL"    \
                   " WHERE row_id = ?1 AND dead_after_reply = 1")                                  \
    X(FINISHED,                                                                                    \
      "INSERT OR IGNORE INTO finished (row_id, outcome, source, created, updated, digest)"         \
      " VALUES (?1, ?2, ?3, CASE WHEN ?4 > 0 THEN ?4 ELSE coalesce((SELECT created FROM finished"  \
      " ORDER BY sequence DESC LIMIT 1), 0) END, ?5, ?6)") /* without a stamp it is as old as the  \
                                                              last */                              \
    X(KEEP, "INSERT OR IGNORE INTO messages (row_id, state, row, attempts, failures, first_seen, " \
            "updated, source,"                                                                     \
            " created_at, created, due, passed, reason, hold, age, retries)"                       \
            " SELECT ?1, 4, ?2, ?3, ?4, ?19, ?5, ?6, ?7, ?8, ?16, 1, ?14, ?18, ?20, ?21"           \
            " WHERE NOT EXISTS (SELECT 1 FROM finished WHERE row_id = ?1)")                        \
    X(KEEP_AGAIN, "UPDATE messages SET state = CASE WHEN state = 2 THEN 2 ELSE 4 END, attempts = " \
                  "?3, failures = ?4,"                                                             \
                  " updated = ?5, due = ?16, passed = 1, hold = ?18, age = ?20, retries = ?21,"    \
                  " reason = CASE WHEN dead_after_reply = 1 THEN reason ELSE ?14 END"              \
                  " WHERE row_id = ?1 AND state IN (2, 4)")                                        \
    X(WAIT, "INSERT OR IGNORE INTO messages (row_id, state, row, attempts, failures, first_seen, " \
            "updated, source,"                                                                     \
            " created_at, created, age, retries) VALUES (?1, 4, ?2, ?3, ?4, ?19, ?5, ?6, "         \
            "?7, ?8, ?20, ?21)")                                                                   \
    X(WAIT_AGAIN,                                                                                  \
      "UPDATE messages SET state = 4, attempts = ?3, failures = ?4, updated = ?5, age = ?20,"      \
      " retries = ?21"                                                                             \
      " WHERE row_id = ?1 AND state IN (2, 4)")                                                    \
    X(DIE, "INSERT OR IGNORE INTO messages (row_id, state, row, attempts, failures, first_seen, "  \
           "updated, source,"                                                                      \
           " created_at, created, outcome, reason, traceback)"                                     \
           " VALUES (?1, 5, ?2, ?3, ?4, ?19, ?5, ?6, ?7, ?8, 'dead', ?14, ?15)")                   \
    X(DIE_AGAIN, "UPDATE messages SET state = 5, attempts = ?3, failures = ?4, updated = ?5, "     \
                 "outcome = 'dead',"                                                               \
                 " reason = ?14, traceback = ?15 WHERE row_id = ?1")                               \
    X(LEAVE, "UPDATE messages SET state = 6, outcome = 'elsewhere', updated = ?1"                  \
             " WHERE state IN (2, 4) AND passed = 0")                                              \
    X(TAKE_BACK,                                                                                   \
      "UPDATE messages SET state = CASE WHEN body IS NOT NULL THEN 2 ELSE 4 END, outcome = NULL"   \
      " WHERE row_id = ?1 AND state = 6")                                                          \
    X(EACH_OPEN,                                                                                   \
      "SELECT " COLUMNS ", age, retries FROM messages WHERE state IN (2, 4) ORDER BY sequence")    \
    X(EACH_DEAD, "SELECT " COLUMNS ", 0, 0 FROM messages WHERE state = 5 ORDER BY sequence")       \
    X(FIND, "SELECT " COLUMNS ", 0, max(attempts - failures, 0) FROM messages WHERE row_id = ?1")  \
    X(FIND_FINISHED, "SELECT outcome, source, updated FROM finished WHERE row_id = ?1")            \
    X(RETRY_DEAD, "UPDATE messages SET state = 4, passed = 1, due = ?2, attempts = 0, failures = " \
                  "0, retries = 0, updated = ?2,"                                                  \
                  " first_seen = ?2, age = 0, outcome = NULL, dead_after_reply = 0, body = NULL"   \
                  " WHERE row_id = ?1 AND state = 5")                                              \
    X(DROP_DEAD, "DELETE FROM messages WHERE row_id = ?1 AND state = 5")                           \
    X(GET, "SELECT value FROM meta WHERE key = ?1")                                                \
    X(SET,                                                                                         \
      "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2")  \
    X(COUNT, "SELECT state, count(*), min(first_seen) FROM messages GROUP BY state"                \
             " UNION ALL SELECT 3, count(*), 0 FROM finished")                                     \
    X(PRUNE, "DELETE FROM finished WHERE sequence IN (SELECT sequence FROM (SELECT sequence, "     \
             "created FROM finished"                                                               \
             " ORDER BY sequence LIMIT ?2) WHERE created > 0 AND created < ?1)")                   \
    X(PRUNE_RUNS,                                                                                  \
      "DELETE FROM finished WHERE sequence IN (SELECT sequence FROM (SELECT sequence, "            \
      "source, updated FROM finished ORDER BY sequence LIMIT ?2)"                                  \
      " WHERE substr(source, 1, 5) = 'cron/' AND updated < ?1)")                                   \
    X(PRUNE_ELSEWHERE, "DELETE FROM messages WHERE state = 6 AND created > 0 AND created < ?1")    \
    X(SAME_REPLIES,                                                                                \
      "SELECT (SELECT count(*) FROM finished WHERE digest = ?1 AND updated >= ?2 AND row_id <> "   \
      "?3)"                                                                                        \
      " + (SELECT count(*) FROM messages WHERE digest = ?1 AND state = 5 AND updated >= ?2"        \
      " AND row_id <> ?3)"                                                                         \
      " + (SELECT count(*) FROM answers WHERE answer = ?1)")                                       \
    X(OPEN_PASSED, "UPDATE messages SET passed = 1 WHERE state IN (2, 4)")                         \
    X(STORE_GET,                                                                                   \
      "SELECT value, expires FROM store WHERE key = ?1 AND (expires = 0 OR expires > ?2)")         \
    X(STORE_SET, "INSERT INTO store (key, value, expires) VALUES (?1, ?2, ?3)"                     \
                 " ON CONFLICT (key) DO UPDATE SET value = ?2, expires = ?3")                      \
    X(STORE_DELETE, "DELETE FROM store WHERE key = ?1")                                            \
    X(STORE_KEYS, "SELECT key FROM store WHERE key >= ?1 AND substr(key, 1, length(?1)) = ?1"      \
                  " AND (expires = 0 OR expires > ?2) ORDER BY key LIMIT ?3")                      \
    X(STORE_EXPIRE,                                                                                \
      "DELETE FROM store WHERE key IN (SELECT key FROM store WHERE expires > 0 AND expires <= ?1"  \
      " LIMIT ?2)")                                                                                \
    X(STEP_SET, "INSERT OR IGNORE INTO steps (row_id, key, kind, digest, value, at)"               \
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                                                \
    X(STEPS_OF, "SELECT key, kind, digest, value, at FROM steps WHERE row_id = ?1 ORDER BY "       \
                "sequence")                                                                        \
    X(SLEEPERS, "SELECT row_id, due FROM messages WHERE state = 4 AND due > ?1 AND EXISTS"         \
                " (SELECT 1 FROM steps WHERE steps.row_id = messages.row_id AND kind = 'sleep'"    \
                " AND CAST(value AS REAL) * 1000 > ?1) ORDER BY due LIMIT ?2")                     \
    X(STEPS_ANY, "SELECT 1 FROM steps LIMIT 1")                                                    \
    X(STEPS_FORGET, "DELETE FROM steps WHERE row_id = ?1")                                         \
    X(STEPS_PRUNE, "DELETE FROM steps WHERE at < ?1 AND NOT EXISTS"                                \
                   " (SELECT 1 FROM messages WHERE messages.row_id = steps.row_id)")               \
    X(QUESTIONS,                                                                                   \
      "SELECT asked.row_id, asked.key, asked.value, posted.value FROM steps AS asked"              \
      " LEFT JOIN steps AS posted ON posted.row_id = asked.row_id"                                 \
      " AND posted.key = asked.key || '/posted' WHERE asked.kind = 'ask'"                          \
      " AND NOT EXISTS (SELECT 1 FROM steps AS answer WHERE answer.row_id = asked.row_id"          \
      " AND answer.key = asked.key || '/answer')"                                                  \
      " AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.row_id = asked.row_id"               \
      " AND state IN (2, 5, 6)) ORDER BY asked.sequence")                                          \
    X(QUESTIONS_CANCEL, CANCEL_QUESTIONS "= ?1")                                                   \
    X(QUESTIONS_LEAVE, CANCEL_QUESTIONS "IN (SELECT row_id FROM messages WHERE state = 6)")        \
    X(WAKE, "UPDATE messages SET due = ?2 WHERE row_id = ?1 AND state = 4 AND due > ?2")           \
    X(ANSWER_GET, "SELECT answer FROM answers WHERE message_id = ?1")                              \
    X(ANSWER_SET,                                                                                  \
      "INSERT OR REPLACE INTO answers (message_id, answer, expires) VALUES (?1, ?2, ?3)")          \
    X(ANSWER_EXPIRE, "DELETE FROM answers WHERE expires <= ?1 OR message_id IN "                   \
                     "(SELECT message_id FROM answers ORDER BY expires DESC LIMIT -1 OFFSET ?2)")  \
    X(TASK_ADD, "INSERT OR IGNORE INTO tasks (id, principal, context, state, open, updated, "      \
                "document) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")                                   \
    X(TASK_PUT, "UPDATE tasks SET state = ?4, open = ?5, updated = ?6, document = ?7"              \
                " WHERE id = ?1")                                                                  \
    X(TASK_GET, "SELECT id, principal, context, state, open, updated, document FROM tasks"         \
                " WHERE id = ?1")                                                                  \
    X(TASKS_OPEN, "SELECT id, principal, context, state, open, updated, document FROM tasks"       \
                  " WHERE open = 1 ORDER BY sequence")                                             \
    X(TASKS_ENDED, "SELECT id, principal, context, state, open, updated, CASE WHEN ?8 OR NOT"      \
                   " json_valid(document) THEN document ELSE"                                      \
                   " json_remove(document, '$.task.artifacts') END FROM tasks"                     \
                   " WHERE principal = ?1 AND open = 0 AND (?2 IS NULL OR context = ?2)"           \
                   " AND (?3 < 0 OR state = ?3) AND updated >= ?4 AND (updated, id) < (?5, ?6)"    \
                   " ORDER BY updated DESC, id DESC LIMIT ?7")                                     \
    X(TASKS_COUNT,                                                                                 \
      "SELECT count(*) FROM tasks WHERE principal = ?1 AND open = 0"                               \
      " AND (?2 IS NULL OR context = ?2) AND (?3 < 0 OR state = ?3) AND updated >= ?4")            \
    X(TASKS_EXPIRE, "DELETE FROM tasks WHERE sequence IN (SELECT sequence FROM tasks"              \
                    " WHERE open = 0 AND updated < ?1 ORDER BY updated LIMIT ?2)")                 \
    X(FINISHED_EXPIRE, "DELETE FROM finished WHERE sequence IN (SELECT sequence FROM (SELECT "     \
                       "sequence, updated FROM finished ORDER BY sequence LIMIT ?2)"               \
                       " WHERE updated < ?1)")                                                     \
    X(PIECE_ADD, "INSERT OR IGNORE INTO pieces (sequence, task, piece) VALUES (?1, ?2, ?3)")       \
    X(PIECES, "SELECT piece FROM pieces WHERE task = ?1 ORDER BY sequence")                        \
    X(PIECES_DROP, "DELETE FROM pieces WHERE task = ?1")                                           \
    X(NOTIFICATION_ADD, "INSERT OR IGNORE INTO notifications (sequence, task, config, type, body," \
                        " at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                                    \
    X(NOTIFICATION_DROP, "DELETE FROM notifications WHERE sequence = ?1")                          \
    X(NOTIFICATIONS, "SELECT sequence, task, config, type, body, at FROM notifications"            \
                     " ORDER BY sequence")                                                         \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
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
    int64_t synced_ms; /* wall clock of the last durable commit: a value that was not there before
                        */
    bool plain;        /* no write-ahead log: its file system has no shared memory maps */
    char problem[512];
};

/* Prepared at first use, kept until the ledger closes. NULL: ledger_problem says why. */
sqlite3_stmt *ledger_prepare(struct ledger *ledger, enum statement which);
/* Runs a statement that returns nothing, and resets it; NULL is false. `what` names it in the
 * problem. */
bool ledger_run(struct ledger *ledger, sqlite3_stmt *statement, const char *what);
/* Statements that return nothing, in a text. */
bool ledger_execute(struct ledger *ledger, const char *sql);
/* Keeps what went wrong; false. */
bool ledger_fail(struct ledger *ledger, const char *what);
void ledger_bind_text(sqlite3_stmt *statement, int index, const char *text); /* NULL: SQL's NULL */
void ledger_bind_bytes(sqlite3_stmt *statement, int index, const char *bytes, size_t length);
char *ledger_get_meta(struct ledger *ledger, const char *key); /* NULL: none. Yours to free. */
bool ledger_set_meta(struct ledger *ledger, const char *key, const char *value);

#endif
