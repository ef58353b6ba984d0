#include "commands/status_list.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/plural.h"
#include "base/terminal.h"
#include "commands/local_state.h"
#include "commands/workspace_status.h"

#include <stdlib.h>
#include <string.h>

#define WORKSPACES_MAXIMUM 100000
#define COLUMNS 8
#define ILL_SHOWN 3 /* workspaces that the line for monitoring names */

static json_t *read_one(const char *directory, const char *id)
{
    char problem[1024];
    bool live;
    json_t *status = workspace_status(directory, id, &live, problem, sizeof problem);
    return status ? status
                  : json_pack("{s:s, s:s, s:s}", "workspace", id, "state", "unknown", "problem",
                              problem);
}

bool status_list_read(struct status_list *list, const char *directory, const char *id)
{
    size_t count = 0;
    char **ids = id ? NULL : local_state_list(directory, WORKSPACES_MAXIMUM, &count);
    if (!id && !ids)
        return false;
    list->statuses = json_array();
    if (id)
        json_array_append_new(list->statuses, read_one(directory, id));
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list->statuses, read_one(directory, ids[i]));
    local_state_free_list(ids, count);
    return true;
}

void status_list_free(struct status_list *list)
{
    json_decref(list->statuses);
    list->statuses = NULL;
}

static enum workspace_health judge_one(const json_t *status)
{
    return json_object_get(status, "problem") ? WORKSPACE_UNKNOWN : workspace_status_judge(status);
}

int status_list_judge(const struct status_list *list)
{
    static const int badness[] = {[WORKSPACE_WELL] = 0,
                                  [WORKSPACE_STOPPED] = 1,
                                  [WORKSPACE_UNKNOWN] = 2,
                                  [WORKSPACE_UNHEALTHY] = 3};
    int worst = json_array_size(list->statuses) > 0 ? WORKSPACE_WELL : WORKSPACE_UNKNOWN;
    size_t i;
    json_t *status;
    json_array_foreach (list->statuses, i, status)
        if (badness[judge_one(status)] > badness[worst])
            worst = (int)judge_one(status);
    return worst;
}

/* --- cells --- */

/* "12 s", "3 min", "5 h", "2 d" since then; "-" for null. */
static char *age(const json_t *when)
{
    int64_t us;
    const char *text = json_string_value(when);
    if (!text || !clock_parse(text, &us))
        return memory_copy_text("-");
    int64_t seconds = (clock_wall_ms() - us / 1000) / 1000;
    seconds = seconds < 0 ? 0 : seconds;
    return seconds < 120      ? memory_format("%lld s", (long long)seconds)
           : seconds < 7200   ? memory_format("%lld min", (long long)seconds / 60)
           : seconds < 172800 ? memory_format("%lld h", (long long)seconds / 3600)
                              : memory_format("%lld d", (long long)seconds / 86400);
}

static json_int_t of_messages(const json_t *status, const char *state)
{
    return json_integer_value(json_object_get(json_object_get(status, "messages"), state));
}

json_int_t status_list_pending(const json_t *status)
{
    const json_t *told = json_object_get(status, "pending"); /* by a live host */
    return told ? json_integer_value(told)
                : of_messages(status, "replied") + of_messages(status, "kept");
}

json_int_t status_list_dead(const json_t *status)
{
    return of_messages(status, "dead");
}

static char *number(json_int_t value)
{
    return memory_format("%lld", (long long)value);
}

static char *text_of(const json_t *status, const char *key)
{
    const char *text = json_string_value(json_object_get(status, key));
    return terminal_copy(text ? text : "-", TERMINAL_WORD);
}

static void fill(const json_t *status, char *cells[COLUMNS])
{
    cells[0] = text_of(status, "workspace");
    cells[1] = text_of(status, "state");
    cells[2] = age(json_object_get(status, "last_poll"));
    cells[3] = age(json_object_get(status, "last_heartbeat"));
    cells[4] = number(status_list_pending(status));
    cells[5] = number(status_list_dead(status));
    cells[6] = age(json_object_get(status, "oldest_pending"));
    cells[7] = text_of(status,
                       json_object_get(status, "problem") ? "problem" : "unreachable_reason");
}

/* Characters, not bytes. */
static int width(const char *text)
{
    int count = 0;
    for (; *text; text++)
        count += (*text & 0xc0) != 0x80;
    return count;
}

void status_list_print(const struct status_list *list, FILE *out, bool colors)
{
    static const char *const heads[COLUMNS] = {"WORKSPACE", "STATE", "LAST POLL", "HEARTBEAT",
                                               "PENDING",   "DEAD",  "OLDEST",    "AWAY"};
    static const char *const tints[] = {[WORKSPACE_WELL] = "\33[32m",
                                        [WORKSPACE_STOPPED] = "\33[33m",
                                        [WORKSPACE_UNHEALTHY] = "\33[1;31m",
                                        [WORKSPACE_UNKNOWN] = "\33[35m"};
    size_t count = json_array_size(list->statuses);
    int widths[COLUMNS];
    char *(*rows)[COLUMNS] = memory_allocate((count + 1) * sizeof *rows);
    for (size_t column = 0; column < COLUMNS; column++)
        widths[column] = width(heads[column]);
    for (size_t i = 0; i < count; i++) {
        fill(json_array_get(list->statuses, i), rows[i]);
        for (size_t column = 0; column < COLUMNS; column++)
            if (width(rows[i][column]) > widths[column])
                widths[column] = width(rows[i][column]);
    }
    for (size_t column = 0; column < COLUMNS; column++)
        fprintf(out, "%-*s%s", column + 1 < COLUMNS ? widths[column] : 0, heads[column],
                column + 1 < COLUMNS ? "  " : "\n");
    for (size_t i = 0; i < count; i++) {
        const char *tint = tints[judge_one(json_array_get(list->statuses, i))];
        for (size_t column = 0; column < COLUMNS; column++) {
            bool last = column + 1 == COLUMNS, right = column >= 2 && !last;
            int blanks = last ? 0 : widths[column] - width(rows[i][column]);
            fprintf(out, "%*s%s%s%s%*s%s", right ? blanks : 0, "",
                    colors && column == 1 ? tint : "", rows[i][column],
                    colors && column == 1 ? "\33[0m" : "", right ? 0 : blanks, "",
                    last ? "\n" : "  ");
            free(rows[i][column]);
        }
    }
    free(rows);
}

/* --- for monitoring --- */

static int64_t seconds_since(const json_t *when)
{
    int64_t us;
    const char *text = json_string_value(when);
    if (!text || !clock_parse(text, &us))
        return 0;
    int64_t seconds = (clock_wall_ms() - us / 1000) / 1000;
    return seconds > 0 ? seconds : 0;
}

void status_list_print_check(const struct status_list *list, int code)
{
    static const char *const words[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
    size_t i, count = json_array_size(list->statuses), counts[4] = {0}, named = 0;
    json_int_t pending = 0, dead = 0;
    int64_t oldest = 0;
    json_t *status;
    printf("MOLECULE %s - %zu workspace%s", words[code], count, plural(count));
    json_array_foreach (list->statuses, i, status) {
        int64_t since = seconds_since(json_object_get(status, "oldest_pending"));
        counts[judge_one(status)]++;
        pending += status_list_pending(status);
        dead += status_list_dead(status);
        oldest = since > oldest ? since : oldest;
    }
    printf(": %zu well, %zu stopped, %zu unhealthy, %zu unknown", counts[WORKSPACE_WELL],
           counts[WORKSPACE_STOPPED], counts[WORKSPACE_UNHEALTHY], counts[WORKSPACE_UNKNOWN]);
    json_array_foreach (list->statuses, i, status) {
        if (judge_one(status) == WORKSPACE_WELL || ++named > ILL_SHOWN)
            continue;
        char *id = text_of(status, "workspace"), *state = text_of(status, "state"),
             *why = text_of(status,
                            json_object_get(status, "problem") ? "problem" : "unreachable_reason");
        for (char *at = why; *at; at++) /* what follows "|" would be read as numbers */
            *at = *at == '|' ? '/' : *at;
        printf("; %s %s%s%s", id, state, strcmp(why, "-") == 0 ? "" : ", ",
               strcmp(why, "-") == 0 ? "" : why);
        free(id);
        free(state);
        free(why);
    }
    printf("%s | pending=%lld dead=%lld oldest_pending=%llds\n", named > ILL_SHOWN ? "; …" : "",
           (long long)pending, (long long)dead, (long long)oldest);
}
