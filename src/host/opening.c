/* What a workspace finds on disk when it opens: the directory, the lock, the cursor file, the
 * ledger. */
#include "host/workspace.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/plural.h"
#include "host/running.h"
#include "state/atomic_file.h"
#include "state/lock.h"
#include "state/private_directory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *state_path(const struct molecule_workspace_options *settings, const char *ending)
{
    return memory_format("%s/%s.%s", settings->state_directory, settings->id, ending);
}

/* A damaged cursor file is replaced by the ledger's copy; without one nothing is guessed. */
static bool recover_cursor(struct workspace *workspace, const char *what, const char *copy,
                           char *problem, size_t problem_size)
{
    const struct molecule_workspace_options *settings = &workspace->settings;
    struct cursor *cursor = &workspace->saver.cursor;
    if (!copy) {
        snprintf(
            problem, problem_size,
            "%s; it says how far the inbox was answered, so nothing is guessed: repair it, or "
            "start afresh with "
            "--reset-state (it is kept beside as .reset; messages of the last %lld s are answered)",
            what, (long long)settings->since_secs);
        return false;
    }
    char *aside = memory_format("%s.damaged", cursor->path);
    bool moved = rename(cursor->path, aside) == 0;
    if (moved)
        log_warn(settings->id, "%s; recovered from the ledger's copy; the damaged file is %s", what,
                 aside);
    else
        snprintf(problem, problem_size, "%s; it cannot be moved to %s: %s", what, aside,
                 strerror(errno));
    free(aside);
    free(cursor->last_since_id);
    cursor->last_since_id = memory_copy_text(copy);
    return moved;
}

/* Not in a ledger that was lost, or is not yet complete again. */
static bool is_known(const char *row_id, void *journal)
{
    return journal_knows(journal, row_id);
}

/* Up to when the inbox was read. Another client's file does not say; what that one wrote last, it
 * had read then. */
static int64_t read_until_ms(const struct cursor *cursor, int64_t ledger_ms)
{
    int64_t file_ms = clock_bound_ms(
        json_integer_value(json_object_get(cursor->members, "last_poll_ms")));
    int64_t until_ms = ledger_ms > file_ms ? ledger_ms : file_ms;
    struct stat file;
    if (until_ms > 0 || !cursor->last_since_id || stat(cursor->path, &file) != 0)
        return until_ms;
    return clock_bound_ms((int64_t)file.st_mtim.tv_sec * 1000);
}

/* What the ledger knows: the messages that an earlier process left go on. */
static bool open_record(struct workspace *workspace, enum cursor_status status, const char *what,
                        char *problem, size_t problem_size)
{
    const char *id = workspace->settings.id;
    struct cursor *cursor = &workspace->saver.cursor;
    struct journal_start start;
    char *path = state_path(&workspace->settings, "db");
    const char *platform = workspace->settings.platform_name;
    workspace->journal = journal_open(workspace, path,
                                      platform ? platform : workspace->platform.base_url);
    journal_load(workspace->journal, cursor->last_since_id, status != CURSOR_DAMAGED, &start);
    bool opened = !start.failed;
    if (!opened)
        snprintf(problem, problem_size, "%s", start.problem);
    if (start.set_aside)
        log_error(id,
                  "%s; it was moved to %s.damaged-…, and a fresh ledger begins: which messages "
                  "were answered is known "
                  "from the cursor alone, one under way at the end may be answered again",
                  start.set_aside, path);
    if (opened && status == CURSOR_DAMAGED)
        opened = recover_cursor(workspace, what, start.cursor, problem, problem_size);
    if (start.taken_over)
        log_info(id, "another client moved the cursor since this one ran last; what it passed "
                     "counts as answered elsewhere");
    if (opened) {
        char *runs = state_path(&workspace->settings, "runs");
        if (start.taken_over)
            unlink(runs); /* what was under way is the other client's */
        workspace->running = running_open(workspace, runs);
        free(runs);
        workspace->saver.saved = memory_copy_text(cursor->last_since_id);
        workspace->saver.lost = status == CURSOR_DAMAGED;
        poller_open(workspace, cursor->last_since_id, start.anchor,
                    read_until_ms(cursor, start.last_poll_ms));
        struct deferred *deferred = deferred_read(cursor->members);
        deferred_leave_out(deferred, is_known, workspace->journal);
        poller_recover(workspace, deferred);
        if (start.open_count > 0)
            log_info(id, "resuming %zu message%s from an earlier run", start.open_count,
                     plural(start.open_count));
    }
    if (opened && workspace->host->options.fleet)
        journal_rest(workspace->journal);
    while (start.open) {
        struct journal_loaded *loaded = start.open;
        start.open = loaded->next;
        if (opened)
            workspace_resume(workspace, loaded, false);
        else
            journal_loaded_free(loaded);
    }
    free(start.cursor);
    free(start.anchor);
    free(start.set_aside);
    free(path);
    return opened;
}

/* Many that open at the start need not look through the same large directory each. */
static bool has_leftovers(struct host *host, const char *directory)
{
    if (!host->options.fleet || host->running)
        return true;
    if (!host->swept_directory || strcmp(host->swept_directory, directory) != 0) {
        free(host->swept_directory);
        host->swept_directory = memory_copy_text(directory);
        host->leftovers = atomic_file_leftovers(directory);
    }
    return host->leftovers;
}

/* The directory, the lock, the cursor, the ledger. Blocks on the disk: nothing runs yet. */
bool workspace_open_state(struct workspace *workspace, char *problem, size_t problem_size)
{
    const struct molecule_workspace_options *settings = &workspace->settings;
    if (!atomic_file_make_directory(settings->state_directory, problem, problem_size))
        return false;
    enum private_directory checked = private_directory_check(settings->state_directory, problem,
                                                             problem_size);
    if (checked == PRIVATE_DIRECTORY_REFUSED)
        return false;
    if (checked == PRIVATE_DIRECTORY_TIGHTENED)
        log_warn(settings->id,
                 "state: %s was open to other users and holds a token; its mode is now 0700",
                 settings->state_directory);
    workspace->state_path = realpath(settings->state_directory, NULL);
    if (!workspace->state_path)
        workspace->state_path = memory_copy_text(settings->state_directory);
    char *lock = state_path(settings, "lock");
    workspace->lock = lock_take(lock, problem, problem_size);
    free(lock);
    if (workspace->lock < 0)
        return false;
    char *path = state_path(settings, "json"), what[512];
    if (has_leftovers(workspace->host, settings->state_directory))
        atomic_file_sweep(path);
    if (settings->reset_state) {
        char *aside = memory_format("%s.reset", path);
        int error = rename(path, aside) == 0 ? 0 : errno;
        if (error == 0)
            log_info(settings->id, "state: starting afresh; the old file is %s", aside);
        else if (error != ENOENT)
            snprintf(problem, problem_size, "--reset-state: cannot move %s to %s: %s", path, aside,
                     strerror(error));
        free(aside);
        if (error != 0 && error != ENOENT) {
            free(path);
            return false;
        }
    }
    enum cursor_status status = cursor_load(&workspace->saver.cursor, path, settings->id, what,
                                            sizeof what);
    free(path);
    return open_record(workspace, status, what, problem, problem_size);
}
