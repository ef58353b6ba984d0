#include "commands/workspace_status.h"

#include "base/clock.h"
#include "commands/ledger_view.h"
#include "commands/local_state.h"
#include "journal/journal.h"
#include "state/cursor.h"
#include "state/ledger.h"
#include "state/lock.h"
#include "wire/jsontext.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOT_RUNNING "not running"
#define NOT_ANSWERING "running, not answering"

/* No host serves the workspace: reads its files. NULL: there are none, or they cannot be read. */
static json_t *read_files(const char *directory, const char *workspace_id, char *problem,
                          size_t problem_size)
{
    char *path = local_state_path(directory, workspace_id, "json"),
         *db = local_state_path(directory, workspace_id, "db");
    char what[512];
    struct cursor cursor;
    struct ledger *ledger = NULL;
    struct ledger_counts counts = {0};
    json_t *status = NULL;
    enum cursor_status read = cursor_load(&cursor, path, workspace_id, what, sizeof what);
    enum ledger_status opened = ledger_open(&ledger, db, NULL, LEDGER_READ, problem, problem_size);
    if (read == CURSOR_ABSENT && opened == LEDGER_ABSENT) {
        snprintf(problem, problem_size, "there is no state of workspace %s in %s", workspace_id,
                 directory);
        goto cleanup;
    }
    if (read == CURSOR_DAMAGED || (opened != LEDGER_OPENED && opened != LEDGER_ABSENT)) {
        if (read == CURSOR_DAMAGED)
            snprintf(problem, problem_size, "%s", what);
        goto cleanup;
    }
    int64_t last_poll = clock_bound_ms(
        json_integer_value(json_object_get(cursor.members, "last_poll_ms")));
    json_t *by_state = json_object();
    if (ledger && ledger_count(ledger, &counts) && ledger_last_poll(ledger) > last_poll)
        last_poll = ledger_last_poll(ledger);
#define X(name, number, text) \
    json_object_set_new(by_state, text, json_integer(counts.by_state[number]));
    LEDGER_STATES(X)
#undef X
    status = json_pack("{s:s, s:n, s:s, s:n, s:o, s:n, s:s?, s:o, s:o}", "workspace", workspace_id,
                       "pid", "state", NOT_RUNNING, "since", "last_poll", jsontext_time(last_poll),
                       "last_heartbeat", "cursor", cursor.last_since_id, "messages", by_state,
                       "oldest_pending", jsontext_time(counts.oldest_pending_ms));

cleanup:
    ledger_close(ledger);
    cursor_free(&cursor);
    free(path);
    free(db);
    return status;
}

/* Anybody may read the ledger, also while a host has it. */
static void add_handlers(json_t *status, const char *directory, const char *workspace_id)
{
    char problem[512], *path = local_state_path(directory, workspace_id, "db");
    struct ledger *ledger = NULL;
    bool opened = ledger_open(&ledger, path, NULL, LEDGER_READ, problem, sizeof problem) ==
                  LEDGER_OPENED;
    if (!json_object_get(status, "sleepers")) /* no host has told */
        json_object_set_new(status, "sleepers",
                            opened ? journal_list_sleepers(ledger) : json_array());
    if (!json_object_get(status, "questions"))
        json_object_set_new(status, "questions",
                            opened ? ledger_view_questions(ledger) : json_array());
    ledger_close(ledger);
    free(path);
}

json_t *workspace_status(const char *directory, const char *id, bool *live, char *problem,
                         size_t problem_size)
{
    json_t *answer = local_state_ask(directory, id, json_pack("{s:s}", "do", "status"), live,
                                     problem, problem_size);
    json_t *status = json_incref(json_object_get(answer, "status"));
    json_decref(answer);
    if (!status && !*live) {
        char *lock = local_state_path(directory, id, "lock");
        long pid = lock_holder(lock);
        status = read_files(directory, id, problem, problem_size);
        /* no socket, but the lock is held: starting, stuck, or an older version */
        if (status && pid > 0) {
            json_object_set_new(status, "pid", json_integer(pid));
            json_object_set_new(status, "state", json_string(NOT_ANSWERING));
        }
        free(lock);
    }
    if (status)
        add_handlers(status, directory, id);
    return status;
}

enum workspace_health workspace_status_judge(const json_t *status)
{
    static const char *const ill[] = {"wedged", "disk failing", NOT_ANSWERING};
    const char *state = json_string_value(json_object_get(status, "state"));
    if (!state || strcmp(state, NOT_RUNNING) == 0)
        return WORKSPACE_STOPPED;
    for (size_t i = 0; i < sizeof ill / sizeof *ill; i++)
        if (strcmp(state, ill[i]) == 0)
            return WORKSPACE_UNHEALTHY;
    return json_object_get(status, "unreachable_since") ? WORKSPACE_UNHEALTHY : WORKSPACE_WELL;
}
