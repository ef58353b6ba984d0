/* What scripts keep: values by key, and the answers of peers to what handlers sent. */
#include "state/ledger_sql.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "base/memory.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWERS_MAXIMUM 2000 /* so that a peer that invents questions cannot fill the disk */

/* The value at that time, and its expiry. `*value` NULL: none. */
static bool look_up(struct ledger *ledger, const char *key, int64_t at_ms, char **value,
                    int64_t *expires_ms)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_STORE_GET);
    *value = NULL;
    if (!statement)
        return false;
    ledger_bind_text(statement, 1, key);
    sqlite3_bind_int64(statement, 2, at_ms);
    int result = sqlite3_step(statement);
    if (result == SQLITE_ROW) {
        *value = memory_copy(sqlite3_column_text(statement, 0),
                             (size_t)sqlite3_column_bytes(statement, 0));
        *expires_ms = sqlite3_column_int64(statement, 1);
    } else if (result != SQLITE_DONE) {
        ledger_fail(ledger, "read a stored value");
    }
    sqlite3_reset(statement);
    return result == SQLITE_ROW || result == SQLITE_DONE;
}

bool ledger_store_get(struct ledger *ledger, const char *key, char **value)
{
    int64_t expires_ms;
    return look_up(ledger, key, clock_steady_ms(), value, &expires_ms);
}

bool ledger_store_keys(struct ledger *ledger, const char *prefix, int64_t most,
                       void (*each)(const char *key, void *context), void *context)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_STORE_KEYS);
    if (!statement)
        return false;
    ledger_bind_text(statement, 1, prefix);
    sqlite3_bind_int64(statement, 2, clock_steady_ms());
    sqlite3_bind_int64(statement, 3, most);
    int result;
    while ((result = sqlite3_step(statement)) == SQLITE_ROW)
        each((const char *)sqlite3_column_text(statement, 0), context);
    if (result != SQLITE_DONE)
        ledger_fail(ledger, "list stored keys");
    sqlite3_reset(statement);
    return result == SQLITE_DONE;
}

static bool write_value(struct ledger *ledger, const char *key, const char *value,
                        int64_t expires_ms)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_STORE_SET);
    if (statement) {
        ledger_bind_text(statement, 1, key);
        ledger_bind_text(statement, 2, value);
        sqlite3_bind_int64(statement, 3, expires_ms);
    }
    return ledger_run(ledger, statement, "store a value");
}

/* The sum of two numbers as JSON; integers stay integers unless they overflow. Takes both. */
static json_t *add(json_t *stored, json_t *by)
{
    json_int_t sum;
    json_t *result;
    if (json_is_integer(stored) && json_is_integer(by) &&
        !__builtin_add_overflow(json_integer_value(stored), json_integer_value(by), &sum))
        result = json_integer(sum);
    else
        result = json_real(json_number_value(stored) + json_number_value(by));
    json_decref(stored);
    json_decref(by);
    return result;
}

/* `list` may be NULL. Takes both. */
static json_t *append(json_t *list, json_t *value, int64_t most)
{
    if (!json_is_array(list)) {
        json_decref(list);
        list = json_array();
    }
    json_array_append_new(list, value);
    while (most > 0 && json_array_size(list) > (size_t)most)
        json_array_remove(list, 0);
    return list;
}

/* NULL: ledger_problem says why. */
static json_t *parse(struct ledger *ledger, const char *key, const char *text)
{
    json_error_t error;
    json_t *value = json_loads(text, JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (!value)
        snprintf(ledger->problem, sizeof ledger->problem,
                 "the ledger %s: the value of the key \"%s\" is not JSON: %s",
                 sqlite3_db_filename(ledger->database, "main"), key, error.text);
    return value;
}

/* `stored` may be NULL. Takes both. */
static json_t *combine(const struct change *change, json_t *stored, json_t *given)
{
    if (change->verb == CHANGE_APPEND)
        return append(stored, given, change->most);
    if (json_is_number(stored))
        return add(stored, given);
    json_decref(stored);
    return given;
}

/* CHANGE_INCR and CHANGE_APPEND. */
static bool replay(struct ledger *ledger, const struct change *change)
{
    char *text;
    int64_t expires_ms = 0;
    if (!look_up(ledger, change->key, change->made_ms, &text, &expires_ms))
        return false;
    if (!text)
        expires_ms = change->expires_ms;
    json_t *stored = text ? parse(ledger, change->key, text) : NULL;
    bool readable = stored || !text;
    free(text);
    json_t *given = readable ? parse(ledger, change->key, change->value) : NULL;
    if (!given) {
        json_decref(stored);
        return false;
    }
    json_t *result = combine(change, stored, given);
    char *written = json_dumps(result, JSON_ENCODE_ANY | JSON_COMPACT);
    json_decref(result);
    if (written)
        decimal_shorten(written, strlen(written));
    /* not a finite sum: as it was */
    bool stands = written ? write_value(ledger, change->key, written, expires_ms) : true;
    free(written);
    return stands;
}

static bool apply(struct ledger *ledger, const struct change *change)
{
    switch (change->verb) {
    case CHANGE_SET: return write_value(ledger, change->key, change->value, change->expires_ms);
    case CHANGE_DELETE: {
        sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_STORE_DELETE);
        if (statement)
            ledger_bind_text(statement, 1, change->key);
        return ledger_run(ledger, statement, "delete a stored value");
    }
    case CHANGE_INCR:
    case CHANGE_APPEND: return replay(ledger, change);
    }
    return true;
}

bool ledger_store_apply(struct ledger *ledger, const struct changes *changes)
{
    for (const struct change *change = changes ? changes->first : NULL; change;
         change = change->next)
        if (!apply(ledger, change))
            return false;
    return true;
}

bool ledger_answer_get(struct ledger *ledger, const char *message_id, char **answer)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_ANSWER_GET);
    *answer = NULL;
    if (!statement)
        return false;
    ledger_bind_text(statement, 1, message_id);
    int result = sqlite3_step(statement);
    if (result == SQLITE_ROW)
        *answer = memory_copy(sqlite3_column_text(statement, 0),
                              (size_t)sqlite3_column_bytes(statement, 0));
    else if (result != SQLITE_DONE)
        ledger_fail(ledger, "look up an answer");
    sqlite3_reset(statement);
    return result == SQLITE_ROW || result == SQLITE_DONE;
}

bool ledger_answer_set(struct ledger *ledger, const char *message_id, const char *answer,
                       int64_t keep_ms)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_ANSWER_SET);
    if (statement) {
        ledger_bind_text(statement, 1, message_id);
        ledger_bind_text(statement, 2, answer);
        sqlite3_bind_int64(statement, 3, clock_steady_ms() + keep_ms);
    }
    return ledger_run(ledger, statement, "keep an answer");
}

bool ledger_store_expire(struct ledger *ledger, int most)
{
    sqlite3_stmt *values = ledger_prepare(ledger, STATEMENT_STORE_EXPIRE);
    if (values) {
        sqlite3_bind_int64(values, 1, clock_steady_ms());
        sqlite3_bind_int(values, 2, most);
    }
    if (!ledger_run(ledger, values, "expire stored values"))
        return false;
    sqlite3_stmt *answers = ledger_prepare(ledger, STATEMENT_ANSWER_EXPIRE);
    if (answers) {
        sqlite3_bind_int64(answers, 1, clock_steady_ms());
        sqlite3_bind_int(answers, 2, ANSWERS_MAXIMUM);
    }
    return ledger_run(ledger, answers, "expire answers");
}
