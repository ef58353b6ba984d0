#include "host/running.h"

#include "base/log.h"
#include "base/memory.h"
#include "host/workspace.h"
#include "state/runs.h"

#include <stdlib.h>
#include <string.h>

struct place {
    char *interrupted; /* the message of an earlier process that stands there; NULL: none */
    unsigned attempts, failures;
    bool busy;
};

struct running {
    struct workspace *workspace;
    struct runs *runs;
    struct journal *journal;
    struct place *places;
    size_t count, interrupted;
};

static struct place *get_place(struct running *running, size_t index)
{
    if (index >= running->count) {
        running->places = memory_resize(running->places, (index + 1) * sizeof *running->places);
        memset(running->places + running->count, 0,
               (index + 1 - running->count) * sizeof *running->places);
        running->count = index + 1;
    }
    return &running->places[index];
}

static struct place *find_interrupted(struct running *running, const char *row_id)
{
    for (size_t i = 0; running->interrupted > 0 && i < running->count; i++)
        if (running->places[i].interrupted && strcmp(running->places[i].interrupted, row_id) == 0)
            return &running->places[i];
    return NULL;
}

static void free_place(struct running *running, struct place *place)
{
    free(place->interrupted);
    place->interrupted = NULL;
    running->interrupted--;
}

/* A line whose handler had ended is left as it is: then the ledger knows the outcome. */
static void load_one(const struct run *run, void *context)
{
    struct running *running = context;
    if (!journal_lacks_outcome(running->journal, run->row_id, run->attempts, run->started_ms))
        return;
    /* while it was named, say, and then once more */
    struct place *before = find_interrupted(running, run->row_id);
    if (before && before->attempts >= run->attempts)
        return;
    if (before)
        free_place(running, before);
    struct place *place = get_place(running, run->place);
    place->interrupted = memory_copy_text(run->row_id);
    place->attempts = run->attempts;
    place->failures = run->failures;
    running->interrupted++;
}

struct running *running_open(struct workspace *workspace, const char *path)
{
    struct running *running = memory_allocate(sizeof *running);
    running->workspace = workspace;
    running->runs = runs_open(path);
    running->journal = workspace->journal;
    if (!runs_load(running->runs, load_one, running))
        log_warn(
            workspace->settings.id,
            "%s cannot be read: what was under way when an earlier process ended runs again as "
            "if for the first time",
            path);
    return running;
}

void running_close(struct running *running)
{
    if (!running)
        return;
    for (size_t i = 0; i < running->count; i++)
        free(running->places[i].interrupted);
    free(running->places);
    runs_close(running->runs);
    free(running);
}

bool running_interrupted(struct running *running, struct inbox_entry *entry)
{
    const struct place *place = find_interrupted(running, entry->row_id);
    if (!place || place->attempts <= entry->attempts)
        return false;
    entry->attempts = place->attempts;
    entry->failures = place->failures > entry->failures ? place->failures : entry->failures;
    return true;
}

void running_forget(struct running *running, const struct inbox_entry *entry)
{
    struct place *place = find_interrupted(running, entry->row_id);
    if (place)
        free_place(running, place);
}

size_t running_take_place(struct running *running)
{
    size_t index = 0;
    while (index < running->count &&
           (running->places[index].busy || running->places[index].interrupted))
        index++;
    get_place(running, index)->busy = true;
    return index;
}

void running_mark_named(struct running *running, size_t place, const char *row_id,
                        unsigned attempts, unsigned failures)
{
    char problem[512];
    runs_mark(running->runs, place, row_id, attempts, failures, problem, sizeof problem);
}

void running_take(struct running *running, struct inbox_entry *entry)
{
    struct place *place = find_interrupted(running, entry->row_id);
    if (place) { /* its line is the one to be written over */
        free_place(running, place);
        place->busy = true;
        entry->place = (size_t)(place - running->places);
    } else {
        entry->place = running_take_place(running);
    }
}

bool running_mark(struct running *running, const struct inbox_entry *entry, char *problem,
                  size_t problem_size)
{
    struct reserve *reserve = &running->workspace->host->reserve;
    if (runs_mark(running->runs, entry->place, entry->row_id, entry->attempts, entry->failures,
                  problem, problem_size))
        return true;
    reserve_lend(reserve); /* it may be for want of a descriptor */
    bool marked = runs_mark(running->runs, entry->place, entry->row_id, entry->attempts,
                            entry->failures, problem, problem_size);
    reserve_fill(reserve);
    if (marked)
        *problem = '\0';
    return marked;
}

struct clearing {
    struct running *running;
    size_t place;
};

static void run_clear(void *context)
{
    struct clearing *clearing = context;
    runs_clear(clearing->running->runs, clearing->place);
}

static void on_cleared(void *context)
{
    struct clearing *clearing = context;
    /* not before: it would clear what its next one wrote */
    clearing->running->places[clearing->place].busy = false;
    free(clearing);
}

void running_leave(struct workspace *workspace, const struct inbox_entry *entry, bool counted)
{
    if (counted)
        workspace->running->places[entry->place].busy = false;
    else
        running_leave_place(workspace, entry->place);
}

void running_leave_place(struct workspace *workspace, size_t place)
{
    struct clearing *clearing = memory_allocate(sizeof *clearing);
    clearing->running = workspace->running;
    clearing->place = place;
    host_on_disk(workspace->host, run_clear, on_cleared, clearing);
}
