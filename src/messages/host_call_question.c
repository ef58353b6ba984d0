/* Questions of handlers (ctx.ask): each is recorded, posted and closed; what becomes of them
 * otherwise is decided where rows arrive (questions.h). */
#include "messages/host_call.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/timer.h"
#include "messages/questions.h"
#include "wire/jsontext.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_MAXIMUM_MS 10000 /* how long a poll is waited for */

/* Takes the object. */
static void answer_json(struct host_call *call, json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(object);
    host_call_answer(call, text, text ? strlen(text) : 0);
}

/* --- a new one --- */

static void answer_asked(struct host_call *call, struct question *question)
{
    json_t *value = question_describe(question);
    bool may_post = questions_may_post(call->calls->questions, question);
    question->waits_turn = !may_post;
    json_object_set_new(value, "may_post", json_boolean(may_post));
    answer_json(call, value);
}

static void record(struct host_call *call, const char *key, const char *kind, json_t *value,
                   void (*then)(void *context, struct changes *changes))
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS);
    struct journal_handler_step step = {
        .row_id = call->ask->row_id, .key = key, .kind = kind, .digest = "", .value = text};
    step.durable = host_call_durable(call);
    call->recording = true;
    uv_timer_stop(&call->timer);
    journal_step_record(call->calls->journal, &step, NULL, then, call);
    free(text);
    json_decref(value);
}

static void on_asked(void *context, struct changes *changes)
{
    struct host_call *call = context;
    struct host_calls *calls = call->calls;
    changes_free(changes);
    call->recording = false;
    if (!call->ask) {
        host_call_end(call);
        return;
    }
    calls->advanced(calls->context, call->ask->row_id);
    struct question *question = questions_find(calls->questions, call->ask->row_id, call->ask->key);
    if (question)
        answer_asked(call, question);
    else
        answer_json(call, json_null());
}

/* Also one whose answer is being recorded. */
static const struct question *find_asked(const struct host_call *call)
{
    const struct question *each = call->calls->questions->first;
    while (each &&
           (strcmp(each->row_id, call->ask->row_id) != 0 || strcmp(each->key, call->ask->key) != 0))
        each = each->next;
    return each;
}

/* An earlier run of the handler may have asked it while it waited for the same look at the inbox.
 * It is recorded once. */
static void ask_now(struct host_call *call)
{
    const struct script_ask *ask = call->ask;
    struct host_calls *calls = call->calls;
    struct inbox_entry *entry = inbox_find_running(calls->inbox, ask->row_id);
    json_t *spec = json_loadb(ask->text, ask->text_length, 0, NULL);
    if (!entry || !spec) {
        json_decref(spec);
        host_call_fail(call, entry ? "out of memory" : "its message is no longer handled",
                       "UNAVAILABLE");
        return;
    }
    const struct question *question = find_asked(call);
    if (!question)
        question = questions_ask(calls->questions, entry->message, ask->key, spec);
    json_decref(spec);
    entry->has_steps = true; /* whatever becomes of this run, the question goes with its message */
    record(call, ask->key, "ask", question_describe(question), on_asked);
}

/* --- the end of one --- */

static void on_closed(void *context, struct changes *changes)
{
    struct host_call *call = context;
    struct question *question = call->question;
    struct host_calls *calls = call->calls;
    changes_free(changes);
    call->recording = false;
    call->question = NULL;
    answer_json(call, json_true());
    questions_close(calls->questions, question);
}

static void close_with(struct host_call *call, struct question *question, json_t *value)
{
    char *key = memory_join(call->ask->key, "/answer");
    question->closing = true;
    call->question = question;
    record(call, key, "answer", value, on_closed);
    free(key);
}

/* What a peer answered in its HTTP response. */
static void close_with_answer(struct host_call *call, struct question *question)
{
    json_t *given = json_loadb(call->ask->text, call->ask->text_length, JSON_ALLOW_NUL, NULL);
    const char *text = json_string_value(json_object_get(given, "text"));
    const char *choice = text && question->choices ? question_choice(question->choices, text)
                                                   : NULL;
    if (question->choices && !choice) { /* it may still come */
        json_decref(given);
        answer_json(call, json_false());
        return;
    }
    json_t *value = json_object();
    json_object_set(value, "text", json_object_get(given, "text"));
    json_object_set_new(value, "from", json_string(question->peer));
    if (choice)
        json_object_set_new(value, "choice", json_string(choice));
    json_decref(given);
    close_with(call, question, value);
}

static json_t *problem_value(const char *problem, const char *code)
{
    return json_pack("{s:o, s:s}", "problem", jsontext_string(problem, strlen(problem)), "code",
                     code);
}

static bool is(const struct host_call *call, const char *how)
{
    return strcmp(call->ask->step.kind, how) == 0;
}

/* A function that lost a race was about to ask it. */
static void drop_looking(struct host_calls *calls, const struct script_ask *closed)
{
    for (struct host_call *call = calls->first; call; call = call->next) {
        const struct script_ask *ask = call->looking ? call->ask : NULL;
        if (!ask || ask->kind != SCRIPT_ASK_QUESTION || strcmp(ask->row_id, closed->row_id) != 0 ||
            strcmp(ask->key, closed->key) != 0)
            continue;
        host_call_fail(call, "it is no longer asked", "CANCELLED");
        return;
    }
}

static void close_now(struct host_call *call)
{
    const struct script_ask *ask = call->ask;
    struct question *question = questions_find(call->calls->questions, ask->row_id, ask->key);
    if (!question) {
        drop_looking(call->calls, ask);
        answer_json(call, json_true()); /* or the handler that runs again finds the answer */
    } else if (is(call, "ANSWER"))
        close_with_answer(call, question);
    else
        close_with(call, question, problem_value(ask->text, ask->step.kind));
}

/* --- a look at the inbox first --- */

static void act(struct host_call *call)
{
    call->looking = false;
    uv_timer_stop(&call->timer);
    if (call->ask->kind == SCRIPT_ASK_QUESTION)
        ask_now(call);
    else
        close_now(call);
}

/* The inbox cannot be read now. A question is asked all the same; none is given up. */
static void on_looked_long_enough(uv_timer_t *timer)
{
    struct host_call *call = (struct host_call *)timer;
    if (call->ask->kind == SCRIPT_ASK_QUESTION) {
        act(call);
        return;
    }
    call->looking = false;
    answer_json(call, json_false());
}

static void look_first(struct host_call *call)
{
    struct host_calls *calls = call->calls;
    call->looking = true;
    if (calls->link->options->serve || calls->link->pushed) { /* there is no inbox to look at */
        act(call);
        return;
    }
    timer_arm(&call->timer, on_looked_long_enough, LOOK_MAXIMUM_MS);
    calls->look(calls->context);
}

void host_calls_polled(struct host_calls *calls, int64_t since_ms)
{
    struct host_call *oldest;
    do { /* they are asked in the order in which their handlers ask */
        oldest = NULL;
        for (struct host_call *call = calls->first; call; call = call->next)
            if (call->looking && since_ms >= call->started_ms)
                oldest = call;
        if (oldest)
            act(oldest);
    } while (oldest);
}

void host_calls_ask_again(struct host_calls *calls)
{
    struct questions *questions = calls->questions;
    if (!questions->say_again)
        return;
    questions->say_again = false;
    for (const struct question *each = questions->first; each; each = each->next) {
        if (each->deadline_ms == 0)
            continue;
        struct message to = {
            .row_id = each->row_id, .source_id = each->peer, .context_id = each->context_id};
        char *words = questions_announce(questions, each), *purpose = question_purpose(each),
             *again = memory_join(purpose, "/again");
        host_calls_say(calls, &to, words, again, true);
        free(again);
        free(purpose);
        free(words);
    }
}

/* --- what handlers ask --- */

void host_call_question(struct host_call *call)
{
    const struct script_ask *ask = call->ask;
    struct question *question = questions_find(call->calls->questions, ask->row_id, ask->key);
    if (question)
        answer_asked(call, question);
    else if (ask->text)
        look_first(call); /* what was sent before it does not answer it */
    else
        answer_json(call, json_null());
}

static void on_posted(void *context, struct changes *changes)
{
    struct host_call *call = context;
    changes_free(changes);
    call->recording = false;
    if (!call->ask) {
        host_call_end(call);
        return;
    }
    const struct question *question = questions_find(call->calls->questions, call->ask->row_id,
                                                     call->ask->key);
    answer_json(call, question ? json_integer(question->deadline_ms) : json_null());
}

void host_call_posted(struct host_call *call)
{
    const struct script_ask *ask = call->ask;
    struct question *question = questions_find(call->calls->questions, ask->row_id, ask->key);
    if (!question) {
        answer_json(call, json_null());
        return;
    }
    question_set_posted(question, ask->text);
    char *key = memory_join(ask->key, "/posted");
    record(call, key, "posted",
           json_pack("{s:I, s:s?}", "deadline_ms", (json_int_t)question->deadline_ms, "task_id",
                     question->task_id),
           on_posted);
    free(key);
}

void host_call_close(struct host_call *call)
{
    if (is(call, "TIMEOUT"))
        look_first(call); /* an answer that was sent in time wins */
    else
        close_now(call);
}
