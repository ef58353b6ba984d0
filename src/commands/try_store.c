#include "commands/try_store.h"

#include "base/changes.h"
#include "base/memory.h"
#include "state/atomic_file.h"
#include "state/ledger.h"
#include "wire/jsontext.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAXIMUM ((size_t)64 << 20)

/* NULL with errno 0: there is no file. */
static json_t *read_file(const char *file, char *problem, size_t problem_size)
{
    json_error_t error;
    FILE *stream = fopen(file, "rb");
    *problem = '\0';
    if (!stream) {
        if (errno != ENOENT)
            snprintf(problem, problem_size, "%s: %s", file, strerror(errno));
        return NULL;
    }
    json_t *values = json_loadf(stream, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    fclose(stream);
    if (!values)
        snprintf(problem, problem_size, "%s:%d: %s", file, error.line, error.text);
    else if (!json_is_object(values))
        snprintf(problem, problem_size, "%s: not a JSON object", file);
    if (*problem) {
        json_decref(values);
        return NULL;
    }
    return values;
}

static struct changes *make_changes(const json_t *values)
{
    struct changes *changes = changes_make();
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)values, key, value) {
        char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        if (text)
            changes_add(&changes, CHANGE_SET, key, text, strlen(text), 0, 0);
        free(text);
    }
    return changes;
}

bool try_store_load(const char *file, const char *ledger_path, const char *platform, char *problem,
                    size_t problem_size)
{
    json_t *values = read_file(file, problem, problem_size);
    if (!values)
        return !*problem;
    struct ledger *ledger;
    bool loaded = false;
    if (ledger_open(&ledger, ledger_path, platform, LEDGER_WRITE, problem, problem_size) ==
        LEDGER_OPENED) {
        struct changes *changes = make_changes(values);
        loaded = ledger_begin(ledger) && ledger_store_apply(ledger, changes) &&
                 ledger_commit(ledger);
        if (!loaded)
            snprintf(problem, problem_size, "%s: %s", file, ledger_problem(ledger));
        changes_free(changes);
        ledger_close(ledger);
    }
    json_decref(values);
    return loaded;
}

struct reading {
    json_t *keys;
};

static void add_key(const char *key, void *context)
{
    json_array_append_new(((struct reading *)context)->keys, json_string(key));
}

static json_t *read_ledger(struct ledger *ledger)
{
    struct reading reading = {json_array()};
    json_t *values = json_object(), *key;
    size_t index;
    bool read = ledger_store_keys(ledger, "", INT64_MAX, add_key, &reading);
    json_array_foreach (reading.keys, index, key) {
        char *text = NULL;
        read = read && ledger_store_get(ledger, json_string_value(key), &text);
        if (text)
            json_object_set_new(values, json_string_value(key),
                                jsontext_read(text, strlen(text), NULL, NULL));
        free(text);
    }
    json_decref(reading.keys);
    if (read)
        return values;
    json_decref(values);
    return NULL;
}

bool try_store_save(const char *file, const char *ledger_path, char *problem, size_t problem_size)
{
    struct ledger *ledger;
    enum ledger_status status = ledger_open(&ledger, ledger_path, NULL, LEDGER_READ, problem,
                                            problem_size);
    if (status != LEDGER_OPENED && status != LEDGER_ABSENT)
        return false;
    json_t *values = ledger ? read_ledger(ledger) : json_object();
    if (!values)
        snprintf(problem, problem_size, "%s", ledger_problem(ledger));
    char *text = values ? json_dumps(values, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
    ledger_close(ledger);
    json_decref(values);
    char *line = text ? memory_join(text, "\n") : NULL;
    bool saved = line && atomic_file_write(file, line, strlen(line), problem, problem_size);
    free(line);
    free(text);
    return saved;
}
