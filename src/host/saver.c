/* Saves the watermark: on the disk thread, the latest wins, a few times a second at most, always at
 * the end. */
#include "host/workspace.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define SAVE_EVERY_MS 250
#define RETRY_MAXIMUM_MS 30000
/* without a cursor the time of the last poll is what a restart needs; */
#define POLL_EVERY_MS 30000
#define POLL_EACH_MS 30 /* so much later for each workspace: the disk has other things to do */

static void save(struct workspace *workspace);

static void on_timer(uv_timer_t *timer)
{
    save(timer->data);
}

static bool needs_save(const struct workspace *workspace)
{
    const struct saver *saver = &workspace->saver;
    const char *watermark = inbox_watermark(workspace->inbox);
    bool deferred = inbox_kept_changes(workspace->inbox) != saver->saved_deferred;
    return saver->lost || deferred ||
           (watermark && (!saver->saved || strcmp(watermark, saver->saved) != 0));
}

static void work(void *context)
{
    struct workspace *workspace = context;
    struct saver *saver = &workspace->saver;
    /* first the ledger, durably: the file must not say more than it can prove */
    saver->result = journal_sync(workspace->journal, saver->writing, saver->writing_stamp,
                                 saver->writing_poll_ms, saver->writing_problem,
                                 sizeof saver->writing_problem);
    if (!saver->result)
        return;
    if (!saver->cursor.members)
        saver->cursor.members = json_object();
    if (saver->writing_poll_ms > 0)
        json_object_set_new(saver->cursor.members, "last_poll_ms",
                            json_integer(saver->writing_poll_ms));
    if (saver->writing_deferred)
        json_object_set(saver->cursor.members, "deferred", saver->writing_deferred);
    else
        json_object_del(saver->cursor.members, "deferred");
    for (int tries = 0; tries < 2; tries++) {
        saver->result = cursor_save(&saver->cursor, saver->writing, saver->writing_problem,
                                    sizeof saver->writing_problem);
        if (saver->result)
            break;
        reserve_lend(&workspace->host->reserve); /* it may be for want of a descriptor */
    }
    reserve_fill(&workspace->host->reserve);
}

static void done(void *context)
{
    struct workspace *workspace = context;
    struct saver *saver = &workspace->saver;
    saver->busy = false;
    if (saver->result) {
        if (saver->failing)
            log_info(workspace->settings.id, "state: saved again");
        saver->failing = false;
        saver->failures = 0;
        saver->lost = false;
        saver->saved_deferred = saver->deferred_changes;
        free(saver->saved);
        saver->saved = saver->writing;
        saver->writing = NULL;
    } else {
        saver->failures++;
        memcpy(saver->problem, saver->writing_problem, sizeof saver->problem);
        if (saver->failures == 1 || saver->failures % 20 == 0)
            log_error(workspace->settings.id, "state: %s; continuing and retrying", saver->problem);
        saver->failing = true;
        free(saver->writing);
        saver->writing = NULL;
    }
    if (saver->final && (saver->result || saver->failures > 3) &&
        !(saver->result && needs_save(workspace))) {
        if (!saver->result)
            log_error(workspace->settings.id,
                      "state: the last save failed; messages answered since the last one that "
                      "succeeded may be answered again");
        workspace_saved(workspace);
    } else if (saver->final) {
        save(workspace);
    } else {
        saver_request(workspace);
    }
}

static void save(struct workspace *workspace)
{
    struct saver *saver = &workspace->saver;
    if (saver->busy)
        return;
    const char *watermark = inbox_watermark(workspace->inbox);
    const char *stamp = inbox_watermark_stamp(workspace->inbox);
    free(saver->writing_stamp);
    saver->writing_stamp = memory_copy_text(stamp);
    saver->busy = true;
    saver->last_save_ms = clock_monotonic_ms();
    saver->writing = memory_copy_text(watermark ? watermark : saver->saved);
    saver->writing_poll_ms = poller_covered_ms(workspace);
    saver->deferred_changes = inbox_kept_changes(workspace->inbox);
    json_decref(saver->writing_deferred);
    saver->writing_deferred = deferred_list(workspace->inbox, workspace->poller.deferred);
    host_on_disk(workspace->host, work, done, workspace);
}

void saver_request(struct workspace *workspace)
{
    struct saver *saver = &workspace->saver;
    if (saver->busy || saver->final)
        return;
    int64_t gap = SAVE_EVERY_MS;
    if (!needs_save(workspace)) {
        if (saver->saved || workspace->poller.covered_ms == 0)
            return;
        gap = POLL_EVERY_MS + POLL_EACH_MS * (int64_t)workspace->host->open_workspaces;
    }
    if (saver->failing) {
        gap = 1000 * (int64_t)saver->failures;
        gap = gap < RETRY_MAXIMUM_MS ? gap : RETRY_MAXIMUM_MS;
    }
    int64_t left = saver->last_save_ms ? saver->last_save_ms + gap - clock_monotonic_ms() : 0;
    if (left <= 0)
        save(workspace);
    /* an armed timer may be that of the next poll's time, which is later than a cursor may wait */
    else
        workspace_arm(&saver->timer, on_timer, left);
}

void saver_finish(struct workspace *workspace)
{
    struct saver *saver = &workspace->saver;
    saver->final = true;
    saver->failures = 0;
    uv_timer_stop(&saver->timer);
    if (saver->busy)
        return; /* `done` goes on */
    /* an older time of the last poll makes the next start look back further, no more: not worth the
     * wait of thousands */
    bool noted = workspace->host->options.fleet && (saver->saved || saver->last_save_ms > 0);
    if (needs_save(workspace) || (workspace->poller.covered_ms > 0 && !noted))
        save(workspace);
    else
        workspace_saved(workspace);
}

void saver_close(struct workspace *workspace)
{
    struct saver *saver = &workspace->saver;
    cursor_free(&saver->cursor);
    json_decref(saver->writing_deferred);
    free(saver->saved);
    free(saver->writing);
    free(saver->writing_stamp);
}
