#include "messages/observer.h"

#include "base/log.h"
#include "base/memory.h"
#include "messages/inbox.h"
#include "script/script_types.h"
#include "wire/artifacts.h"
#include "wire/jsontext.h"
#include "wire/reply_request.h"
#include "wire/served.h"

#include <stdlib.h>

/* What a script or the platform said, without tokens. */
static char *copy_words(const char *words)
{
    char *copy = memory_copy_text(words);
    if (copy)
        log_redact(copy);
    return copy;
}

static void tell_of(const struct observer *observer, const char *row_id,
                    struct molecule_event event)
{
    if (!observer->event)
        return;
    const char **words[] = {&event.reason, &event.traceback, &event.key};
    char *copies[sizeof words / sizeof *words];
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        *words[i] = copies[i] = copy_words(*words[i]);
    event.workspace_id = observer->workspace_id;
    event.row_id = row_id;
    observer->event(observer->context, &event);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        free(copies[i]);
}

static void tell(const struct observer *observer, const struct inbox_entry *entry,
                 struct molecule_event event)
{
    tell_of(observer, entry->row_id, event);
}

void observer_script(const struct observer *observer, const char *problem)
{
    tell_of(observer, NULL,
            (struct molecule_event){.kind = MOLECULE_EVENT_SCRIPT, .reason = problem});
}

static bool is_of_client(const struct message *message)
{
    return message && message->served && !served_pushed(message);
}

void observer_attempt(const struct observer *observer, const struct inbox_entry *entry)
{
    const struct message *message = entry->message;
    bool of_client = is_of_client(message);
    tell(observer, entry,
         (struct molecule_event){.kind = MOLECULE_EVENT_ATTEMPT,
                                 .attempt = entry->attempts,
                                 .principal = of_client ? entry->source : NULL,
                                 .text = of_client ? message->text : NULL,
                                 .schedule = message->run ? entry->source : NULL});
}

void observer_said(const struct observer *observer, const struct script_said *said)
{
    struct molecule_event event = {.kind = MOLECULE_EVENT_LOG, .level = said->level};
    if (said->what)
        event = (struct molecule_event){.kind = MOLECULE_EVENT_ASKED,
                                        .what = said->what,
                                        .call = said->call,
                                        .took_ms = said->took_ms};
    if (said->is_msg)
        event.kind = MOLECULE_EVENT_MSG;
    event.text = said->text;
    tell_of(observer, said->row_id, event);
}

void observer_asked(const struct observer *observer, const struct script_ask *ask)
{
    tell_of(observer, ask->row_id,
            (struct molecule_event){.kind = MOLECULE_EVENT_ASKED,
                                    .what = script_ask_text(ask->kind),
                                    .key = ask->key,
                                    .text = ask->reply.text});
}

void observer_told(const struct observer *observer, const struct script_ask *ask, int64_t took_ms)
{
    tell_of(observer, ask->row_id,
            (struct molecule_event){.kind = MOLECULE_EVENT_TOLD,
                                    .what = script_ask_text(ask->kind),
                                    .key = ask->key,
                                    .reason = ask->problem,
                                    .wall_ms = took_ms});
}

void observer_ended(const struct observer *observer, const struct inbox_entry *entry,
                    const struct script_outcome *outcome, int64_t wall_ms)
{
    tell(observer, entry,
         (struct molecule_event){.kind = MOLECULE_EVENT_ENDED,
                                 .outcome = outcome->asleep ? "asleep"
                                                            : script_outcome_text(outcome->kind),
                                 .reason = outcome->reason,
                                 .traceback = outcome->traceback,
                                 .attempt = entry->attempts,
                                 .wall_ms = wall_ms,
                                 .cpu_ms = outcome->cpu_ms,
                                 .memory_bytes = (int64_t)outcome->memory_bytes});
}

void observer_reply(const struct observer *observer, const struct inbox_entry *entry)
{
    tell(observer, entry,
         (struct molecule_event){.kind = MOLECULE_EVENT_REPLY,
                                 .reply = entry->reply->body,
                                 .reply_length = entry->reply->body_length});
}

void observer_answer(const struct observer *observer, const struct inbox_entry *entry,
                     const struct reply *reply)
{
    char problem[256];
    size_t i;
    const json_t *artifact;
    if (!observer->event)
        return;
    json_t *parts = artifacts_reply_parts(reply, problem, sizeof problem);
    if (!parts)
        parts = json_array();
    json_array_foreach (reply->artifacts, i, artifact)
        json_array_extend(parts, json_object_get(artifact, "parts"));
    char *text = jsontext_print(parts);
    tell(observer, entry, (struct molecule_event){.kind = MOLECULE_EVENT_ANSWER, .text = text});
    free(text);
    json_decref(parts);
}

void observer_exchange(const struct observer *observer, const char *text)
{
    tell_of(observer, NULL, (struct molecule_event){.kind = MOLECULE_EVENT_EXCHANGE, .text = text});
}

void observer_later(const struct observer *observer, const struct inbox_entry *entry,
                    int64_t again_ms, const char *reason)
{
    tell(observer, entry,
         (struct molecule_event){.kind = MOLECULE_EVENT_LATER,
                                 .outcome = entry->wait.asleep ? "asleep" : NULL,
                                 .again_ms = again_ms,
                                 .reason = reason});
}

void observer_finished(const struct observer *observer, const struct inbox_entry *entry,
                       const char *outcome, const char *reason, const char *traceback)
{
    /* what answers a question has no attempt */
    bool untold = is_of_client(entry->message) && served_answers(entry->message);
    tell(observer, entry,
         (struct molecule_event){.kind = MOLECULE_EVENT_FINISHED,
                                 .principal = untold ? entry->source : NULL,
                                 .text = untold ? entry->message->text : NULL,
                                 .outcome = outcome,
                                 .reason = reason,
                                 .traceback = traceback});
}
