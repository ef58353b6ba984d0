/* The ledger's copy of the cursor, and an older one to re-read from. */
#include "state/ledger_sql.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANCHOR_AGE_MS 10000

char *ledger_cursor(struct ledger *ledger)
{
    return ledger_get_meta(ledger, "cursor");
}

char *ledger_cursor_before(struct ledger *ledger)
{
    return ledger_get_meta(ledger, "cursor_before");
}

char *ledger_anchor(struct ledger *ledger)
{
    return ledger_get_meta(ledger, "anchor");
}

bool ledger_forget_anchor(struct ledger *ledger)
{
    return ledger_execute(
        ledger, "DELETE FROM meta WHERE key IN ('anchor', 'anchor_next', 'anchor_next_ms')");
}

/* Of two cursors, ANCHOR_AGE_MS apart, the older one is the anchor; until there are two, the
 * origin. */
static bool set_anchor(struct ledger *ledger, const char *row_id, const char *origin)
{
    char now[32];
    char *next = ledger_get_meta(ledger, "anchor_next"),
         *at = ledger_get_meta(ledger, "anchor_next_ms");
    int64_t age_ms = at ? clock_steady_ms() - clock_bound_ms(strtoll(at, NULL, 10)) : ANCHOR_AGE_MS;
    bool set = true;
    if (age_ms >= ANCHOR_AGE_MS || age_ms < 0) { /* the wall clock may have been set back */
        snprintf(now, sizeof now, "%lld", (long long)clock_steady_ms());
        set = ledger_set_meta(ledger, "anchor",
                              next     ? next
                              : origin ? origin
                                       : "") &&
              ledger_set_meta(ledger, "anchor_next", row_id) &&
              ledger_set_meta(ledger, "anchor_next_ms", now);
    }
    free(next);
    free(at);
    return set;
}

int64_t ledger_last_poll(struct ledger *ledger)
{
    char *text = ledger_get_meta(ledger, "last_poll_ms");
    int64_t number = text ? clock_bound_ms(strtoll(text, NULL, 10)) : 0;
    free(text);
    return number;
}

bool ledger_set_cursor(struct ledger *ledger, const char *row_id, const char *created_at,
                       int64_t last_poll_ms, const char *origin)
{
    char number[32];
    snprintf(number, sizeof number, "%lld", (long long)last_poll_ms);
    char *before = ledger_get_meta(ledger, "cursor");
    bool moved = row_id && (!before || strcmp(before, row_id) != 0);
    bool set = !moved ||
               ((!before || ledger_set_meta(ledger, "cursor_before", before)) &&
                ledger_set_meta(ledger, "cursor", row_id) && set_anchor(ledger, row_id, origin));
    free(before);
    return set && (!created_at || ledger_set_meta(ledger, "cursor_created_at", created_at)) &&
           ledger_set_meta(ledger, "last_poll_ms", number);
}
