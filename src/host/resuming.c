/* What an earlier process left: messages that were being handled when it ended, and those that wait
 * in the ledger, with or without their reply. */
#include "host/workspace.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/plural.h"
#include "host/running.h"

#include <stdio.h>

static void resume_reply(struct workspace *workspace, struct inbox_entry *entry,
                         struct journal_loaded *loaded)
{
    struct stored_reply *stored = memory_allocate(sizeof *stored);
    stored->request = loaded->reply;
    stored->restarted = true;
    loaded->reply = (struct reply_request){0};
    entry->context = stored;
    log_debug(workspace->settings.id,
              "message %s: its reply was stored by an earlier process and is posted",
              entry->row_id);
}

bool workspace_check_interrupted(struct workspace *workspace, struct inbox_entry *entry)
{
    char reason[160];
    if (!running_interrupted(workspace->running, entry))
        return false;
    entry->failures++; /* the attempt under way ended with its process */
    if (entry->failures >= workspace->settings.max_attempts) {
        snprintf(reason, sizeof reason, "the process ended %u time%s while it handled this message",
                 entry->failures, plural(entry->failures));
        log_error(workspace->settings.id, "message %s is set aside as a dead letter: %s",
                  entry->row_id, reason);
        running_forget(workspace->running, entry);
        inbox_start(workspace->inbox, entry);
        inbox_post(workspace->inbox, entry);
        workspace_dead(workspace, entry, reason, NULL);
        return true;
    }
    log_warn(workspace->settings.id,
             "message %s was being handled when an earlier process ended (attempt %u); it runs "
             "again, alone",
             entry->row_id, entry->attempts);
    entry->suspect = true;
    workspace->suspects++;
    return false;
}

/* A dead letter that somebody retried, though it is none to answer. */
static void resume_unreadable(struct workspace *workspace, struct inbox_entry *entry)
{
    const char *reason = entry->message->problem ? entry->message->problem
                                                 : envelope_kind_text(entry->message->kind);
    log_error(workspace->settings.id, "message %s stays a dead letter, it cannot be handled: %s",
              entry->row_id, reason);
    inbox_start(workspace->inbox, entry);
    inbox_post(workspace->inbox, entry);
    workspace_dead(workspace, entry, reason, NULL);
}

/* What is left of a wait that an earlier process began. Never more than it was: the clock may have
 * been set back since. */
static int64_t left_ms(const struct journal_loaded *loaded)
{
    int64_t left = loaded->due_ms - clock_steady_ms(), whole = loaded->due_ms - loaded->updated_ms;
    return loaded->due_ms <= 0 || left <= 0 ? 0 : left < whole ? left : whole;
}

/* An earlier process's time that lies ahead of ours says nothing: then it was seen before
 * everything. */
static int64_t seen_ms(const struct journal_loaded *loaded)
{
    return loaded->first_seen_ms <= clock_steady_ms() ? loaded->first_seen_ms : 0;
}

void workspace_resume(struct workspace *workspace, struct journal_loaded *loaded, bool moves_cursor)
{
    struct page_row row = {.bytes = loaded->row ? loaded->row : "", .length = loaded->row_length};
    struct message *message = envelope_read(row, workspace->settings.id);
    if (!message->row_id)
        message->row_id = memory_copy_text(loaded->row_id);
    message_shed_large(message, row);
    struct inbox_entry *entry = inbox_admit(workspace->inbox, message, row.bytes, row.length,
                                            moves_cursor);
    if (entry) {
        entry->attempts = loaded->attempts;
        entry->failures = loaded->failures;
        entry->first_seen_ms = seen_ms(loaded);
        entry->awake_from_ms = clock_awake_ms() - loaded->age_ms;
        int64_t wait_ms = left_ms(loaded);
        if (wait_ms > 0) {
            entry->not_before_ms = clock_monotonic_ms() + wait_ms;
            entry->aside = !loaded->hold;
        }
        if (entry->message->kind != ENVELOPE_MESSAGE)
            resume_unreadable(workspace, entry);
        else if (loaded->reply.body)
            resume_reply(workspace, entry, loaded);
        else
            workspace_check_interrupted(workspace, entry);
        if (!moves_cursor)
            inbox_keep(workspace->inbox, entry);
    }
    journal_loaded_free(loaded);
}
