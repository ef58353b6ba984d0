#include "journal/attempts.h"

#include "base/log.h"
#include "base/memory.h"
#include "journal/journal.h"
#include "state/runs.h"

#include <stdlib.h>
#include <string.h>

struct place {
    char *interrupted; /* an earlier process's message in this place; NULL: none */
    struct attempt_counts counts;
    bool busy;
    unsigned recounts; /* on their way to the disk */
    bool left;         /* busy until they are there */
};

struct attempts {
    struct attempts_env env;
    struct runs *runs;
    struct place *places;
    size_t count, interrupted;
};

static struct place *get_place(struct attempts *attempts, size_t index)
{
    if (index >= attempts->count) {
        attempts->places = memory_resize(attempts->places, (index + 1) * sizeof *attempts->places);
        memset(attempts->places + attempts->count, 0,
               (index + 1 - attempts->count) * sizeof *attempts->places);
        attempts->count = index + 1;
    }
    return &attempts->places[index];
}

static struct place *find_interrupted(const struct attempts *attempts, const char *row_id)
{
    for (size_t i = 0; attempts->interrupted > 0 && i < attempts->count; i++)
        if (attempts->places[i].interrupted && strcmp(attempts->places[i].interrupted, row_id) == 0)
            return &attempts->places[i];
    return NULL;
}

static void free_place(struct attempts *attempts, struct place *place)
{
    free(place->interrupted);
    place->interrupted = NULL;
    attempts->interrupted--;
}

/* A line whose handler had ended is left as it is: then the ledger knows the outcome. */
static void load_one(const struct run *run, void *context)
{
    struct attempts *attempts = context;
    if (!journal_lacks_outcome(attempts->env.journal, run->row_id, run->attempts, run->started_ms))
        return;
    /* during naming, say, and then again */
    struct place *before = find_interrupted(attempts, run->row_id);
    if (before && before->counts.attempts >= run->attempts)
        return;
    if (before)
        free_place(attempts, before);
    struct place *place = get_place(attempts, run->place);
    place->interrupted = memory_copy_text(run->row_id);
    place->counts = (struct attempt_counts){run->attempts, run->failures};
    attempts->interrupted++;
}

struct attempts *attempts_open(const struct attempts_env *env, const char *path)
{
    struct attempts *attempts = memory_allocate(sizeof *attempts);
    attempts->env = *env;
    attempts->runs = runs_open(path);
    if (!runs_load(attempts->runs, load_one, attempts))
        log_warn(LOG_STATE_UNCOUNTED, env->workspace_id,
                 "%s cannot be read: messages that were in progress when an earlier process ended "
                 "are redelivered as if for the first time",
                 path);
    return attempts;
}

void attempts_close(struct attempts *attempts)
{
    if (!attempts)
        return;
    for (size_t i = 0; i < attempts->count; i++)
        free(attempts->places[i].interrupted);
    free(attempts->places);
    runs_close(attempts->runs);
    free(attempts);
}

bool attempts_interrupted(const struct attempts *attempts, const char *row_id,
                          struct attempt_counts *counts)
{
    const struct place *place = find_interrupted(attempts, row_id);
    if (!place || place->counts.attempts <= counts->attempts)
        return false;
    counts->attempts = place->counts.attempts;
    if (place->counts.failures > counts->failures)
        counts->failures = place->counts.failures;
    return true;
}

void attempts_forget(struct attempts *attempts, const char *row_id)
{
    struct place *place = find_interrupted(attempts, row_id);
    if (place)
        free_place(attempts, place);
}

size_t attempts_take(struct attempts *attempts, const char *row_id)
{
    struct place *place = row_id ? find_interrupted(attempts, row_id) : NULL;
    size_t index = 0;
    if (place) { /* its line is the one to overwrite */
        free_place(attempts, place);
        place->busy = true;
        return (size_t)(place - attempts->places);
    }
    while (index < attempts->count &&
           (attempts->places[index].busy || attempts->places[index].interrupted))
        index++;
    get_place(attempts, index)->busy = true;
    return index;
}

bool attempts_mark(struct attempts *attempts, size_t place, const char *row_id,
                   struct attempt_counts counts, char *problem, size_t problem_size)
{
    struct reserve *reserve = attempts->env.reserve;
    if (runs_mark(attempts->runs, place, row_id, counts.attempts, counts.failures, problem,
                  problem_size))
        return true;
    reserve_lend(reserve); /* a descriptor may be lacking */
    bool marked = runs_mark(attempts->runs, place, row_id, counts.attempts, counts.failures,
                            problem, problem_size);
    reserve_fill(reserve);
    if (marked)
        *problem = '\0';
    return marked;
}

struct recount {
    struct attempts *attempts;
    size_t place;
    char *row_id;
    struct attempt_counts counts;
};

static void run_recount(void *context)
{
    const struct recount *recount = context;
    char problem[256]; /* then the old counts stay */
    runs_mark(recount->attempts->runs, recount->place, recount->row_id, recount->counts.attempts,
              recount->counts.failures, problem, sizeof problem);
}

static void on_recounted(void *context)
{
    struct recount *recount = context;
    struct place *place = &recount->attempts->places[recount->place];
    if (--place->recounts == 0 && place->left)
        place->busy = place->left = false;
    free(recount->row_id);
    free(recount);
}

void attempts_recount(struct attempts *attempts, size_t place, const char *row_id,
                      struct attempt_counts counts)
{
    struct recount *recount = memory_allocate(sizeof *recount);
    *recount = (struct recount){attempts, place, memory_copy_text(row_id), counts};
    attempts->places[place].recounts++;
    disk_run(attempts->env.disk, attempts->env.network, run_recount, on_recounted, recount);
}

struct clearing {
    struct attempts *attempts;
    size_t place;
};

static void run_clear(void *context)
{
    struct clearing *clearing = context;
    runs_clear(clearing->attempts->runs, clearing->place);
}

static void on_cleared(void *context)
{
    struct clearing *clearing = context;
    /* not before: this would clear what the next one wrote */
    clearing->attempts->places[clearing->place].busy = false;
    free(clearing);
}

void attempts_leave(struct attempts *attempts, size_t place, bool counted)
{
    if (counted) {
        /* not before what is on its way: it would overwrite the next one's line */
        attempts->places[place].left = attempts->places[place].recounts > 0;
        attempts->places[place].busy = attempts->places[place].left;
        return;
    }
    struct clearing *clearing = memory_allocate(sizeof *clearing);
    *clearing = (struct clearing){attempts, place};
    disk_run(attempts->env.disk, attempts->env.network, run_clear, on_cleared, clearing);
}
