/* The script's store: read, listed and changed on the disk thread, like everything else in the
 * ledger. */
#include "host/journal_operation.h"

#include "base/memory.h"

#include <jansson.h>
#include <stdlib.h>

/* as long as --reply-ttl lets a message be tried, by default */
#define ANSWER_KEEP_MS (24 * 3600 * 1000)

static void deliver_value(struct operation *operation)
{
    char *value = operation->value;
    operation->value = NULL;
    operation->then_value(operation->context, value);
}

static struct operation *make(struct journal *journal, bool (*perform)(struct operation *operation),
                              const char *key, void (*then)(void *context, char *value),
                              void *context)
{
    struct operation *operation = journal_operation(journal, perform, deliver_value);
    operation->row_id = memory_copy_text(key);
    operation->then_value = then;
    operation->context = context;
    return operation;
}

static bool perform_get(struct operation *operation)
{
    free(operation->value); /* of an attempt whose commit failed */
    return ledger_store_get(operation->journal->ledger, operation->row_id, &operation->value);
}

void journal_store_get(struct journal *journal, const char *key,
                       void (*then)(void *context, char *value), void *context)
{
    struct operation *operation = make(journal, perform_get, key, then, context);
    operation->reads = true;
    journal_submit(operation);
}

static void add_key(const char *key, void *context)
{
    json_array_append_new(context, json_string(key));
}

static bool perform_keys(struct operation *operation)
{
    json_t *keys = json_array();
    bool read = ledger_store_keys(operation->journal->ledger, operation->row_id, operation->number,
                                  add_key, keys);
    free(operation->value);
    operation->value = read ? json_dumps(keys, JSON_COMPACT) : NULL;
    json_decref(keys);
    return read;
}

void journal_store_keys(struct journal *journal, const char *prefix, int64_t most,
                        void (*then)(void *context, char *value), void *context)
{
    struct operation *operation = make(journal, perform_keys, prefix, then, context);
    operation->number = most;
    operation->reads = true;
    journal_submit(operation);
}

static bool perform_commit(struct operation *operation)
{
    return ledger_store_apply(operation->journal->ledger, operation->changes);
}

void journal_store_commit(struct journal *journal, const struct changes *changes,
                          void (*then)(void *context, char *value), void *context)
{
    struct operation *operation = make(journal, perform_commit, NULL, then, context);
    operation->changes = changes;
    journal_submit(operation);
}

static bool perform_answer_get(struct operation *operation)
{
    free(operation->value);
    return ledger_answer_get(operation->journal->ledger, operation->row_id, &operation->value);
}

void journal_answer_get(struct journal *journal, const char *message_id,
                        void (*then)(void *context, char *value), void *context)
{
    struct operation *operation = make(journal, perform_answer_get, message_id, then, context);
    operation->reads = true;
    journal_submit(operation);
}

static bool perform_answer_set(struct operation *operation)
{
    return ledger_answer_set(operation->journal->ledger, operation->row_id, operation->text,
                             ANSWER_KEEP_MS);
}

void journal_answer_set(struct journal *journal, const char *message_id, const char *answer,
                        void (*then)(void *context, char *value), void *context)
{
    struct operation *operation = make(journal, perform_answer_set, message_id, then, context);
    operation->text = memory_copy_text(answer);
    journal_submit(operation);
}
