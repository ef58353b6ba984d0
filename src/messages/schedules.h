/* Schedules of molecule.cron: when each was last due is recorded, and each due run becomes a
 * message of the ledger. On the network thread. */
#ifndef MOLECULE_MESSAGES_SCHEDULES_H
#define MOLECULE_MESSAGES_SCHEDULES_H

#include "script/script.h"

#include <jansson.h>
#include <stdbool.h>

struct inbox;
struct journal;
struct journal_loaded;
struct link;
struct schedule_known;

struct schedules {
    struct link *link;
    struct inbox *inbox;
    struct journal *journal;
    /* upwards: a run is kept, and is to be handled; takes it */
    void (*due)(void *context, struct journal_loaded *loaded);
    void *context;
    struct schedule_known *first; /* in the order in which they were made */
    bool closed;
};

/* Takes what the script says. */
void schedules_take(struct schedules *schedules, struct script_schedule *said);
/* Those of the script as it is now: an array of {name, spec, timezone, next}; yours. */
json_t *schedules_list(const struct schedules *schedules);
/* The script is about to be closed: what it asked is answered, and nothing is due any more. */
void schedules_interrupt(struct schedules *schedules);
void schedules_close(struct schedules *schedules);

#endif
