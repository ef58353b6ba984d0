#include "messages/cancel.h"

#include "base/clock.h"
#include "base/log.h"
#include "link/link.h"
#include "messages/outcome.h"
#include "script/script.h"
#include "wire/jsontext.h"

#include <jansson.h>
#include <string.h>
#include <strings.h>

#define METHOD "tasks/cancel"

struct canceling {
    struct dispatch *dispatch;
    const char *source; /* NULL: the canvas */
    int64_t asked_us;   /* when the row was created: later messages are not meant */
    /* of a task, a message or a row; NULL: all from that source, or everything for the canvas */
    const char *id;
    struct inbox_entry *waiting; /* for its next attempt */
    size_t count;
};

static bool is_id(const char *id, const char *candidate)
{
    return candidate && strcmp(id, candidate) == 0;
}

static bool is_meant(const struct canceling *canceling, const struct inbox_entry *entry)
{
    const struct message *message = entry->message;
    int64_t created_us;
    if (!entry->stamp || !clock_parse(entry->stamp, &created_us) ||
        created_us > canceling->asked_us)
        return false;
    bool own = canceling->source
                   ? message->source_id && strcasecmp(canceling->source, message->source_id) == 0
                   : true;
    if (!own || !canceling->id)
        return own;
    return is_id(canceling->id, entry->row_id) || is_id(canceling->id, message->message_id) ||
           is_id(canceling->id, message->task_id) || is_id(canceling->id, message->context_id);
}

static void look(struct inbox_entry *entry, void *context)
{
    struct canceling *canceling = context;
    if (!entry->message || !is_meant(canceling, entry))
        return;
    if (entry->state == INBOX_RUNNING && entry->job && !entry->job->canceled) {
        entry->canceled = true; /* it may be on its way out, to wait for something */
        script_cancel(canceling->dispatch->script, entry->job);
        canceling->count++;
    } else if (inbox_is_waiting(entry) && !entry->reply &&
               (entry->attempts > 0 ||
                (entry->has_steps && entry->not_before_ms > clock_monotonic_ms()))) {
        canceling->waiting = entry;
    }
}

bool cancel_carry_out(struct dispatch *dispatch, const struct message *message, bool in_order)
{
    if (!message->method || strcmp(message->method, METHOD) != 0)
        return false;
    int64_t asked_us;
    if (!in_order || !message->created_at || !clock_parse(message->created_at, &asked_us)) {
        log_info(LOG_CANCEL_LATE, dispatch->link->options->id,
                 "row %s: " METHOD " comes too late; nothing is canceled", message->row_id);
        return true;
    }
    json_t *envelope = jsontext_read(message->raw, message->raw_length, NULL, NULL);
    const char *id = json_string_value(json_object_get(json_object_get(envelope, "params"), "id"));
    struct canceling canceling = {
        .dispatch = dispatch, .source = message->source_id, .id = id, .asked_us = asked_us};
    inbox_each(dispatch->inbox, look, &canceling);
    while (canceling.waiting) {
        struct inbox_entry *entry = canceling.waiting;
        canceling.waiting = NULL;
        canceling.count++;
        log_info(
            LOG_MESSAGE_CANCELED,
            inbox_subject(dispatch->link->options->id, entry, script_outcome_text(SCRIPT_CANCELED)),
            "message %s from %s: canceled between two attempts", entry->row_id,
            inbox_sender(entry));
        outcome_finish(dispatch, entry, script_outcome_text(SCRIPT_CANCELED));
        inbox_each(dispatch->inbox, look, &canceling);
    }
    log_info(LOG_CANCEL_RECEIVED, dispatch->link->options->id,
             "row %s from %s: " METHOD ", %zu handler%s canceled", message->row_id,
             message->source_id ? message->source_id : "the canvas", canceling.count,
             canceling.count == 1 ? "" : "s");
    json_decref(envelope);
    return true;
}

bool cancel_message(struct dispatch *dispatch, const char *row_id)
{
    struct inbox_entry *entry = inbox_find(dispatch->inbox, row_id);
    if (!entry)
        return false;
    entry->canceled = true; /* the handler may be on its way out, to wait for something */
    if (entry->state == INBOX_RUNNING && entry->job) {
        script_cancel(dispatch->script, entry->job);
    } else if (inbox_is_waiting(entry) && !entry->reply) {
        log_info(
            LOG_MESSAGE_CANCELED,
            inbox_subject(dispatch->link->options->id, entry, script_outcome_text(SCRIPT_CANCELED)),
            "message %s from %s: canceled before it was handled", entry->row_id,
            inbox_sender(entry));
        outcome_finish(dispatch, entry, script_outcome_text(SCRIPT_CANCELED));
    }
    return true;
}
