#include "messages/dispatch.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/timer.h"
#include "journal/attempts.h"
#include "journal/journal.h"
#include "link/heartbeat.h"
#include "messages/door.h"
#include "messages/outcome.h"
#include "messages/spans.h"
#include "script/script.h"
#include "wire/served.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define UNCOUNTED_AGAIN_MS 1000 /* after an attempt that could not be counted */

struct attempt {
    struct script_job job; /* first */
    struct dispatch *dispatch;
    struct inbox_entry *entry;
    int64_t started_ms;
    bool large; /* its message is parsed for the attempt alone */
    struct attempt_counts counts;
    char problem[512]; /* why the attempt could not be counted */
};

/* --- what no handler sees --- */

/* Another molecule host's reply is marked (wire/reply.c). If these were answered by default, two
 * hosts would talk forever; so would two scripts that ask each other. false: it is a message for
 * the script. */
static bool passes_over(struct dispatch *dispatch, struct inbox_entry *entry)
{
    const struct message *message = entry->message;
    const struct molecule_workspace_options *options = dispatch->link->options;
    bool too_many = message->hops > 0 && message->hops >= options->max_hops;
    bool unwanted = message->in_reply_to && !dispatch->answers_replies;
    if (!too_many && !unwanted)
        return false;
    if (unwanted)
        log_info(LOG_MESSAGE_SKIPPED,
                 inbox_subject(options->id, entry, script_outcome_text(SCRIPT_SKIPPED)),
                 "message %s from %s: skipped: it is a reply to ours (an agent with "
                 "answers_replies = true sees these)",
                 entry->row_id, inbox_sender(entry));
    else
        log_warn(LOG_MESSAGE_SKIPPED,
                 inbox_subject(options->id, entry, script_outcome_text(SCRIPT_SKIPPED)),
                 "message %s from %s: skipped: it is the %dth message in a row between agents "
                 "(--max-hops)",
                 entry->row_id, inbox_sender(entry), message->hops);
    if (message->in_reply_to)
        host_calls_remember_answer(&dispatch->calls, inbox_content(entry, options->id));
    outcome_finish(dispatch, entry, "answer");
    return true;
}

static bool is_allowed(const struct molecule_workspace_options *options,
                       const struct message *message)
{
    const char *sender = message->source_id ? message->source_id : "canvas";
    bool allowed = options->allowed_sender_count == 0;
    for (size_t i = 0; i < options->allowed_sender_count && !allowed; i++)
        allowed = strcasecmp(options->allowed_senders[i], sender) == 0;
    return allowed;
}

/* false: its sender is answered. */
static bool turns_away(struct dispatch *dispatch, struct inbox_entry *entry)
{
    const struct molecule_workspace_options *options = dispatch->link->options;
    bool own = entry->message->served && !served_pushed(entry->message);
    if (entry->message->run || own || is_allowed(options, entry->message))
        return false;
    log_info(LOG_MESSAGE_SKIPPED,
             inbox_subject(options->id, entry, script_outcome_text(SCRIPT_SKIPPED)),
             "message %s from %s: skipped: sender not in --allow-from", entry->row_id,
             inbox_sender(entry));
    outcome_finish(dispatch, entry, script_outcome_text(SCRIPT_SKIPPED));
    return true;
}

/* --- an attempt --- */

/* The disk is full, or gone: the handler was not run. */
static void could_not_count(struct dispatch *dispatch, struct attempt *attempt)
{
    if (!dispatch->uncounted[0])
        log_error(LOG_STATE_FAILING, dispatch->link->options->id,
                  "state: %s; nothing is handled or posted until it can be written again",
                  attempt->problem);
    snprintf(dispatch->uncounted, sizeof dispatch->uncounted, "%s", attempt->problem);
    heartbeat_record(dispatch->heartbeat, attempt->problem);
    inbox_retry(dispatch->inbox, attempt->entry, clock_monotonic_ms() + UNCOUNTED_AGAIN_MS, true,
                false);
}

static void on_handled(struct script_job *job)
{
    struct attempt *attempt = (struct attempt *)job;
    struct dispatch *dispatch = attempt->dispatch;
    struct inbox_entry *entry = attempt->entry;
    bool over = dispatch->link->over; /* the drain timed out: it is redelivered at the next start */
    entry->job = NULL;
    if (attempt->large)
        message_shed(entry->message); /* it is still parsed if it did not fit */
    attempts_leave(dispatch->attempts, entry->place,
                   !over && job->outcome.kind != SCRIPT_AGAIN && !job->outcome.asleep);
    int64_t took_ms = clock_monotonic_ms() - attempt->started_ms;
    if (!over && !attempt->problem[0]) {
        message_count_attempt(&dispatch->counts, &job->outcome, took_ms);
        span_attempt(entry, job, took_ms);
        observer_ended(&dispatch->observer, entry, &job->outcome, took_ms);
    }
    if (over)
        inbox_retry(dispatch->inbox, entry, 0, true, false);
    else if (attempt->problem[0])
        could_not_count(dispatch, attempt);
    else
        outcome_apply(dispatch, entry, &job->outcome, took_ms);
    script_outcome_free(&job->outcome);
    free(attempt);
    dispatch->events.ended(dispatch->context);
}

/* On the worker thread, before the handler. */
static bool on_starting(struct script_job *job)
{
    struct attempt *attempt = (struct attempt *)job;
    return attempts_mark(attempt->dispatch->attempts, attempt->entry->place, job->message->row_id,
                         attempt->counts, attempt->problem, sizeof attempt->problem);
}

static void start_handler(struct dispatch *dispatch, struct inbox_entry *entry)
{
    bool served = entry->message->served;
    int64_t held_ms = served ? 0 : breaker_wait(&dispatch->breaker, entry);
    if (held_ms > 0) {
        outcome_defer(dispatch, entry, held_ms, "its peer is held (--breaker)");
        return;
    }
    check(!entry->job && !entry->changes);
    inbox_start(dispatch->inbox, entry);
    unsigned before = entry->attempts - 1;
    struct attempt *attempt = memory_allocate(sizeof *attempt);
    attempt->dispatch = dispatch;
    attempt->entry = entry;
    attempt->large = entry->message->shed;
    entry->place = attempts_take(dispatch->attempts, entry->row_id);
    attempt->counts = (struct attempt_counts){entry->attempts, entry->failures};
    attempt->job.message = entry->message;
    attempt->job.row = (struct page_row){.bytes = entry->row, .length = entry->row_length};
    attempt->job.attempt = entry->attempts;
    attempt->job.redelivered = before > 0;
    attempt->job.has_steps = entry->has_steps |= before > 0;
    attempt->job.retries = entry->retries;
    if (*entry->trace.trace_id) {
        char name[32];
        snprintf(name, sizeof name, "attempt/%u", entry->attempts);
        trace_below(&entry->trace, name, &attempt->job.trace);
    }
    attempt->job.starting = on_starting;
    attempt->job.done = on_handled;
    entry->job = &attempt->job;
    attempt->started_ms = entry->begun_ms = clock_monotonic_ms();
    observer_attempt(&dispatch->observer, entry);
    if (served && dispatch->door)
        dispatch->door->begun(dispatch->door->context, entry->message);
    script_submit(dispatch->script, &attempt->job);
}

/* --- what is next --- */

static void on_timer(uv_timer_t *timer)
{
    dispatch_step(timer->data);
}

size_t dispatch_active(const struct dispatch *dispatch)
{
    return inbox_running(dispatch->inbox) + inbox_answering(dispatch->inbox);
}

void dispatch_step(struct dispatch *dispatch)
{
    if (!dispatch->link->running || journal_problem(dispatch->journal))
        return;
    naming_step(&dispatch->naming);
    int64_t wait_ms = -1;
    unsigned concurrency = dispatch->suspects > 0 ? 1 : dispatch->concurrency;
    while (inbox_running(dispatch->inbox) < concurrency) {
        struct inbox_entry *entry = inbox_next(dispatch->inbox, clock_monotonic_ms(), &wait_ms);
        if (!entry)
            break;
        if (entry->reply) {
            inbox_start(dispatch->inbox, entry);
            inbox_record(dispatch->inbox, entry);
            outbox_post(&dispatch->outbox, entry);
        } else if (!passes_over(dispatch, entry) && !turns_away(dispatch, entry)) {
            start_handler(dispatch, entry);
        }
    }
    if (wait_ms >= 0)
        timer_arm(&dispatch->timer, on_timer, wait_ms);
    heartbeat_changed(dispatch->heartbeat, dispatch_active(dispatch));
    if (inbox_running(dispatch->inbox) > 0 || dispatch->naming.under_way)
        dispatch->events.handling(dispatch->context);
}

/* The message waits for an answer to its question, or for its turn to ask. */
static void on_wake(void *context, const char *row_id)
{
    struct dispatch *dispatch = context;
    struct inbox_entry *entry = inbox_find(dispatch->inbox, row_id);
    if (!entry || dispatch->link->over)
        return;
    inbox_wake(entry, clock_monotonic_ms());
    dispatch->events.ended(dispatch->context);
}

static void on_look(void *context)
{
    struct dispatch *dispatch = context;
    dispatch->events.look(dispatch->context);
}

static void on_named(void *context)
{
    struct dispatch *dispatch = context;
    if (!dispatch->link->over)
        dispatch->events.ended(dispatch->context);
}

void dispatch_suspect(struct dispatch *dispatch, struct inbox_entry *entry)
{
    entry->suspect = true;
    dispatch->suspects++;
}

void dispatch_changes_stand(struct dispatch *dispatch, struct changes *changes)
{
    if (!dispatch->link->over) {
        script_unlock(dispatch->script, changes->locks);
        for (size_t i = 0; i < changes->upload_count; i++)
            host_calls_acknowledge(&dispatch->calls, changes->uploads[i]);
    }
    changes_free(changes);
}

/* --- wiring --- */

void dispatch_open(struct dispatch *dispatch)
{
    struct link *link = dispatch->link;
    dispatch->timer.data = dispatch;
    dispatch->concurrency = 1;
    dispatch->breaker.options = link->options;
    dispatch->calls = (struct host_calls){.link = link,
                                          .observer = &dispatch->observer,
                                          .counts = &dispatch->counts,
                                          .inbox = dispatch->inbox,
                                          .echoes = &dispatch->echoes,
                                          .answered = outcome_answered,
                                          .advanced = outcome_advanced,
                                          .look = on_look,
                                          .questions = &dispatch->questions,
                                          .context = dispatch};
    dispatch->schedules.link = link;
    dispatch->schedules.inbox = dispatch->inbox;
    dispatch->outbox = (struct outbox){.link = link,
                                       .inbox = dispatch->inbox,
                                       .breaker = &dispatch->breaker,
                                       .echoes = &dispatch->echoes,
                                       .counts = &dispatch->counts,
                                       .observer = &dispatch->observer,
                                       .events = outcome_outbox_events,
                                       .context = dispatch};
    dispatch->questions.wake = on_wake;
    dispatch->questions.context = dispatch;
    dispatch->naming = (struct naming){.workspace_id = link->options->id,
                                       .inbox = dispatch->inbox,
                                       .named = on_named,
                                       .context = dispatch};
}

void dispatch_set_journal(struct dispatch *dispatch, struct journal *journal,
                          struct attempts *attempts)
{
    dispatch->journal = dispatch->calls.journal = dispatch->outbox.journal = journal;
    dispatch->schedules.journal = journal;
    dispatch->attempts = dispatch->naming.attempts = attempts;
}

void dispatch_set_door(struct dispatch *dispatch, struct door *door)
{
    dispatch->door = door;
    dispatch->calls.door = door;
}

void dispatch_set_script(struct dispatch *dispatch, struct script *script)
{
    dispatch->script = dispatch->naming.script = script;
}

void dispatch_close(struct dispatch *dispatch)
{
    outbox_close(&dispatch->outbox, true);
    host_calls_close(&dispatch->calls);
    schedules_close(&dispatch->schedules);
    breaker_close(&dispatch->breaker);
    questions_free(&dispatch->questions);
    echoes_free(&dispatch->echoes);
}
