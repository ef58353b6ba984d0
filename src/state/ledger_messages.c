/* The ledger's messages: one row each, from its first attempt to its outcome. */
#include "state/ledger_sql.h"

#include "base/clock.h"

#include <stdlib.h>

#define COUNT_MAXIMUM 1000000000u /* attempts */

enum ledger_state ledger_state_of(struct ledger *ledger, const char *row_id)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_STATE_OF);
    if (!statement)
        return LEDGER_UNREADABLE;
    ledger_bind_text(statement, 1, row_id);
    int result = sqlite3_step(statement);
    enum ledger_state state = LEDGER_UNKNOWN;
    if (result == SQLITE_ROW)
        state = (enum ledger_state)sqlite3_column_int(statement, 0);
    else if (result != SQLITE_DONE)
        state = LEDGER_UNREADABLE;
    if (state == LEDGER_UNREADABLE)
        ledger_fail(ledger, "look up a message");
    sqlite3_reset(statement);
    return state;
}

static void bind_message(sqlite3_stmt *statement, const struct ledger_message *message)
{
    int64_t created = 0, now = clock_steady_ms();
    if (message->created_at)
        clock_parse(message->created_at, &created);
    ledger_bind_text(statement, 1, message->row_id);
    ledger_bind_bytes(statement, 2, message->row, message->row_length);
    sqlite3_bind_int64(statement, 3, message->attempts);
    sqlite3_bind_int64(statement, 4, message->failures);
    sqlite3_bind_int64(statement, 5, now);
    ledger_bind_text(statement, 6, message->source);
    ledger_bind_text(statement, 7, message->created_at);
    sqlite3_bind_int64(statement, 8, created);
    sqlite3_bind_int(statement, 9, message->to_canvas);
    ledger_bind_text(statement, 10, message->target);
    ledger_bind_text(statement, 11, message->reply_id);
    ledger_bind_bytes(statement, 12, message->body, message->body_length);
    sqlite3_bind_int(statement, 13, message->dead_after_reply);
    ledger_bind_text(statement, 14, message->reason);
    ledger_bind_text(statement, 15, message->traceback);
    sqlite3_bind_int64(statement, 16, message->due_ms);
    ledger_bind_text(statement, 17, message->digest);
    sqlite3_bind_int(statement, 18, message->hold);
    sqlite3_bind_int64(statement, 20, message->age_ms);
    sqlite3_bind_int64(statement, 21, message->retries);
    sqlite3_bind_int64(statement, 19, message->first_seen_ms ? message->first_seen_ms : now);
}

/* Runs the statement that fits; `*changed`: it found something to do. */
static bool attempt(struct ledger *ledger, enum statement which,
                    const struct ledger_message *message, const char *what, bool *changed)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, which);
    if (statement)
        bind_message(statement, message);
    bool done = ledger_run(ledger, statement, what);
    *changed = done && sqlite3_changes(ledger->database) > 0;
    return done;
}

/* A message is rarely recorded before its second attempt. */
static bool put(struct ledger *ledger, enum statement insert, enum statement update,
                const struct ledger_message *message, const char *what)
{
    bool seen_before = message->attempts > 1, changed;
    return attempt(ledger, seen_before ? update : insert, message, what, &changed) &&
           (changed || attempt(ledger, seen_before ? insert : update, message, what, &changed));
}

bool ledger_reply(struct ledger *ledger, const struct ledger_message *message)
{
    return put(ledger, STATEMENT_REPLY, STATEMENT_REPLY_AGAIN, message, "record a reply");
}

bool ledger_keep(struct ledger *ledger, const struct ledger_message *message)
{
    return put(ledger, STATEMENT_KEEP, STATEMENT_KEEP_AGAIN, message, "keep a message");
}

bool ledger_wait(struct ledger *ledger, const struct ledger_message *message)
{
    return put(ledger, STATEMENT_WAIT, STATEMENT_WAIT_AGAIN, message, "record a wait");
}

bool ledger_die(struct ledger *ledger, const struct ledger_message *message)
{
    return put(ledger, STATEMENT_DIE, STATEMENT_DIE_AGAIN, message, "record a dead letter") &&
           (!message->has_steps || ledger_questions_cancel(ledger, message->row_id));
}

static bool run_for(struct ledger *ledger, enum statement which, const char *row_id,
                    const char *what)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, which);
    if (statement)
        ledger_bind_text(statement, 1, row_id);
    return ledger_run(ledger, statement, what);
}

static bool add_finished(struct ledger *ledger, const struct ledger_message *message)
{
    int64_t created = 0;
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_FINISHED);
    if (message->created_at)
        clock_parse(message->created_at, &created);
    if (statement) {
        ledger_bind_text(statement, 1, message->row_id);
        ledger_bind_text(statement, 2, message->outcome);
        ledger_bind_text(statement, 3, message->source);
        sqlite3_bind_int64(statement, 4, created);
        sqlite3_bind_int64(statement, 5, clock_steady_ms());
        ledger_bind_text(statement, 6, message->digest);
    }
    return ledger_run(ledger, statement, "record an outcome");
}

bool ledger_finish(struct ledger *ledger, const struct ledger_message *message)
{
    if (!run_for(ledger, STATEMENT_FINISH, message->row_id, "record an outcome"))
        return false;
    /* it was not recorded, or its reply told the sender about a dead letter */
    if (sqlite3_changes(ledger->database) == 0) {
        sqlite3_stmt *dead = ledger_prepare(ledger, STATEMENT_FINISH_DEAD);
        if (dead) {
            ledger_bind_text(dead, 1, message->row_id);
            sqlite3_bind_int64(dead, 2, clock_steady_ms());
        }
        if (!ledger_run(ledger, dead, "record an outcome"))
            return false;
        if (sqlite3_changes(ledger->database) > 0)
            return true; /* a dead letter keeps its steps */
    }
    return (!message->has_steps || ledger_steps_forget(ledger, message->row_id)) &&
           add_finished(ledger, message);
}

bool ledger_leave_to_others(struct ledger *ledger)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_LEAVE);
    if (statement)
        sqlite3_bind_int64(statement, 1, clock_steady_ms());
    return ledger_run(ledger, statement, "leave messages to another client") &&
           ledger_run(ledger, ledger_prepare(ledger, STATEMENT_QUESTIONS_LEAVE),
                      "leave the questions of messages to another client");
}

bool ledger_take_back(struct ledger *ledger, const char *row_id)
{
    return run_for(ledger, STATEMENT_TAKE_BACK, row_id, "take a message back");
}

static const char *column_text(sqlite3_stmt *statement, int column)
{
    return (const char *)sqlite3_column_text(statement, column);
}

/* Clamped: the file may be damaged, or written by someone else. */
static unsigned column_count(sqlite3_stmt *statement, int column)
{
    int64_t count = sqlite3_column_int64(statement, column);
    return count < 0 ? 0 : count > COUNT_MAXIMUM ? COUNT_MAXIMUM : (unsigned)count;
}

static struct ledger_message read_message(sqlite3_stmt *statement)
{
    return (struct ledger_message){
        .row_id = column_text(statement, 0),
        .state = (enum ledger_state)sqlite3_column_int(statement, 1),
        .row = sqlite3_column_blob(statement, 2),
        .row_length = (size_t)sqlite3_column_bytes(statement, 2),
        .attempts = column_count(statement, 3),
        .failures = column_count(statement, 4),
        .first_seen_ms = clock_bound_ms(sqlite3_column_int64(statement, 5)),
        .updated_ms = clock_bound_ms(sqlite3_column_int64(statement, 6)),
        .due_ms = clock_bound_ms(sqlite3_column_int64(statement, 7)),
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
        .age_ms = clock_bound_ms(sqlite3_column_int64(statement, 20)),
        .retries = column_count(statement, 21),
    };
}

typedef bool visitor(const struct ledger_message *message, void *context);

static bool visit(struct ledger *ledger, sqlite3_stmt *statement, visitor *each, void *context,
                  size_t *seen)
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
        ledger_fail(ledger, "read messages");
    sqlite3_reset(statement);
    return result == SQLITE_DONE;
}

bool ledger_each_open(struct ledger *ledger, visitor *each, void *context)
{
    size_t seen;
    return visit(ledger, ledger_prepare(ledger, STATEMENT_EACH_OPEN), each, context, &seen);
}

bool ledger_each_dead(struct ledger *ledger, visitor *each, void *context)
{
    size_t seen;
    return visit(ledger, ledger_prepare(ledger, STATEMENT_EACH_DEAD), each, context, &seen);
}

bool ledger_find(struct ledger *ledger, const char *row_id, visitor *each, void *context)
{
    size_t seen = 0;
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_FIND);
    if (statement)
        ledger_bind_text(statement, 1, row_id);
    return visit(ledger, statement, each, context, &seen) && seen > 0;
}

bool ledger_find_finished(struct ledger *ledger, const char *row_id, visitor *each, void *context)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_FIND_FINISHED);
    if (!statement)
        return false;
    ledger_bind_text(statement, 1, row_id);
    bool found = sqlite3_step(statement) == SQLITE_ROW;
    if (found)
        each(&(struct ledger_message){.row_id = row_id,
                                      .state = LEDGER_FINISHED,
                                      .outcome = column_text(statement, 0),
                                      .source = column_text(statement, 1),
                                      .updated_ms = sqlite3_column_int64(statement, 2)},
             context);
    sqlite3_reset(statement);
    return found;
}

bool ledger_retry_dead(struct ledger *ledger, const char *row_id, int64_t now_ms, bool *found)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_RETRY_DEAD);
    if (statement) {
        ledger_bind_text(statement, 1, row_id);
        sqlite3_bind_int64(statement, 2, now_ms);
    }
    bool done = ledger_run(ledger, statement, "retry a dead letter");
    *found = done && sqlite3_changes(ledger->database) > 0;
    return done;
}

bool ledger_drop_dead(struct ledger *ledger, const char *row_id, bool *found)
{
    bool done = run_for(ledger, STATEMENT_DROP_DEAD, row_id, "drop a dead letter");
    *found = done && sqlite3_changes(ledger->database) > 0;
    struct ledger_message dropped = {.row_id = row_id, .outcome = "dropped"};
    return done &&
           (!*found || (ledger_steps_forget(ledger, row_id) && add_finished(ledger, &dropped)));
}

int64_t ledger_count_same(struct ledger *ledger, const char *digest, int64_t since_ms,
                          const char *but_row_id)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_SAME_REPLIES);
    if (!statement)
        return -1;
    ledger_bind_text(statement, 1, digest);
    sqlite3_bind_int64(statement, 2, since_ms);
    ledger_bind_text(statement, 3, but_row_id);
    int64_t count = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
    if (count < 0)
        ledger_fail(ledger, "count replies");
    sqlite3_reset(statement);
    return count;
}

bool ledger_pass_open(struct ledger *ledger)
{
    return ledger_run(ledger, ledger_prepare(ledger, STATEMENT_OPEN_PASSED), "keep what is open");
}

bool ledger_count(struct ledger *ledger, struct ledger_counts *counts)
{
    *counts = (struct ledger_counts){0};
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_COUNT);
    if (!statement)
        return false;
    int result;
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        int state = sqlite3_column_int(statement, 0);
        int64_t oldest = clock_bound_ms(sqlite3_column_int64(statement, 2));
        if (state <= 0 || state > LEDGER_ELSEWHERE)
            continue;
        counts->by_state[state] += sqlite3_column_int64(statement, 1);
        bool open = state == LEDGER_REPLIED || state == LEDGER_KEPT;
        if (open && (counts->oldest_pending_ms == 0 || oldest < counts->oldest_pending_ms))
            counts->oldest_pending_ms = oldest;
    }
    if (result != SQLITE_DONE)
        ledger_fail(ledger, "count messages");
    sqlite3_reset(statement);
    return result == SQLITE_DONE;
}

bool ledger_prune(struct ledger *ledger, int64_t keep_seconds, int most)
{
    char *stamp = ledger_get_meta(ledger, "cursor_created_at");
    int64_t cursor_us = 0;
    bool known = stamp && clock_parse(stamp, &cursor_us);
    free(stamp);
    if (!known)
        return true;
    int64_t before = cursor_us - keep_seconds * 1000000;
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_PRUNE);
    if (statement) {
        sqlite3_bind_int64(statement, 1, before);
        sqlite3_bind_int(statement, 2, most);
    }
    if (!ledger_run(ledger, statement, "prune"))
        return false;
    statement = ledger_prepare(ledger, STATEMENT_PRUNE_ELSEWHERE);
    if (statement)
        sqlite3_bind_int64(statement, 1, before);
    if (!ledger_run(ledger, statement, "prune"))
        return false;
    /* of messages that the platform lost before they were finished */
    statement = ledger_prepare(ledger, STATEMENT_STEPS_PRUNE);
    if (statement)
        sqlite3_bind_int64(statement, 1, before / 1000);
    return ledger_run(ledger, statement, "prune");
}
