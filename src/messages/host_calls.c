/* One question at a time is a struct host_call, from host_calls_ask to script_answer. Those to the
 * platform are repeated after transient errors until their time is up; a message to a peer that
 * only queues it keeps waiting for the reply that names it. */
#include "messages/host_call.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/uuid.h"
#include "messages/observer.h"
#include "messages/spans.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_CAP_MS 10000
#define ACK_TIMEOUT_MS 30000
#define SAY_TIMEOUT_MS 60000
#define LIMITS_EVERY_MS 600000

static void free_call(uv_handle_t *timer)
{
    struct host_call *call = (struct host_call *)timer;
    reply_request_free(&call->request);
    free(call->file_id);
    json_decref(call->delegation);
    free(call);
}

void host_call_end(struct host_call *call)
{
    struct host_call **link = &call->calls->first;
    while (*link != call)
        link = &(*link)->next;
    *link = call->next;
    call_cancel(&call->request_call);
    delegated_cancel(call->delegated);
    call->delegated = NULL;
    receipt_cancel(call->receipt);
    call->receipt = NULL;
    uv_close((uv_handle_t *)&call->timer, free_call);
}

static void end_if_idle(struct host_call *call)
{
    if (!call->recording)
        host_call_end(call);
}

static void give_back(const struct host_call *call, struct script_ask *ask)
{
    span_ask(ask, call->started_ms);
    observer_told(call->calls->observer, ask, clock_monotonic_ms() - call->started_ms);
    script_answer(ask);
}

/* Takes `value`. */
void host_call_answer(struct host_call *call, char *value, size_t length)
{
    struct script_ask *ask = call->ask;
    call->ask = NULL;
    if (ask) {
        ask->value = value;
        ask->value_length = length;
        give_back(call, ask);
    } else {
        free(value);
    }
    end_if_idle(call);
}

void host_call_fail(struct host_call *call, const char *problem, const char *code)
{
    struct script_ask *ask = call->ask;
    call->ask = NULL;
    if (ask) {
        ask->problem = memory_copy_text(problem);
        ask->code = code;
        give_back(call, ask);
    } else if (call->file_id || call->request.id) {
        log_debug(LOG_CALL_REFUSED, call->calls->link->options->id, "%s", problem);
    }
    end_if_idle(call);
}

static struct host_call *open_call(struct host_calls *calls, struct script_ask *ask,
                                   int64_t timeout_ms)
{
    struct host_call *call = memory_allocate(sizeof *call);
    call->calls = calls;
    call->ask = ask;
    call->backoff = (struct retry_backoff){.base_ms = 500, .cap_ms = BACKOFF_CAP_MS};
    call->started_ms = clock_monotonic_ms();
    call->deadline_ms = call->started_ms + timeout_ms;
    call->next = calls->first;
    calls->first = call;
    uv_timer_init(&calls->link->shared->network->loop, &call->timer);
    return call;
}

/* --- the store --- */

static void on_stored(void *context, char *value)
{
    struct host_call *call = context;
    call->recording = false;
    host_call_answer(call, value, value ? strlen(value) : 0);
}

/* The changes come back: they are the question's, if that is still open. */
static void on_committed(void *context, struct changes *changes)
{
    struct host_call *call = context;
    if (call->ask)
        call->ask->changes = changes;
    else
        changes_free(changes);
    on_stored(call, NULL);
}

static void on_step_recorded(void *context, struct changes *changes)
{
    struct host_call *call = context;
    if (call->ask)
        call->calls->advanced(call->calls->context, call->ask->row_id);
    on_committed(call, changes);
}

bool host_call_durable(const struct host_call *call)
{
    return strcmp(call->calls->link->options->step_sync, "full") == 0;
}

static void record_step(struct host_call *call)
{
    struct script_ask *ask = call->ask;
    struct changes *changes = ask->changes;
    struct journal_handler_step step = {.row_id = ask->row_id,
                                        .key = ask->key,
                                        .kind = ask->step.kind,
                                        .digest = ask->step.digest,
                                        .value = ask->text,
                                        .durable = host_call_durable(call)};
    ask->changes = NULL;
    journal_step_record(call->calls->journal, &step, changes, on_step_recorded, call);
}

static void ask_record(struct host_call *call)
{
    struct journal *journal = call->calls->journal;
    struct script_ask *ask = call->ask;
    call->recording = true;
    if (ask->kind == SCRIPT_ASK_GET)
        journal_store_get(journal, ask->key, on_stored, call);
    else if (ask->kind == SCRIPT_ASK_KEYS)
        journal_store_keys(journal, ask->key, ask->most, on_stored, call);
    else if (ask->kind == SCRIPT_ASK_STEPS)
        journal_steps_load(journal, ask->row_id, on_stored, call);
    else if (ask->kind == SCRIPT_ASK_STEP)
        record_step(call);
    else {
        struct changes *changes = ask->changes;
        ask->changes = NULL;
        journal_store_commit(journal, changes, on_committed, call);
    }
}

/* From its place in the handler, so that a handler that runs again delegates under the same key;
 * outside handlers, any. */
static void make_delegation_key(struct host_call *call)
{
    const struct script_ask *ask = call->ask;
    if (!ask->row_id) {
        uuid_random(call->delegation_key);
        return;
    }
    char *name = memory_format("%s%s%s/delegate/%u.%u/%s/%s", ask->row_id, ask->branch ? "/" : "",
                               ask->branch ? ask->branch : "", ask->retries, ask->number, ask->key,
                               ask->text);
    uuid_of_name(name, call->delegation_key);
    free(name);
}

static bool needs_platform(enum script_ask_kind kind)
{
    return kind == SCRIPT_ASK_SEND || kind == SCRIPT_ASK_NOTIFY || kind == SCRIPT_ASK_PEERS ||
           kind == SCRIPT_ASK_DELEGATE || kind == SCRIPT_ASK_FETCH || kind == SCRIPT_ASK_UPLOAD ||
           kind == SCRIPT_ASK_LIMITS;
}

void host_calls_ask(struct host_calls *calls, struct script_ask *ask)
{
    struct host_call *call = open_call(calls, ask, ask->timeout_ms);
    if (calls->closed || !calls->journal) {
        host_call_fail(call, "the host stops", "STOPPED");
        return;
    }
    if (ask->kind == SCRIPT_ASK_SEND || ask->kind == SCRIPT_ASK_DELEGATE)
        for (char *at = ask->key; *at; at++) /* as the platform writes ids */
            *at = (char)tolower((unsigned char)*at);
    if (host_call_says(call))
        return;
    if (calls->link->options->serve && needs_platform(ask->kind)) {
        host_call_fail(call, "there is no platform: molecule serve has none", "NO_PLATFORM");
        return;
    }
    switch (ask->kind) {
    case SCRIPT_ASK_STEP: calls->counts->steps++; /* fall through */
    case SCRIPT_ASK_GET:
    case SCRIPT_ASK_KEYS:
    case SCRIPT_ASK_STEPS:
    case SCRIPT_ASK_COMMIT: ask_record(call); return;
    case SCRIPT_ASK_SEND:
        if (!uuid_valid(ask->key)) {
            host_call_fail(call, "not a workspace id (a UUID); molecule.peers() lists the ids",
                           "BAD_ID");
        } else if (host_call_build_message(call)) {
            if (ask->timeout_ms < HOST_CALL_LEAST_MS)
                call->deadline_ms += HOST_CALL_LEAST_MS - ask->timeout_ms;
            call->recording = ask->may_be_known;
            if (ask->may_be_known)
                host_call_know_answer(call);
            else
                host_call_transmit(call);
        }
        return;
    case SCRIPT_ASK_NOTIFY:
        if (host_call_build_message(call))
            host_call_show(call);
        return;
    case SCRIPT_ASK_ARTIFACT: host_call_artifact(call); return;
    case SCRIPT_ASK_QUESTION: host_call_question(call); return;
    case SCRIPT_ASK_POSTED: host_call_posted(call); return;
    case SCRIPT_ASK_CLOSE: host_call_close(call); return;
    case SCRIPT_ASK_LIMITS:
        if (calls->upload_limits_ms &&
            clock_monotonic_ms() - calls->upload_limits_ms < LIMITS_EVERY_MS)
            host_call_answer_limits(call);
        else
            host_call_transmit(call);
        return;
    case SCRIPT_ASK_DELEGATE:
        if (!uuid_valid(ask->key)) {
            host_call_fail(call, "not a workspace id (a UUID); molecule.peers() lists the ids",
                           "BAD_ID");
            return;
        }
        make_delegation_key(call); /* fall through */
    case SCRIPT_ASK_PEERS:
    case SCRIPT_ASK_FETCH:
    case SCRIPT_ASK_UPLOAD: host_call_transmit(call); return;
    }
}

void host_calls_say(struct host_calls *calls, const struct message *message, const char *text,
                    const char *purpose, bool question)
{
    char problem[512];
    struct host_call *call = open_call(calls, NULL, SAY_TIMEOUT_MS);
    struct reply reply = {.text = (char *)text, .text_length = strlen(text), .question = question};
    link_fit_reply(calls->link, &reply);
    if (reply_build(message, &reply, purpose, &call->request, problem, sizeof problem)) {
        host_call_transmit(call);
    } else {
        log_debug(LOG_CALL_REFUSED, calls->link->options->id, "%s", problem);
        host_call_end(call);
    }
}

void host_calls_acknowledge(struct host_calls *calls, const char *file_id)
{
    struct host_call *call = open_call(calls, NULL, ACK_TIMEOUT_MS);
    call->file_id = memory_copy_text(file_id);
    host_call_transmit(call);
}

void host_calls_interrupt(struct host_calls *calls)
{
    struct host_call *next;
    for (struct host_call *call = calls->first; call; call = next) {
        next = call->next;
        if (call->ask && call->ask->kind == SCRIPT_ASK_NOTIFY && call->ask->row_id &&
            call_busy(&call->request_call))
            host_call_mark_unsure(call);
        if (call->ask)
            host_call_fail(call, "the host stops", "STOPPED");
        else if (!call->recording)
            host_call_end(call);
    }
}

void host_calls_close(struct host_calls *calls)
{
    calls->closed = true;
    host_calls_interrupt(calls);
    while (calls->first)
        host_call_end(calls->first);
    free(calls->upload_limits);
    calls->upload_limits = NULL;
}
