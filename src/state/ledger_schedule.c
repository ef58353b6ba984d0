/* When each schedule of molecule.cron was last due: a key of `meta` for each name. */
#include "state/ledger_sql.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define RUNS_KEEP_MS ((int64_t)7 * 24 * 3600 * 1000)
#define RUNS_LOOK 100 /* at the oldest finished messages */

bool ledger_schedule_last(struct ledger *ledger, const char *name, const char *form,
                          int64_t *last_s)
{
    char *key = memory_join("cron/", name), *value = ledger_get_meta(ledger, key), *rest = NULL;
    long long last = value ? strtoll(value, &rest, 10) : 0;
    bool known = value && *rest == ' ' && strcmp(rest + 1, form) == 0;
    if (known)
        *last_s = clock_bound_ms(last) == last ? last : 0;
    free(value);
    free(key);
    return known;
}

bool ledger_schedule_set(struct ledger *ledger, const char *name, const char *form, int64_t last_s)
{
    char *key = memory_join("cron/", name),
         *value = memory_format("%lld %s", (long long)last_s, form);
    bool set = ledger_set_meta(ledger, key, value);
    free(value);
    free(key);
    return set;
}

bool ledger_schedule_prune(struct ledger *ledger)
{
    sqlite3_stmt *statement = ledger_prepare(ledger, STATEMENT_PRUNE_RUNS);
    if (statement) {
        sqlite3_bind_int64(statement, 1, clock_steady_ms() - RUNS_KEEP_MS);
        sqlite3_bind_int(statement, 2, RUNS_LOOK);
    }
    return ledger_run(ledger, statement, "forget runs of schedules");
}
