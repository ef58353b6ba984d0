/* The rows of a page on their way into the inbox: read, looked up in the ledger, admitted. */
#include "host/arrival.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "host/reread.h"
#include "host/host_calls.h"
#include "wire/envelope.h"
#include "wire/jsontext.h"

#include <jansson.h>

#include <stdlib.h>
#include <string.h>

#define NAMELESS_SAY_EVERY_MS 60000

/* A row without an id comes with every poll until another follows it. */
static void say_nameless(struct workspace *workspace, const struct message *message)
{
    struct poller *poller = &workspace->poller;
    int64_t now = clock_monotonic_ms();
    if (poller->nameless_said_ms && now - poller->nameless_said_ms < NAMELESS_SAY_EVERY_MS)
        return;
    poller->nameless_said_ms = now;
    log_error(workspace->settings.id,
              "row without an id cannot be read and is set aside: %s; the inbox continues",
              message->problem ? message->problem : "?");
}

void workspace_tells(struct workspace *workspace, const char *body, size_t length)
{
    struct page_row value, object = {.bytes = body, .length = length};
    if (!page_member(object, "message", &value))
        return;
    json_t *text = jsontext_read(value.bytes, value.length, NULL, NULL);
    if (json_is_string(text))
        echoes_told(&workspace->echoes, json_string_value(text));
    json_decref(text);
}

/* What follows the inbox's end as this process has seen it once: no earlier process can have seen
 * that. */
static bool is_new(const struct poller *poller)
{
    return poller->seen_end && !poller->window && !poller->rereading;
}

/* What an earlier process of ours told is in the inbox before its end was seen. */
static void look_at_echo(struct workspace *workspace, const struct message *message)
{
    const char *text = json_string_value(json_object_get(message->response_body, "result"));
    const struct poller *poller = &workspace->poller;
    if (text && !echoes_take(&workspace->echoes, text) && is_new(poller) &&
        echoes_say(&workspace->echoes, clock_monotonic_ms()))
        log_warn(workspace->settings.id,
                 "the canvas was told something this host did not send: \"%.60s\" (row %s); if "
                 "another host serves this "
                 "workspace, with another state directory or on another machine, both answer every "
                 "message: stop one of them",
                 text, message->row_id);
}

/* Every row becomes an entry; what is nothing to answer, or was answered before, is finished at
 * once. */
static void admit(struct workspace *workspace, struct fetched *fetched, enum ledger_state state)
{
    const char *id = workspace->settings.id;
    struct message *message = fetched->message;
    bool in_order = !workspace->poller.rereading;
    fetched->message = NULL;
    if (message->kind == ENVELOPE_ECHO)
        look_at_echo(workspace, message);
    if (!in_order && state != LEDGER_UNKNOWN) { /* the inbox has forgotten it; it is nothing new */
        message_free(message);
        return;
    }
    if (!message->row_id) {
        say_nameless(workspace, message);
        message_free(message);
        return;
    }
    enum envelope_kind kind = message->kind;
    if (message->repaired && kind == ENVELOPE_MESSAGE)
        log_debug(id, "row %s is not quite JSON; the script gets a repaired copy", message->row_id);
    struct inbox_entry *entry = inbox_admit(workspace->inbox, message, fetched->row,
                                            fetched->row_length, in_order);
    if (!entry)
        return;
    entry->first_seen_ms = clock_steady_ms();
    entry->awake_from_ms = clock_awake_ms();
    if (!in_order)
        log_debug(id, "row %s came late", entry->row_id);
    if (in_order && kind == ENVELOPE_MESSAGE && state == LEDGER_UNKNOWN) {
        workspace->poller.found = true;
        event_stream_found(workspace);
    }
    bool cancels = state == LEDGER_UNKNOWN &&
                   (kind == ENVELOPE_MESSAGE || kind == ENVELOPE_EMPTY) &&
                   workspace_cancels(workspace, message, in_order);
    if (cancels) { /* recorded: it is not to be carried out again after a restart */
        inbox_start(workspace->inbox, entry);
        inbox_post(workspace->inbox, entry);
        workspace_finish(workspace, entry, script_outcome_text(SCRIPT_CANCELED));
    } else if (state != LEDGER_UNKNOWN) {
        log_debug(id, "row %s is known already: %s", entry->row_id, ledger_state_text(state));
        inbox_finish(workspace->inbox, entry);
    } else if (kind == ENVELOPE_UNREADABLE) {
        log_error(id, "row %s cannot be read and is set aside: %s; the inbox continues",
                  entry->row_id, message->problem ? message->problem : "?");
        inbox_start(workspace->inbox, entry);
        workspace_dead(workspace, entry, message->problem ? message->problem : "it cannot be read",
                       NULL);
    } else if (kind != ENVELOPE_MESSAGE) {
        log_debug(id, "row %s skipped: %s", entry->row_id, envelope_kind_text(kind));
        inbox_finish(workspace->inbox, entry);
    } else if (host_calls_take_answer(workspace, entry)) {
        return;
    } else if (!workspace_check_interrupted(workspace, entry) && !in_order) {
        workspace_keep(workspace, entry, 0, "it was committed late");
    }
}

void arrival_drop(struct poller *poller)
{
    for (size_t i = 0; poller->deferred && i < poller->fetched_count; i++)
        deferred_put(poller->deferred, poller->fetched[i].message->row_id);
    if (poller->deferred) {
        free(poller->recovered_to);
        poller->recovered_to = NULL;
    }
    for (size_t i = 0; i < poller->fetched_count; i++) {
        message_free(poller->fetched[i].message);
        free(poller->fetched[i].row);
    }
    free(poller->fetched);
    poller->fetched = NULL;
    poller->fetched_count = poller->fetched_capacity = 0;
}

void arrival_cut(struct poller *poller, size_t count)
{
    while (poller->fetched_count > count) {
        struct fetched *last = &poller->fetched[--poller->fetched_count];
        message_free(last->message);
        free(last->row);
    }
}

static bool has_fetched(const struct poller *poller, size_t count, const char *row_id)
{
    for (size_t i = 0; row_id && i < count; i++)
        if (poller->fetched[i].message->row_id &&
            strcmp(poller->fetched[i].message->row_id, row_id) == 0)
            return true;
    return false;
}

static struct message *read_row(struct workspace *workspace, const struct page_row *row)
{
    struct message *message = envelope_read(*row, workspace->settings.id);
    if (message->message_id)
        announced_came(workspace->poller.announced, message->message_id);
    if (message->seq >= 0)
        workspace->poller.numbered = true;
    return message;
}

static void append(struct poller *poller, struct message *message, const struct page_row *row)
{
    /* it waits as bytes: parsed it may be a hundred times as large */
    message_shed_large(message, *row);
    if (poller->fetched_count == poller->fetched_capacity) {
        poller->fetched_capacity = poller->fetched_capacity ? poller->fetched_capacity * 2 : 16;
        poller->fetched = memory_resize(poller->fetched,
                                        poller->fetched_capacity * sizeof *poller->fetched);
    }
    poller->fetched[poller->fetched_count++] = (struct fetched){
        .message = message,
        .row = memory_copy(row->bytes, row->length),
        .row_length = row->length,
    };
}

void arrival_collect(struct workspace *workspace, const struct page *page)
{
    struct poller *poller = &workspace->poller;
    size_t before = poller->fetched_count;
    for (size_t i = 0; i < page->count; i++) {
        struct message *message = read_row(workspace, &page->rows[i]);
        /* only a further page of a window can repeat a row: T1 ignores before_ts */
        if (before > 0 && has_fetched(poller, before, message->row_id))
            message_free(message);
        else
            append(poller, message, &page->rows[i]);
    }
}

void arrival_collect_deferred(struct workspace *workspace, const struct page *page)
{
    struct poller *poller = &workspace->poller;
    for (size_t i = 0; i < page->count; i++) {
        struct message *message = read_row(workspace, &page->rows[i]);
        free(poller->recovered_to);
        poller->recovered_to = memory_copy_text(message->created_at);
        bool wanted = message->row_id && deferred_take(poller->deferred, message->row_id);
        if (wanted && !inbox_known(workspace->inbox, message->row_id))
            append(poller, message, &page->rows[i]);
        else
            message_free(message);
    }
}

static void collect_before_first(struct workspace *workspace, const struct page *page)
{
    struct poller *poller = &workspace->poller;
    for (size_t i = 0; i < page->count; i++) {
        struct message *message = read_row(workspace, &page->rows[i]);
        if (reread_take_before(poller->reread, message->row_id, message->created_at) &&
            message->row_id && !inbox_known(workspace->inbox, message->row_id))
            append(poller, message, &page->rows[i]);
        else
            message_free(message);
    }
    arrival_reverse(poller);
    reread_window_end(poller->reread);
}

bool arrival_collect_again(struct workspace *workspace, const struct page *page)
{
    struct poller *poller = &workspace->poller;
    if (reread_wants_window(poller->reread)) {
        collect_before_first(workspace, page);
        return false;
    }
    char *last = NULL;
    bool inside = true;
    for (size_t i = 0; i < page->count && inside; i++) {
        struct message *message = read_row(workspace, &page->rows[i]);
        inside = reread_take(poller->reread, message->row_id, message->created_at);
        if (inside && message->row_id) {
            free(last);
            last = memory_copy_text(message->row_id);
        }
        if (inside && message->row_id && !inbox_known(workspace->inbox, message->row_id))
            append(poller, message, &page->rows[i]);
        else
            message_free(message);
    }
    bool cut = reread_page_end(poller->reread, last, (int)page->count >= poller->asked,
                               clock_monotonic_ms());
    free(last);
    return cut;
}

void arrival_reverse(struct poller *poller)
{
    for (size_t i = 0, j = poller->fetched_count; i + 1 < j; i++) {
        struct fetched moved = poller->fetched[i];
        poller->fetched[i] = poller->fetched[--j];
        poller->fetched[j] = moved;
    }
}

static void admit_fetched(struct workspace *workspace, const struct journal_known *known)
{
    struct poller *poller = &workspace->poller;
    size_t asked = 0;
    for (size_t i = 0; i < poller->fetched_count; i++) {
        struct fetched *fetched = &poller->fetched[i];
        enum ledger_state state = LEDGER_UNKNOWN;
        struct journal_loaded *loaded = NULL;
        if (known && fetched->asked) {
            state = known->states[asked];
            loaded = known->loaded[asked];
            known->loaded[asked++] = NULL;
        }
        if (loaded)
            workspace_resume(workspace, loaded, !poller->rereading);
        else
            admit(workspace, fetched, state);
        free(fetched->row); /* the inbox has a copy: a page is not to be there twice */
        fetched->row = NULL;
    }
    arrival_drop(poller);
    poller->checking = false;
    if (poller->window)
        poller->seen_end = false;
    else if (!poller->rereading && !poller->more)
        poller->seen_end = true;
    poller_admitted(workspace);
    workspace_dispatch(workspace);
    saver_request(workspace);
}

static void on_known(struct workspace *workspace, struct journal_known *known)
{
    if (workspace->poller.checking)
        admit_fetched(workspace, known);
}

/* What an earlier process finished is not handled again, whatever brings it back: the ledger knows.
 */
void arrival_admit(struct workspace *workspace)
{
    struct poller *poller = &workspace->poller;
    size_t count = 0;
    const char **ids = memory_allocate((poller->fetched_count + 1) * sizeof *ids);
    for (size_t i = 0; i < poller->fetched_count; i++) {
        struct fetched *fetched = &poller->fetched[i];
        const char *row_id = fetched->message->row_id;
        fetched->asked = row_id && !inbox_known(workspace->inbox, row_id) &&
                         (fetched->message->kind == ENVELOPE_MESSAGE ||
                          fetched->message->kind == ENVELOPE_UNREADABLE);
        if (fetched->asked)
            ids[count++] = row_id;
    }
    poller->checking = true;
    if (count == 0 || !journal_exists(workspace->journal) || is_new(poller))
        admit_fetched(workspace, NULL);
    else
        /* only what stands behind our cursor can be ours again: a window, or an reread, reaches
         * before it */
        journal_known(workspace->journal, ids, count, !poller->window && !poller->rereading,
                      on_known);
    free(ids);
}
