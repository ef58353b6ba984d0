#include "messages/spans.h"

#include "base/clock.h"
#include "messages/inbox.h"
#include "script/script.h"

void span_message(const char *workspace_id, const struct inbox_entry *entry)
{
    bool dead = entry->dead || entry->outcome == OUTCOME_DEAD;
    trace_record(&(struct trace_span){
        .context = &entry->trace,
        .parent = entry->trace_parent,
        .kind = entry->message && entry->message->served ? TRACE_SERVER : TRACE_CONSUMER,
        .name = "message",
        .took_ms = clock_steady_ms() - entry->first_seen_ms,
        .problem = dead ? "a dead letter" : NULL,
        .values = {{TRACE_WORKSPACE, .text = workspace_id},
                   {TRACE_ROW, .text = entry->row_id},
                   {TRACE_PEER, .text = entry->source},
                   {TRACE_OUTCOME,
                    .text = message_outcome_text(dead ? OUTCOME_DEAD : entry->outcome)},
                   {TRACE_ATTEMPT, .number = entry->attempts},
                   {TRACE_OPERATION, .text = "invoke_agent"}},
        .value_count = 6,
    });
}

void span_post(const struct inbox_entry *entry, const char *peer_id, int64_t started_ms)
{
    struct trace_context context;
    trace_below(&entry->trace, SPAN_POST, &context);
    trace_record(&(struct trace_span){
        .context = &context,
        .parent = entry->trace.span_id,
        .kind = TRACE_PRODUCER,
        .name = "post reply",
        .took_ms = clock_monotonic_ms() - started_ms,
        .values = {{TRACE_ROW, .text = entry->row_id},
                   {TRACE_PEER, .text = peer_id ? peer_id : "canvas"}},
        .value_count = 2,
    });
}

void span_attempt(const struct inbox_entry *entry, const struct script_job *job, int64_t took_ms)
{
    const struct script_outcome *outcome = &job->outcome;
    bool failed = outcome->kind == SCRIPT_FAILED;
    trace_record(&(struct trace_span){
        .context = &job->trace,
        .parent = entry->trace.span_id,
        .kind = TRACE_INTERNAL,
        .name = "attempt",
        .took_ms = took_ms,
        .problem = failed ? (outcome->reason ? outcome->reason : "it failed") : NULL,
        .values = {{TRACE_ROW, .text = entry->row_id},
                   {TRACE_ATTEMPT, .number = job->attempt},
                   {TRACE_RESULT, .text = script_outcome_text(outcome->kind)}},
        .value_count = 3,
    });
}

void span_ask(const struct script_ask *ask, int64_t started_ms)
{
    bool sends = ask->kind == SCRIPT_ASK_SEND || ask->kind == SCRIPT_ASK_DELEGATE;
    if (!sends && ask->kind != SCRIPT_ASK_NOTIFY && ask->kind != SCRIPT_ASK_PEERS)
        return;
    trace_record(&(struct trace_span){
        .context = &ask->trace.context,
        .parent = ask->trace.parent,
        .kind = sends ? TRACE_PRODUCER : TRACE_CLIENT,
        .name = script_ask_text(ask->kind),
        .took_ms = clock_monotonic_ms() - started_ms,
        .problem = ask->problem,
        .values = {{TRACE_ROW, .text = ask->row_id ? ask->row_id : ""},
                   {TRACE_PEER, .text = ask->key ? ask->key : ""}},
        .value_count = sends ? 2 : 1,
    });
}
