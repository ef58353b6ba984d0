/* The operations of A2A [1.0 §3.1] on an agent's tasks. */
#include "doors/a2a_private.h"

#include "base/memory.h"
#include "base/trace.h"
#include "doors/webhooks.h"
#include "wire/jsonmemory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static bool is_stream(const struct a2a_exchange *exchange)
{
    enum a2a_operation operation = exchange->request.operation;
    return operation == A2A_STREAM || operation == A2A_SUBSCRIBE;
}

/* --- what a task's watcher is told --- */

static void answer_task(struct a2a_exchange *exchange, const json_t *record, bool ended)
{
    const json_t *message = json_object_get(record, "message");
    bool sends = exchange->request.operation == A2A_SEND;
    json_t *view = task_view(task_of_record(record), exchange->history, true);
    json_t *result = !sends             ? json_incref(view)
                     : ended && message ? json_pack("{s:O}", "message", message)
                                        : json_pack("{s:O}", "task", view);
    json_decref(view);
    a2a_answer(exchange, result);
    json_decref(result);
}

static void on_stream_event(struct task_watcher *watcher, const json_t *response,
                            const json_t *record, bool last)
{
    struct a2a_exchange *exchange = (struct a2a_exchange *)watcher;
    const json_t *task = json_object_get(response, "task");
    enum task_state state = task_state(task_of_record(record));
    json_t *view = task ? task_view(task, exchange->history, true) : NULL;
    json_t *first = view ? json_pack("{s:o}", "task", view) : NULL;
    /* it was subscribed to while it waits for an answer: what follows that is still to come */
    bool waits = task_state_asks(state) && !task && json_object_get(response, "statusUpdate");
    a2a_stream(exchange, first ? first : response, last || waits);
    json_decref(first);
}

/* A repeated messageId, but with another context. */
static bool is_elsewhere(const struct a2a_exchange *exchange, const json_t *record)
{
    const json_t *message = json_object_get(exchange->request.params, "message");
    const char *given = text_of(message, "contextId"),
               *its = text_of(task_of_record(record), "contextId");
    return given && its && strcmp(given, its) != 0;
}

static void on_event(struct task_watcher *watcher, const json_t *response, const json_t *record,
                     bool last)
{
    struct a2a_exchange *exchange = (struct a2a_exchange *)watcher;
    if (!response) {
        a2a_refuse(exchange, A2A_UNAVAILABLE, NULL, "the agent is stopping; ask again");
        return;
    }
    if (is_elsewhere(exchange, record)) {
        a2a_refuse(exchange, A2A_INVALID_PARAMS, text_of(task_of_record(record), "id"),
                   "this messageId was used before, with another contextId");
        return;
    }
    if (is_stream(exchange)) {
        on_stream_event(watcher, response, record, last);
        return;
    }
    enum task_state state = task_state(task_of_record(record));
    if (exchange->request.operation == A2A_CANCEL) {
        if (last && state != TASK_CANCELED)
            a2a_refuse(exchange, A2A_TASK_NOT_CANCELABLE, text_of(task_of_record(record), "id"),
                       "the task ended before it could be canceled");
        else if (last)
            answer_task(exchange, record, true);
        return;
    }
    if (last || exchange->at_once || task_state_asks(state))
        answer_task(exchange, record, last);
}

static void watch(struct a2a_exchange *exchange, struct a2a_task *task)
{
    exchange->watcher.event = on_event;
    tasks_watch(task, &exchange->watcher);
}

/* --- looking a task up that has ended --- */

static bool is_own(const struct a2a_exchange *exchange, const struct journal_task *found)
{
    return found && strcmp(found->principal, exchange->principal) == 0;
}

static void refuse_unknown(struct a2a_exchange *exchange, const char *id)
{
    a2a_refuse(exchange, A2A_TASK_NOT_FOUND, id, "there is no task %.100s", id);
}

static const char *task_id_of(const struct a2a_exchange *exchange)
{
    const json_t *params = exchange->request.params;
    enum a2a_operation operation = exchange->request.operation;
    if (operation == A2A_SEND || operation == A2A_STREAM)
        return text_of(json_object_get(params, "message"), "taskId");
    return text_of(params, "id");
}

/* A message to a task that has ended: it is refused, unless the task has it already. */
static void send_to_ended(struct a2a_exchange *exchange, const json_t *record)
{
    const json_t *task = task_of_record(record);
    const json_t *message = json_object_get(exchange->request.params, "message");
    if (!task_has_message(task, text_of(message, "messageId"))) {
        a2a_refuse(exchange, A2A_UNSUPPORTED, text_of(task, "id"),
                   "the task has ended; a message without taskId begins a new one");
        return;
    }
    if (is_stream(exchange)) {
        json_t *response = task_response(task);
        a2a_stream(exchange, response, true);
        json_decref(response);
        return;
    }
    answer_task(exchange, record, true);
}

static void use_ended(struct a2a_exchange *exchange, const json_t *record)
{
    const char *id = text_of(task_of_record(record), "id");
    switch (exchange->request.operation) {
    case A2A_GET: answer_task(exchange, record, true); break;
    case A2A_CANCEL:
        a2a_refuse(exchange, A2A_TASK_NOT_CANCELABLE, id, "the task has ended already");
        break;
    case A2A_SUBSCRIBE:
        a2a_refuse(exchange, A2A_UNSUPPORTED, id, "the task has ended; GetTask has its result");
        break;
    default: send_to_ended(exchange, record); break;
    }
}

static void on_found(void *context, struct journal_task *found, int64_t total, bool cut,
                     bool failed)
{
    struct a2a_exchange *exchange = context;
    (void)total, (void)cut;
    exchange->looking = false;
    json_t *record = is_own(exchange, found) ? json_loads(found->document, JSON_ALLOW_NUL, NULL)
                                             : NULL;
    const struct a2a_task *begun = !exchange->http
                                       ? NULL
                                       : tasks_find(exchange->agent->tasks, exchange->principal,
                                                    task_id_of(exchange));
    if (!exchange->http)
        a2a_exchange_end(exchange);
    else if (begun && !begun->beginning && !begun->ending)
        a2a_operate(exchange); /* it was about to begin */
    else if (failed || (found && is_own(exchange, found) && !record))
        a2a_refuse(exchange, A2A_UNAVAILABLE, NULL, "the task cannot be read now");
    else if (!record)
        refuse_unknown(exchange, task_id_of(exchange));
    else
        use_ended(exchange, record);
    json_decref(record);
    journal_task_free(found);
}

static void look_up(struct a2a_exchange *exchange, const char *id)
{
    exchange->looking = true;
    journal_task_get(exchange->agent->journal, id, on_found, exchange);
}

/* --- messages --- */

static void read_configuration(struct a2a_exchange *exchange)
{
    const json_t *configuration = json_object_get(exchange->request.params, "configuration");
    const json_t *history = json_object_get(configuration, "historyLength");
    exchange->at_once = json_is_true(json_object_get(configuration, "returnImmediately"));
    exchange->history = json_is_integer(history) ? json_integer_value(history) : -1;
}

/* true: none was given, or it was taken into `*config`. */
static bool take_config(struct a2a_exchange *exchange, json_t **config)
{
    const json_t *given = json_object_get(
        json_object_get(exchange->request.params, "configuration"), "taskPushNotificationConfig");
    *config = NULL;
    if (!json_is_object(given))
        return true;
    *config = a2a_take_config(exchange, given);
    return *config;
}

static void begin_task(struct a2a_exchange *exchange, const json_t *message, const json_t *metadata)
{
    bool known;
    json_t *config;
    struct a2a_problem problem;
    if (!take_config(exchange, &config))
        return;
    struct a2a_task *task = tasks_begin(exchange->agent->tasks, exchange->principal, message,
                                        metadata, config, &known, &problem);
    if (task) {
        if (known && config)
            a2a_add_config(exchange, task, config);
        watch(exchange, task);
    } else {
        a2a_refuse_with(exchange, &problem);
    }
    jsonmemory_wipe(config);
}

static void continue_task(struct a2a_exchange *exchange, struct a2a_task *task,
                          const json_t *message, const json_t *metadata)
{
    json_t *config;
    struct a2a_problem problem;
    const char *context = text_of(message, "contextId");
    if (context && strcmp(context, task->context_id) != 0) {
        a2a_refuse(exchange, A2A_INVALID_PARAMS, task->id,
                   "the message's contextId is not that of its task");
        return;
    }
    if (!take_config(exchange, &config))
        return;
    bool taken = tasks_continue(task, message, metadata, config, &problem);
    jsonmemory_wipe(config);
    if (taken)
        watch(exchange, task);
    else
        a2a_refuse_with(exchange, &problem);
}

/* The HTTP header's place in a trace (W3C Trace Context) goes where messages have it. */
static void take_traceparent(struct a2a_exchange *exchange)
{
    struct trace_context context;
    const char *given = http_request_header(exchange->http, "traceparent");
    json_t *params = exchange->request.params, *metadata = json_object_get(params, "metadata");
    if (!trace_read(given, &context) || (metadata && !json_is_object(metadata)))
        return;
    if (!metadata) {
        metadata = json_object();
        json_object_set_new(params, "metadata", metadata);
    }
    if (!json_object_get(metadata, "traceparent"))
        json_object_set_new(metadata, "traceparent", json_string(given));
}

static void operate_message(struct a2a_exchange *exchange)
{
    take_traceparent(exchange);
    const json_t *params = exchange->request.params;
    const json_t *message = json_object_get(params, "message"),
                 *metadata = json_object_get(params, "metadata");
    const char *task_id = text_of(message, "taskId");
    read_configuration(exchange);
    if (!task_id || !*task_id) {
        begin_task(exchange, message, metadata);
        return;
    }
    struct a2a_task *task = tasks_find(exchange->agent->tasks, exchange->principal, task_id);
    if (task)
        continue_task(exchange, task, message, metadata);
    else
        look_up(exchange, task_id);
}

/* --- tasks --- */

static void operate_task(struct a2a_exchange *exchange)
{
    struct tasks *tasks = exchange->agent->tasks;
    const json_t *history = json_object_get(exchange->request.params, "historyLength");
    const char *id = task_id_of(exchange);
    struct a2a_task *task = tasks_find(tasks, exchange->principal, id);
    exchange->history = json_is_integer(history) ? json_integer_value(history) : -1;
    if (!task || task->beginning) {
        look_up(exchange, id);
        return;
    }
    switch (exchange->request.operation) {
    case A2A_GET: answer_task(exchange, task->record, false); break;
    case A2A_CANCEL:
        watch(exchange, task);
        if (exchange->http && !tasks_cancel(tasks, task))
            a2a_refuse(exchange, A2A_TASK_NOT_CANCELABLE, id, "the task has ended");
        break;
    default: watch(exchange, task); break;
    }
}

static void operate_card(struct a2a_exchange *exchange)
{
    if (exchange->agent->extended)
        a2a_answer(exchange, exchange->agent->extended);
    else
        a2a_refuse(exchange, A2A_UNSUPPORTED, NULL, "this agent has no extended card");
}

void a2a_operate(struct a2a_exchange *exchange)
{
    switch (exchange->request.operation) {
    case A2A_SEND:
    case A2A_STREAM: operate_message(exchange); return;
    case A2A_GET:
    case A2A_CANCEL:
    case A2A_SUBSCRIBE: operate_task(exchange); return;
    case A2A_LIST: a2a_list_tasks(exchange); return;
    case A2A_EXTENDED_CARD: operate_card(exchange); return;
    case A2A_CONFIG_CREATE:
    case A2A_CONFIG_GET:
    case A2A_CONFIG_LIST:
    case A2A_CONFIG_DELETE: a2a_operate_config(exchange); return;
    }
}
