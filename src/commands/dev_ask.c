#include "commands/dev_ask.h"

#include "base/clock.h"
#include "commands/ledger_view.h"
#include "commands/local_state.h"
#include "state/ledger.h"
#include "wire/jsontext.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUES_MAXIMUM 1000
#define VALUES_BYTES_MAXIMUM (4 * 1024 * 1024)

static void set_stamp(json_t *object, const char *name, int64_t wall_ms)
{
    char text[CLOCK_TEXT_SIZE];
    if (wall_ms <= 0)
        return;
    clock_format(wall_ms, text);
    json_object_set_new(object, name, json_string(text));
}

static void set_text(json_t *object, const char *name, const char *text)
{
    if (text)
        json_object_set_new(object, name, jsontext_string(text, strlen(text)));
}

static bool describe(const struct ledger_message *message, void *context)
{
    json_t *told = json_pack("{s:s}", "state", ledger_state_text(message->state));
    set_text(told, "outcome", message->outcome);
    set_text(told, "reason", message->reason);
    set_text(told, "reply_id", message->reply_id);
    set_text(told, "source", message->source);
    set_stamp(told, "first_seen", message->first_seen_ms);
    set_stamp(told, "changed", message->updated_ms);
    if (message->state == LEDGER_KEPT)
        set_stamp(told, "due", message->due_ms);
    *(json_t **)context = told;
    if (message->state == LEDGER_FINISHED) /* no more of it is kept */
        return false;
    json_object_set_new(told, "attempts", json_integer(message->attempts));
    json_object_set_new(told, "failures", json_integer(message->failures));
    json_object_set_new(told, "reply_bytes", json_integer((json_int_t)message->body_length));
    json_object_set_new(told, "row_bytes", json_integer((json_int_t)message->row_length));
    json_object_set_new(told, "passed", json_boolean(message->passed));
    return false;
}

static json_t *read_message(struct ledger *ledger, const json_t *request)
{
    json_t *message = NULL;
    char *cursor = ledger_cursor(ledger);
    const char *row_id = json_string_value(json_object_get(request, "row_id"));
    if (row_id && !ledger_find(ledger, row_id, describe, &message))
        ledger_find_finished(ledger, row_id, describe, &message);
    json_t *answer = json_pack("{s:b, s:o, s:s?, s:o}", "ok", 1, "message",
                               message ? message : json_null(), "cursor", cursor, "steps",
                               row_id ? ledger_view_steps(ledger, row_id) : json_array());
    free(cursor);
    return answer;
}

static void add_key(const char *key, void *context)
{
    json_array_append_new(context, json_string(key));
}

static json_t *read_values(struct ledger *ledger, const json_t *keys)
{
    json_t *values = json_array();
    size_t bytes = 0;
    for (size_t i = 0; i < json_array_size(keys) && bytes < VALUES_BYTES_MAXIMUM; i++) {
        const char *key = json_string_value(json_array_get(keys, i));
        char *value = NULL;
        if (!ledger_store_get(ledger, key, &value) || !value)
            continue; /* it has expired */
        bytes += strlen(key) + strlen(value);
        json_array_append_new(values, json_pack("{s:s, s:s}", "key", key, "value", value));
        free(value);
    }
    return values;
}

static json_t *read_store(struct ledger *ledger, const json_t *request)
{
    const char *prefix = json_string_value(json_object_get(request, "prefix"));
    json_t *keys = json_array();
    ledger_store_keys(ledger, prefix ? prefix : "", VALUES_MAXIMUM + 1, add_key, keys);
    size_t count = json_array_size(keys);
    if (count > VALUES_MAXIMUM)
        json_array_remove(keys, VALUES_MAXIMUM);
    json_t *values = read_values(ledger, keys);
    json_t *answer = json_pack("{s:b, s:o, s:b}", "ok", 1, "values", values, "more",
                               json_array_size(values) < count);
    json_decref(keys);
    return answer;
}

static json_t *read_ledger(const char *directory, const char *workspace_id, const json_t *request,
                           json_t *(*read)(struct ledger *ledger, const json_t *request),
                           char *problem, size_t problem_size)
{
    char *path = local_state_path(directory, workspace_id, "db");
    struct ledger *ledger;
    json_t *answer = NULL;
    enum ledger_status status = ledger_open(&ledger, path, NULL, LEDGER_READ, problem,
                                            problem_size);
    free(path);
    if (status == LEDGER_ABSENT) /* nothing is recorded before it is needed */
        return json_pack("{s:b, s:n, s:[], s:b}", "ok", 1, "message", "values", "more", 0);
    if (status == LEDGER_OPENED) {
        answer = read(ledger, request);
        ledger_close(ledger);
    }
    return answer;
}

char *dev_ask(const char *state_directory, const char *workspace_id, const char *request,
              char *problem, size_t problem_size)
{
    bool live;
    json_t *asked = json_loads(request, 0, NULL), *answer;
    const char *verb = json_string_value(json_object_get(asked, "do"));
    snprintf(problem, problem_size, "the ledger cannot be read");
    if (verb && strcmp(verb, "message") == 0) {
        answer = read_ledger(state_directory, workspace_id, asked, read_message, problem,
                             problem_size);
        json_decref(asked);
    } else if (verb && strcmp(verb, "store") == 0) {
        answer = read_ledger(state_directory, workspace_id, asked, read_store, problem,
                             problem_size);
        json_decref(asked);
    } else {
        answer = local_state_ask(state_directory, workspace_id, asked, &live, problem,
                                 problem_size);
    }
    char *text = answer ? json_dumps(answer, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    json_decref(answer);
    return text;
}
