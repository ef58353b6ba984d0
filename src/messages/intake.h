/* Takes rows into the inbox: those that a poll brought, and those that an earlier process left.
 * Every row becomes an entry; what needs no answer, or was answered before, is finished at once. */
#ifndef MOLECULE_MESSAGES_INTAKE_H
#define MOLECULE_MESSAGES_INTAKE_H

#include "link/deferred.h"
#include "messages/dispatch.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct batch;
struct journal_loaded;
struct poller;

struct intake {
    struct dispatch *dispatch;
    struct poller *poller;
    struct batch *batch; /* being looked up in the ledger: which of its rows are finished; NULL:
                            none */
    bool *asked;         /* of each row: whether it was asked about */
    bool found;          /* the batch has a new message */
    int64_t nameless_said_ms; /* when an unreadable row without an id was last logged; 0: never */
};

/* poller_taken follows, at once or later. */
void intake_take(struct intake *intake, struct batch *batch);
/* A message from the ledger continues where it was. Takes it. */
void intake_resume(struct intake *intake, struct journal_loaded *loaded, bool moves_cursor);
/* A message that the platform pushed, as it was just kept. Takes it. */
void intake_take_pushed(struct intake *intake, struct journal_loaded *loaded);
/* `covered_ms` (wall clock; every row created before was fetched; 0: unknown), less what is neither
 * finished nor in the ledger: how far back the next window must reach. */
int64_t intake_covered_ms(const struct intake *intake, int64_t covered_ms);
/* For the cursor file: what the cursor has passed although it is unfinished, and what is still to
 * be found from an earlier list. Yours; NULL: nothing. */
json_t *intake_list_deferred(struct intake *intake, const struct deferred *left);
/* The poller closes: the batch is no longer touched. */
void intake_cancel(struct intake *intake);

#endif
