#include "journal/cursor_writer.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/timer.h"
#include "journal/journal.h"

#include <stdlib.h>
#include <string.h>

#define SAVE_EVERY_MS 250
#define RETRY_MAXIMUM_MS 30000
/* without a cursor the time of the last poll is what a restart needs; */
#define POLL_EVERY_MS 30000
#define POLL_EACH_MS 30 /* plus this for each workspace: the disk has other work */

static void save(struct cursor_writer *writer);

static void on_timer(uv_timer_t *timer)
{
    save(timer->data);
}

static struct cursor_now look(const struct cursor_writer *writer)
{
    struct cursor_now now = {0};
    writer->env.look(writer->env.context, &now);
    return now;
}

static int64_t covered_ms(const struct cursor_writer *writer)
{
    return writer->env.covered_ms(writer->env.context);
}

static bool needs_save(const struct cursor_writer *writer, const struct cursor_now *now)
{
    return writer->lost || now->deferred_changes != writer->saved_deferred ||
           (now->watermark && (!writer->saved || strcmp(now->watermark, writer->saved) != 0));
}

static void work(void *context)
{
    struct cursor_writer *writer = context;
    /* the ledger first, durably: the file must not say more than it can prove */
    writer->result = journal_sync(writer->env.journal, writer->writing, writer->writing_stamp,
                                  writer->writing_covered_ms, writer->writing_problem,
                                  sizeof writer->writing_problem);
    if (!writer->result)
        return;
    if (!writer->cursor.members)
        writer->cursor.members = json_object();
    if (writer->writing_covered_ms > 0)
        json_object_set_new(writer->cursor.members, "last_poll_ms",
                            json_integer(writer->writing_covered_ms));
    if (writer->writing_deferred)
        json_object_set(writer->cursor.members, "deferred", writer->writing_deferred);
    else
        json_object_del(writer->cursor.members, "deferred");
    for (int tries = 0; tries < 2; tries++) {
        writer->result = cursor_save(&writer->cursor, writer->writing, writer->writing_problem,
                                     sizeof writer->writing_problem);
        if (writer->result)
            break;
        reserve_lend(writer->env.reserve); /* a descriptor may be lacking */
    }
    reserve_fill(writer->env.reserve);
}

static void succeeded(struct cursor_writer *writer)
{
    if (writer->failing)
        log_info(LOG_STATE_RECOVERED, writer->env.workspace_id, "state: saved again");
    writer->failing = false;
    writer->failures = 0;
    writer->lost = false;
    writer->saved_deferred = writer->deferred_changes;
    free(writer->saved);
    writer->saved = writer->writing;
    writer->writing = NULL;
}

static void failed(struct cursor_writer *writer)
{
    writer->failures++;
    memcpy(writer->problem, writer->writing_problem, sizeof writer->problem);
    if (writer->failures == 1 || writer->failures % 20 == 0)
        log_error(LOG_STATE_FAILING, writer->env.workspace_id, "state: %s; continuing and retrying",
                  writer->problem);
    writer->failing = true;
    free(writer->writing);
    writer->writing = NULL;
}

static void done(void *context)
{
    struct cursor_writer *writer = context;
    writer->busy = false;
    if (writer->result)
        succeeded(writer);
    else
        failed(writer);
    if (!writer->final) {
        cursor_writer_request(writer);
        return;
    }
    struct cursor_now now = look(writer);
    bool through = writer->result ? !needs_save(writer, &now) : writer->failures > 3;
    if (!through) {
        save(writer);
        return;
    }
    if (!writer->result)
        log_error(LOG_STATE_FAILING, writer->env.workspace_id,
                  "state: the last save failed; messages answered since "
                  "the last successful one may be answered again");
    writer->env.saved(writer->env.context);
}

static void save(struct cursor_writer *writer)
{
    if (writer->busy)
        return;
    struct cursor_now now = look(writer);
    free(writer->writing_stamp);
    writer->writing_stamp = memory_copy_text(now.stamp);
    writer->busy = true;
    writer->last_save_ms = clock_monotonic_ms();
    writer->writing = memory_copy_text(now.watermark ? now.watermark : writer->saved);
    writer->writing_covered_ms = covered_ms(writer);
    writer->deferred_changes = now.deferred_changes;
    json_decref(writer->writing_deferred);
    writer->writing_deferred = writer->env.list_deferred(writer->env.context);
    disk_run(writer->env.disk, writer->env.network, work, done, writer);
}

void cursor_writer_request(struct cursor_writer *writer)
{
    if (writer->busy || writer->final)
        return;
    struct cursor_now now = look(writer);
    int64_t gap = SAVE_EVERY_MS;
    if (!needs_save(writer, &now)) {
        if (writer->saved || covered_ms(writer) == 0)
            return;
        gap = POLL_EVERY_MS + POLL_EACH_MS * (int64_t)*writer->env.workspaces;
    }
    if (writer->failing) {
        gap = 1000 * (int64_t)writer->failures;
        gap = gap < RETRY_MAXIMUM_MS ? gap : RETRY_MAXIMUM_MS;
    }
    int64_t left = writer->last_save_ms ? writer->last_save_ms + gap - clock_monotonic_ms() : 0;
    if (left <= 0)
        save(writer);
    else /* an armed timer may be that of the next poll's time, which is later than a cursor may
            wait */
        timer_arm(&writer->timer, on_timer, left);
}

void cursor_writer_finish(struct cursor_writer *writer)
{
    writer->final = true;
    writer->failures = 0;
    uv_timer_stop(&writer->timer);
    if (writer->busy)
        return; /* `done` continues */
    struct cursor_now now = look(writer);
    /* an older last-poll time only makes the next start look back further: not worth making
       thousands wait */
    bool noted = writer->env.fleet && (writer->saved || writer->last_save_ms > 0);
    if (needs_save(writer, &now) || (!noted && covered_ms(writer) > 0))
        save(writer);
    else
        writer->env.saved(writer->env.context);
}

const char *cursor_writer_problem(const struct cursor_writer *writer)
{
    return writer->failing ? writer->problem : NULL;
}

void cursor_writer_open(struct cursor_writer *writer, const struct cursor_writer_env *env,
                        const char *saved, bool lost)
{
    writer->env = *env;
    writer->timer.data = writer;
    writer->saved = memory_copy_text(saved);
    writer->lost = lost;
}

void cursor_writer_close(struct cursor_writer *writer)
{
    cursor_free(&writer->cursor);
    json_decref(writer->writing_deferred);
    free(writer->saved);
    free(writer->writing);
    free(writer->writing_stamp);
}
