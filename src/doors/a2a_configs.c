/* Push notification configs of tasks [1.0 §3.1.7 ff.]: where a client wants to be told. They go
 * with their task. What is secret in them is never told again. */
#include "doors/a2a_private.h"

#include "base/memory.h"
#include "base/uuid.h"
#include "doors/webhooks.h"
#include "wire/jsontext.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIGS_MAXIMUM 20 /* of a task */
#define TOKEN_MAXIMUM 4096 /* bytes */
#define URL_MAXIMUM 4096

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* It becomes part of a header; NULL is fine. */
static bool is_header_text(const char *text, size_t maximum)
{
    size_t i = 0;
    while (text && text[i] && (unsigned char)text[i] >= ' ' && text[i] != 0x7f)
        i++;
    return !text || (!text[i] && i <= maximum);
}

json_t *a2a_take_config(struct a2a_exchange *exchange, const json_t *given)
{
    char problem[300], id[UUID_TEXT_SIZE];
    const char *url = text_of(given, "url"), *named = text_of(given, "id");
    if (!url || !webhooks_allow(exchange->agent->webhooks, url, problem, sizeof problem)) {
        a2a_refuse(exchange, A2A_INVALID_PARAMS, NULL, "the webhook is refused: %s",
                   url ? problem : "it has no url");
        return NULL;
    }
    const json_t *authentication = json_object_get(given, "authentication");
    if (!is_header_text(text_of(given, "token"), TOKEN_MAXIMUM) ||
        !is_header_text(text_of(authentication, "scheme"), TOKEN_MAXIMUM) ||
        !is_header_text(text_of(authentication, "credentials"), TOKEN_MAXIMUM) ||
        strlen(url) > URL_MAXIMUM) {
        a2a_refuse(exchange, A2A_INVALID_PARAMS, NULL,
                   "the webhook is refused: its url, token or credentials are too long, or hold "
                   "control characters");
        return NULL;
    }
    uuid_random(id);
    json_t *config = json_pack("{s:s, s:s, s:s, s:O*, s:O*}", "id", named && *named ? named : id,
                               "url", url, "version",
                               exchange->request.version == A2A_0_3 ? "0.3" : "1.0", "token",
                               json_object_get(given, "token"), "authentication",
                               json_object_get(given, "authentication"));
    return config;
}

/* As a client sees it. */
static json_t *shown(const json_t *config, const char *task_id)
{
    json_t *view = json_copy((json_t *)(uintptr_t)config);
    json_t *authentication = json_object_get(view, "authentication");
    json_object_del(view, "version");
    json_object_del(view, "token");
    if (json_is_object(authentication)) {
        authentication = json_copy(authentication);
        json_object_del(authentication, "credentials");
        json_object_set_new(view, "authentication", authentication);
    }
    json_object_set_new(view, "taskId", json_string(task_id));
    return view;
}

static json_t *find(const json_t *configs, const char *id, size_t *place)
{
    json_t *config;
    size_t i;
    json_array_foreach (configs, i, config) {
        const char *its = text_of(config, "id");
        if (id && its && strcmp(its, id) == 0) {
            *place = i;
            return config;
        }
    }
    return NULL;
}

/* What is kept of the task from now on; NULL: the exchange has its answer, or its refusal. */
static json_t *carry_out(struct a2a_exchange *exchange, const json_t *configs, const char *task_id,
                         json_t **result)
{
    size_t place = 0, i;
    const json_t *params = exchange->request.params;
    const char *id = text_of(params, "id");
    json_t *config = find(configs, id, &place), *kept = NULL;
    *result = NULL;
    switch (exchange->request.operation) {
    case A2A_CONFIG_CREATE:
        if (!config && json_array_size(configs) >= CONFIGS_MAXIMUM) {
            a2a_refuse(exchange, A2A_INVALID_PARAMS, task_id,
                       "the task has 20 push notification configs already");
            return NULL;
        }
        json_t *taken = a2a_take_config(exchange, params);
        if (!taken)
            return NULL;
        kept = json_copy((json_t *)(uintptr_t)configs);
        *result = shown(taken, task_id);
        if (config)
            webhooks_forget(exchange->agent->webhooks, task_id, id);
        if (config)
            json_array_set_new(kept, place, taken);
        else
            json_array_append_new(kept, taken);
        return kept;
    case A2A_CONFIG_DELETE:
        kept = json_copy((json_t *)(uintptr_t)configs);
        if (config) {
            webhooks_forget(exchange->agent->webhooks, task_id, id);
            json_array_remove(kept, place);
        }
        *result = json_object();
        return kept;
    case A2A_CONFIG_LIST:
        kept = json_array();
        json_array_foreach (configs, i, config)
            json_array_append_new(kept, shown(config, task_id));
        *result = json_pack("{s:o}", "configs", kept);
        return NULL;
    default: /* GET: clients of 0.3 name any id, and get the first one from the SDK's server */
        if (!config && (!id || exchange->request.version == A2A_0_3))
            config = json_array_get(configs, 0);
        if (config)
            *result = shown(config, task_id);
        else
            a2a_refuse(exchange, A2A_TASK_NOT_FOUND, task_id,
                       "the task has no such push notification config");
        return NULL;
    }
}

void a2a_add_config(struct a2a_exchange *exchange, struct a2a_task *task, const json_t *config)
{
    size_t i;
    json_t *each, *configs = json_object_get(task->record, "configs");
    json_array_foreach (configs, i, each)
        if (strcmp(text_of(each, "url"), text_of(config, "url")) == 0)
            return;
    if (json_array_size(configs) >= CONFIGS_MAXIMUM)
        return;
    json_t *kept = json_copy(configs);
    json_array_append(kept, (json_t *)(uintptr_t)config);
    tasks_set_configs(exchange->agent->tasks, task, kept);
}

static void answer(struct a2a_exchange *exchange, json_t *result)
{
    if (result)
        a2a_answer(exchange, result);
    json_decref(result);
}

static void change_ended(struct a2a_exchange *exchange, struct journal_task *found, json_t *record)
{
    json_t *result,
        *kept = carry_out(exchange, json_object_get(record, "configs"), found->id, &result);
    if (kept) {
        struct journal *journal = exchange->agent->journal;
        json_object_set_new(record, "configs", kept);
        free(found->document);
        found->document = jsontext_print(record);
        journal_task_put(journal, found, NULL, NULL);
    } else {
        journal_task_free(found);
    }
    answer(exchange, result);
}

static void on_found(void *context, struct journal_task *found, int64_t total, bool cut,
                     bool failed)
{
    struct a2a_exchange *exchange = context;
    const char *id = text_of(exchange->request.params, "taskId");
    (void)total, (void)cut;
    exchange->looking = false;
    bool own = found && strcmp(found->principal, exchange->principal) == 0;
    json_t *record = own ? json_loads(found->document, JSON_ALLOW_NUL, NULL) : NULL;
    if (exchange->http && record) {
        change_ended(exchange, found, record);
        found = NULL;
    } else if (!exchange->http)
        a2a_exchange_end(exchange);
    else if (failed || own)
        a2a_refuse(exchange, A2A_UNAVAILABLE, NULL, "the task cannot be read now");
    else
        a2a_refuse(exchange, A2A_TASK_NOT_FOUND, id, "there is no task %.100s", id);
    json_decref(record);
    journal_task_free(found);
}

void a2a_operate_config(struct a2a_exchange *exchange)
{
    const char *id = text_of(exchange->request.params, "taskId");
    struct tasks *tasks = exchange->agent->tasks;
    struct a2a_task *task = tasks_find(tasks, exchange->principal, id);
    if (!task || task->beginning || task->ending) {
        exchange->looking = true;
        journal_task_get(exchange->agent->journal, id, on_found, exchange);
        return;
    }
    json_t *result,
        *kept = carry_out(exchange, json_object_get(task->record, "configs"), id, &result);
    if (kept)
        tasks_set_configs(tasks, task, kept);
    answer(exchange, result);
}
