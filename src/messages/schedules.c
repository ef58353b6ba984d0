#include "messages/schedules.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "journal/journal.h"
#include "link/link.h"
#include "messages/inbox.h"
#include "wire/cron_run.h"

#include <stdlib.h>
#include <string.h>

#define WAITING_MAXIMUM 10 /* runs of a schedule that are not finished */
#define MISSED_S 60        /* a run that is later counts as missed */

struct schedule_known {
    struct schedule_known *next;
    char *name, *spec, *zone;
    bool current;                   /* the script has it now */
    int64_t next_s;                 /* 0: unknown */
    struct script_schedule *asking; /* for since when; NULL: it is not */
    unsigned asked;                 /* questions at the disk; the last one's answer counts */
};

static const char *id_of(const struct schedules *schedules)
{
    return schedules->link->options->id;
}

static struct schedule_known *find(const struct schedules *schedules, const char *name)
{
    struct schedule_known *known = schedules->first;
    while (known && strcmp(known->name, name) != 0)
        known = known->next;
    return known;
}

static char *form_of(const struct script_schedule *said)
{
    return memory_join(said->spec, " ", said->zone);
}

static void set(char **to, const char *text)
{
    free(*to);
    *to = memory_copy_text(text);
}

/* --- a schedule --- */

/* A run that the ledger does not keep would be lost with the question. */
static void answer(struct schedule_known *known, int64_t since_s)
{
    struct script_schedule *asking = known->asking;
    known->asking = NULL;
    if (asking)
        script_schedule_since(asking, since_s);
}

static void on_since(void *context, const char *name, int64_t since_s)
{
    struct schedule_known *known = find(context, name);
    if (known && --known->asked == 0)
        answer(known, since_s);
}

static void forget_current(struct schedules *schedules)
{
    for (struct schedule_known *known = schedules->first; known; known = known->next) {
        known->current = false;
        answer(known, 0);
    }
}

static void take_made(struct schedules *schedules, struct script_schedule *said)
{
    struct schedule_known *known = find(schedules, said->name);
    bool is_first = !known; /* of this process */
    if (schedules->closed) {
        script_schedule_since(said, 0);
        return;
    }
    if (is_first) {
        struct schedule_known **end = &schedules->first;
        while (*end)
            end = &(*end)->next;
        *end = known = memory_allocate(sizeof *known);
        known->name = memory_copy_text(said->name);
    }
    set(&known->spec, said->spec);
    set(&known->zone, said->zone);
    known->current = true;
    known->next_s = 0;
    answer(known, 0);
    known->asking = said;
    known->asked++;
    char *form = form_of(said);
    journal_schedule_since(schedules->journal, said->name, form, said->at_s,
                           is_first && !said->catch_up, on_since, schedules);
    free(form);
}

/* --- a run --- */

struct counting {
    const char *source;
    size_t count;
};

static void count_one(struct inbox_entry *entry, void *context)
{
    struct counting *counting = context;
    counting->count += strcmp(entry->source, counting->source) == 0;
}

static bool has_room(struct schedules *schedules, const char *source, const char *when)
{
    struct counting counting = {.source = source};
    inbox_each(schedules->inbox, count_one, &counting);
    if (counting.count < WAITING_MAXIMUM)
        return true;
    log_warn(LOG_SCHEDULE_LEFT_OUT, id_of(schedules),
             "%s: the run of %s is left out: %zu earlier ones are not finished", source, when,
             counting.count);
    return false;
}

static void on_kept(void *context, const char *name, struct journal_loaded *loaded)
{
    struct schedules *schedules = context;
    if (!loaded)
        log_debug(LOG_SCHEDULE_CLOCK, id_of(schedules),
                  "cron/%s: this run has been: the clock was set back", name);
    else if (schedules->closed)
        journal_loaded_free(loaded); /* the next start finds it in the ledger */
    else
        schedules->due(schedules->context, loaded);
}

static void take_due(struct schedules *schedules, const struct script_schedule *said)
{
    const struct cron_run run = {
        .name = said->name, .spec = said->spec, .zone = said->zone, .at_s = said->at_s};
    char id[UUID_TEXT_SIZE], when[CLOCK_TEXT_SIZE];
    cron_run_id(&run, id);
    clock_format(said->at_s * 1000, when);
    char *source = memory_join("cron/", said->name);
    if (!schedules->closed && has_room(schedules, source, when)) {
        if (clock_wall_ms() / 1000 - said->at_s > MISSED_S)
            log_info(LOG_SCHEDULE_LATE, id_of(schedules),
                     "%s: the run of %s was missed and happens now", source, when);
        char *row = cron_run_row(&run), *form = form_of(said);
        journal_schedule_run(schedules->journal,
                             &(struct journal_run){.name = said->name,
                                                   .form = form,
                                                   .at_s = said->at_s,
                                                   .row_id = id,
                                                   .row = row,
                                                   .row_length = strlen(row),
                                                   .created_at = when,
                                                   .source = source},
                             on_kept, schedules);
        free(form);
        free(row);
    }
    free(source);
}

static void take_next(struct schedules *schedules, const struct script_schedule *said)
{
    struct schedule_known *known = find(schedules, said->name);
    char when[CLOCK_TEXT_SIZE];
    if (!known || !known->current)
        return;
    known->next_s = said->next_s;
    clock_format(said->next_s * 1000, when);
    log_debug(LOG_SCHEDULE_DUE, id_of(schedules), "cron/%s is due next at %s", known->name, when);
}

void schedules_take(struct schedules *schedules, struct script_schedule *said)
{
    switch (said->kind) {
    case SCRIPT_SCHEDULE_MADE: take_made(schedules, said); return; /* it goes back */
    case SCRIPT_SCHEDULES_AFRESH: forget_current(schedules); break;
    case SCRIPT_SCHEDULE_NEXT: take_next(schedules, said); break;
    case SCRIPT_SCHEDULE_DUE: take_due(schedules, said); break;
    }
    script_schedule_free(said);
}

json_t *schedules_list(const struct schedules *schedules)
{
    json_t *list = json_array();
    char next[CLOCK_TEXT_SIZE];
    for (const struct schedule_known *known = schedules->first; known; known = known->next) {
        if (!known->current)
            continue;
        clock_format(known->next_s * 1000, next);
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s?}", "name", known->name, "spec",
                                              known->spec, "timezone", known->zone, "next",
                                              known->next_s > 0 ? next : NULL));
    }
    return list;
}

void schedules_interrupt(struct schedules *schedules)
{
    schedules->closed = true;
    forget_current(schedules);
}

void schedules_close(struct schedules *schedules)
{
    while (schedules->first) {
        struct schedule_known *known = schedules->first;
        schedules->first = known->next;
        free(known->name);
        free(known->spec);
        free(known->zone);
        free(known);
    }
}
