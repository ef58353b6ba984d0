#include "host/opening.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/plural.h"
#include "state/atomic_file.h"
#include "state/lock.h"
#include "state/private_directory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *opening_path(const struct molecule_workspace_options *options, const char *ending)
{
    return memory_format("%s/%s.%s", options->state_directory, options->id, ending);
}

/* A damaged cursor file is replaced by the ledger's copy; without one, opening fails. */
static bool recover_cursor(struct opening *opening, char *problem, size_t problem_size)
{
    const struct molecule_workspace_options *options = opening->options;
    struct cursor *cursor = opening->cursor;
    const char *what = opening->cursor_problem, *copy = opening->start.cursor;
    if (!copy) {
        snprintf(problem, problem_size,
                 "%s; it records how far the inbox was answered, which cannot be guessed: repair "
                 "it, or start over with --reset-state (the file is kept as .reset; messages of "
                 "the last %lld s are answered)",
                 what, (long long)options->since_secs);
        return false;
    }
    char *aside = memory_format("%s.damaged", cursor->path);
    bool moved = rename(cursor->path, aside) == 0;
    if (moved)
        log_warn(LOG_STATE_RESTORED, options->id,
                 "%s; recovered from the ledger's copy; the damaged file is %s", what, aside);
    else
        snprintf(problem, problem_size, "%s; it cannot be moved to %s: %s", what, aside,
                 strerror(errno));
    free(aside);
    free(cursor->last_since_id);
    cursor->last_since_id = memory_copy_text(copy);
    return moved;
}

/* Up to when the inbox was read. Another client's file does not say; then it is when that client
 * last wrote the file. */
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

bool opening_read(struct opening *opening, struct journal *journal, char *problem,
                  size_t problem_size)
{
    const char *id = opening->options->id;
    struct cursor *cursor = opening->cursor;
    struct journal_start *start = &opening->start;
    bool damaged = opening->cursor_status == CURSOR_DAMAGED;
    journal_load(journal, cursor->last_since_id, !damaged, start);
    if (start->failed)
        snprintf(problem, problem_size, "%s", start->problem);
    if (start->set_aside)
        log_error(LOG_LEDGER_DAMAGED, id,
                  "%s; moved it to %s/%s.db.damaged-… and started a new ledger: only the cursor "
                  "now tells which messages were answered, and one that was in progress may be "
                  "answered again",
                  start->set_aside, opening->options->state_directory, id);
    bool opened = !start->failed && (!damaged || recover_cursor(opening, problem, problem_size));
    if (start->taken_over)
        log_info(LOG_STATE_CURSOR_MOVED, id,
                 "another client moved the cursor since the last run; messages it passed count "
                 "as answered elsewhere");
    if (!opened)
        return false;
    opening->read_until_ms = read_until_ms(cursor, start->last_poll_ms);
    if (start->open_count > 0)
        log_info(LOG_WORKSPACE_RESUMING, id, "resuming %zu message%s from an earlier run",
                 start->open_count, plural(start->open_count));
    return true;
}

void opening_free(struct opening *opening)
{
    struct journal_start *start = &opening->start;
    while (start->open) {
        struct journal_loaded *loaded = start->open;
        start->open = loaded->next;
        journal_loaded_free(loaded);
    }
    journal_start_free(start);
    free(start->cursor);
    free(start->anchor);
    free(start->set_aside);
    *start = (struct journal_start){0};
}

/* --reset-state: the cursor file is set aside. false: it cannot be. */
static bool reset(const struct molecule_workspace_options *options, const char *path, char *problem,
                  size_t problem_size)
{
    char *aside = memory_format("%s.reset", path);
    int error = rename(path, aside) == 0 ? 0 : errno;
    if (error == 0)
        log_info(LOG_STATE_RESET, options->id, "state: starting over; the old file is now %s",
                 aside);
    else if (error != ENOENT)
        snprintf(problem, problem_size, "--reset-state: cannot move %s to %s: %s", path, aside,
                 strerror(error));
    free(aside);
    return error == 0 || error == ENOENT;
}

static bool prepare_directory(struct opening *opening, char *problem, size_t problem_size)
{
    const struct molecule_workspace_options *options = opening->options;
    if (!atomic_file_make_directory(options->state_directory, problem, problem_size))
        return false;
    enum private_directory checked = private_directory_check(options->state_directory, problem,
                                                             problem_size);
    if (checked == PRIVATE_DIRECTORY_REFUSED)
        return false;
    if (checked == PRIVATE_DIRECTORY_TIGHTENED)
        log_warn(LOG_STATE_OPENED_UP, options->id,
                 "state: %s was open to other users and holds a token; its mode is now 0700",
                 options->state_directory);
    opening->state_path = realpath(options->state_directory, NULL);
    if (!opening->state_path)
        opening->state_path = memory_copy_text(options->state_directory);
    return true;
}

bool opening_lock(struct opening *opening, char *problem, size_t problem_size)
{
    const struct molecule_workspace_options *options = opening->options;
    opening->lock = -1;
    if (!prepare_directory(opening, problem, problem_size))
        return false;
    char *lock = opening_path(options, "lock");
    opening->lock = lock_take(lock, problem, problem_size);
    free(lock);
    if (opening->lock < 0)
        return false;
    char *path = opening_path(options, "json");
    if (opening->sweep)
        atomic_file_sweep(path);
    bool ready = !options->reset_state || reset(options, path, problem, problem_size);
    if (ready)
        opening->cursor_status = cursor_load(opening->cursor, path, options->id,
                                             opening->cursor_problem,
                                             sizeof opening->cursor_problem);
    free(path);
    return ready;
}
