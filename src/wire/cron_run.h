/* A due run of a schedule (molecule.cron) as a row of our own: it is no row of the platform, stands
 * in the ledger like one, and becomes a message. No I/O. */
#ifndef MOLECULE_WIRE_CRON_RUN_H
#define MOLECULE_WIRE_CRON_RUN_H

#include "base/uuid.h"
#include "wire/envelope.h"

#include <stdbool.h>
#include <stdint.h>

/* Borrowed texts. */
struct cron_run {
    const char *name, *spec, *zone; /* of the schedule */
    int64_t at_s;                   /* when it is due: epoch seconds */
};

/* UUIDv5 of the name and the time: the same run has the same id, whenever it is made. */
void cron_run_id(const struct cron_run *run, char id[UUID_TEXT_SIZE]);
/* The row; yours to free. */
char *cron_run_row(const struct cron_run *run);
/* Whether a row that the ledger had is one of these. Those that a poll brings are not asked. */
bool cron_run_is(struct page_row row);
/* Its message: `run` is set, and source and conversation are "cron/NAME". One that is damaged comes
 * back as ENVELOPE_UNREADABLE. */
struct message *cron_run_read(struct page_row row);

#endif
