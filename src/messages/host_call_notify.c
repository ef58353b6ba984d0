/* Messages to the canvas, shown once however often their handler runs. */
#include "messages/host_call.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/uuid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a handler shows is marked by its place in the handler: a later attempt does not show it
 * again. The mark is a digest of what was shown, which is how receipts are told apart
 * (ledger_count_same). */
#define UNSURE "?" /* it may have been shown */

static void mark_shown(struct host_call *call, const char *mark,
                       void (*then)(void *context, char *value))
{
    char *key = memory_format("notify/%s", call->request.id);
    call->recording = true;
    journal_answer_set(call->calls->journal, key, mark, then, call);
    free(key);
}

static void on_shown_marked(void *context, char *value)
{
    struct host_call *call = context;
    free(value);
    call->recording = false;
    host_call_answer(call, memory_copy_text(""), 0);
}

void host_call_shown(struct host_call *call)
{
    char digest[UUID_TEXT_SIZE];
    uuid_of_name(call->request.body, digest);
    if (call->ask->row_id)
        mark_shown(call, digest, on_shown_marked);
    else
        host_call_answer(call, memory_copy_text(""), 0);
}

static void forget_mark(void *context, char *value)
{
    (void)context;
    free(value);
}

/* Its answer will never be seen. */
void host_call_mark_unsure(struct host_call *call)
{
    char *key = memory_format("notify/%s", call->request.id);
    journal_answer_set(call->calls->journal, key, UNSURE, forget_mark, NULL);
    free(key);
}

static void on_unsure_marked(void *context, char *value)
{
    struct host_call *call = context;
    free(value);
    call->recording = false;
    host_call_fail(call, call->problem, "UNCONFIRMED");
}

/* It may have been shown, and nothing can tell now: the next attempt looks for it. */
void host_call_show_unsure(struct host_call *call, const struct call_answer *given)
{
    snprintf(call->problem, sizeof call->problem, "%s", given->verdict.reason);
    if (call->ask->row_id)
        mark_shown(call, UNSURE, on_unsure_marked);
    else
        host_call_fail(call, call->problem, "UNCONFIRMED");
}

static void on_show_receipt(bool found, void *context)
{
    struct host_call *call = context;
    call->receipt = NULL;
    if (found)
        host_call_shown(call);
    else
        host_call_transmit(call);
}

static void on_known_shown(void *context, char *value)
{
    struct host_call *call = context;
    struct host_calls *calls = call->calls;
    call->recording = false;
    if (!call->ask) {
        free(value);
        host_call_end(call);
        return;
    }
    const struct inbox_entry *entry = inbox_find_running(calls->inbox, call->ask->row_id);
    bool unsure = value ? strcmp(value, UNSURE) == 0 : entry && entry->suspect;
    if (value && !unsure) {
        calls->counts->repeats_avoided++;
        log_debug(LOG_CALL_REPEATED, calls->link->options->id,
                  "message %s: the canvas was told this by an earlier attempt", call->ask->row_id);
        host_call_answer(call, memory_copy_text(""), 0);
    } else if (unsure && entry) {
        call->receipt = receipt_look(calls->link, calls->journal, entry, &call->request,
                                     on_show_receipt, call);
    } else {
        host_call_transmit(call);
    }
    free(value);
}

void host_call_show(struct host_call *call)
{
    if (!call->ask->row_id) {
        host_call_transmit(call);
        return;
    }
    char *key = memory_format("notify/%s", call->request.id);
    call->recording = true;
    journal_answer_get(call->calls->journal, key, on_known_shown, call);
    free(key);
}
