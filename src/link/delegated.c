#include "link/delegated.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/timer.h"
#include "link/link.h"
#include "wire/jsontext.h"
#include "wire/reply.h"
#include "wire/result.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT 500   /* rows, newest first */
#define EACH_MS 500 /* two looks a second, however many wait */
#define ANSWER_MAXIMUM ((size_t)64 << 20)
#define TIMEOUT_MS 60000
#define PAUSE_CAP_MS 5000

struct delegated {
    struct link *link;
    char *id;
    struct call call;
    uv_timer_t timer;
    struct retry_backoff pause;
    delegated_callback *done;
    void *context;
};

static void fetch(struct delegated *delegated);

static void free_delegated(uv_handle_t *timer)
{
    struct delegated *delegated = timer->data;
    free(delegated->id);
    free(delegated);
}

static void on_timer(uv_timer_t *timer)
{
    fetch(timer->data);
}

static const char *text_at(const json_t *object, const char *member, const char *key)
{
    return json_string_value(json_object_get(json_object_get(object, member), key));
}

static bool is_ours(const struct delegated *delegated, const json_t *row, const char *member)
{
    const char *id = text_at(row, member, "delegation_id");
    return id && strcmp(id, delegated->id) == 0;
}

static bool has(const json_t *row, const char *column, const char *value)
{
    const char *text = json_string_value(json_object_get(row, column));
    return text && strcmp(text, value) == 0;
}

/* The platform keeps the text of an answer, or the whole answer if it finds no text: a task, or its
 * own acknowledgment for a peer that polls. */
static void tell(struct delegated *delegated, const char *text)
{
    json_t *answer = jsontext_read(text, strlen(text), NULL, NULL);
    const json_t *value = json_object_get(answer, "result");
    struct result result = {0};
    if (json_object_get(answer, "delivery_mode") &&
        reply_read_answer(false, text, strlen(text)) == REPLY_ANSWER_QUEUED) {
        delegated->done(DELEGATED_QUEUED, text, delegated->context);
    } else if (value && json_object_get(answer, "jsonrpc") && result_read(value, &result)) {
        char *failure = memory_format(
            "the peer's task ended as %s%s%s", result.state ? result.state : "failed",
            result.text && *result.text ? ": " : "", result.text ? result.text : "");
        bool failed = result.kind == RESULT_FAILURE;
        delegated->done(failed ? DELEGATED_FAILED : DELEGATED_COMPLETED,
                        failed        ? failure
                        : result.text ? result.text
                                      : "",
                        delegated->context);
        free(failure);
    } else {
        delegated->done(DELEGATED_COMPLETED, text, delegated->context);
    }
    result_free(&result);
    json_decref(answer);
}

/* true: it is over, and `done` was called. For a failure T1 writes the id into the first row, not
 * into the result's. */
static bool read_row(struct delegated *delegated, const json_t *row)
{
    bool result = has(row, "method", "delegate_result") && is_ours(delegated, row, "response_body");
    bool task = has(row, "method", "delegate") && is_ours(delegated, row, "request_body");
    const char *problem = json_string_value(json_object_get(row, "error_detail"));
    if ((result || task) && has(row, "status", "failed")) {
        delegated->done(DELEGATED_FAILED, problem ? problem : "the delegation failed",
                        delegated->context);
        return true;
    }
    if (!result)
        return false;
    const char *text = text_at(row, "response_body", "text");
    text = text ? text : "";
    tell(delegated, text);
    return true;
}

static void on_answer(const struct call_answer *answer, void *context)
{
    struct delegated *delegated = context;
    json_t *rows = answer->verdict.class == RETRY_OK
                       ? jsontext_read(answer->body, answer->body_length, NULL, NULL)
                       : NULL;
    bool over = false;
    for (size_t i = 0; !over && i < json_array_size(rows); i++)
        over = read_row(delegated, json_array_get(rows, i));
    json_decref(rows);
    if (over)
        return;
    struct link *link = delegated->link;
    int64_t floor_ms = EACH_MS * (int64_t)link->delegations,
            quiet_ms = link->budget.quiet_until_ms - clock_monotonic_ms();
    floor_ms = answer->verdict.floor_ms > floor_ms ? answer->verdict.floor_ms : floor_ms;
    floor_ms = quiet_ms > floor_ms ? quiet_ms : floor_ms;
    timer_arm(&delegated->timer, on_timer,
              retry_next_delay(&delegated->pause, floor_ms, random_number()));
}

static void fetch(struct delegated *delegated)
{
    struct link *link = delegated->link;
    struct platform_fetch wanted = {.type = "delegation", .limit = LIMIT};
    struct call_limits limits = {.timeout_ms = TIMEOUT_MS, .response_maximum = ANSWER_MAXIMUM};
    link_call(link, &delegated->call,
              platform_activity(&link->platform, link->token.current, &wanted), &limits, on_answer,
              delegated);
}

struct delegated *delegated_look(struct link *link, const char *delegation_id,
                                 delegated_callback *done, void *context)
{
    struct delegated *delegated = memory_allocate(sizeof *delegated);
    *delegated = (struct delegated){.link = link,
                                    .id = memory_copy_text(delegation_id),
                                    .done = done,
                                    .context = context,
                                    .pause = {.base_ms = 200, .cap_ms = PAUSE_CAP_MS}};
    link->delegations++;
    uv_timer_init(&link->shared->network->loop, &delegated->timer);
    delegated->timer.data = delegated;
    fetch(delegated);
    return delegated;
}

void delegated_cancel(struct delegated *delegated)
{
    if (!delegated)
        return;
    delegated->link->delegations--;
    call_cancel(&delegated->call);
    uv_close((uv_handle_t *)&delegated->timer, free_delegated);
}
