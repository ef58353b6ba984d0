/* molecule status: the status of a workspace, from its live host or, when that is gone, from its
 * files. */
#include "commands/commands.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/terminal.h"
#include "commands/ledger_view.h"
#include "commands/local_state.h"
#include "journal/journal.h"
#include "state/cursor.h"
#include "state/ledger.h"
#include "state/lock.h"
#include "wire/jsontext.h"
#include "wire/platform.h"

#include <stdlib.h>
#include <string.h>

#define NOT_RUNNING "not running"
#define NOT_ANSWERING "running, not answering"

/* Lines like those of include/molecule/options.def. */
#define STATUS_OPTIONS(X)                                                      \
    X(PATH, state_directory, "state-dir", "as for connect", .argument = "DIR", \
      .environment = "MOLECULE_STATE_DIR")                                     \
    X(FLAG, json, "json", "print JSON")

struct status_options {
    STATUS_OPTIONS(MOLECULE_MEMBER)
};

static const struct option options[] = {
#define X(...) OPTION_ROW(struct status_options, __VA_ARGS__),
    STATUS_OPTIONS(X)
#undef X
};

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

static void print_text(const char *name, const char *text)
{
    char *shown = terminal_copy(text, TERMINAL_WORD);
    printf("%-15s %s\n", name, shown);
    free(shown);
}

static void print_value(const char *name, const json_t *value)
{
    if (json_is_integer(value))
        printf("%-15s %lld\n", name, (long long)json_integer_value(value));
    else
        print_text(name, json_is_string(value) ? json_string_value(value) : "-");
}

/* "5 s", "3 min 20 s", "2 h 5 min" */
static char *span(int64_t seconds)
{
    if (seconds < 60)
        return memory_format("%lld s", (long long)seconds);
    if (seconds < 3600)
        return memory_format("%lld min %lld s", (long long)seconds / 60, (long long)seconds % 60);
    return memory_format("%lld h %lld min", (long long)seconds / 3600,
                         (long long)seconds % 3600 / 60);
}

static void print_platform(const json_t *status)
{
    const char *reason = json_string_value(json_object_get(status, "unreachable_reason"));
    if (!reason)
        return;
    char *how_long = span(json_integer_value(json_object_get(status, "unreachable_seconds")));
    char *text = memory_format("unreachable for %s: %s", how_long, reason);
    print_text("platform", text);
    free(text);
    free(how_long);
}

static void print_schedules(const json_t *schedules)
{
    size_t i;
    json_t *each;
    json_array_foreach (schedules, i, each) {
        const char *next = json_string_value(json_object_get(each, "next")),
                   *name = json_string_value(json_object_get(each, "name"));
        char *text = memory_format("%s %s", next ? next : "-", name ? name : "?");
        print_text("next run", text);
        free(text);
    }
}

/* Exit codes, as --help lists them. */
enum { WELL = 0, STOPPED = 1, UNHEALTHY = 2, UNKNOWN = 3 };

static int judge(const json_t *status)
{
    static const char *const ill[] = {"wedged", "disk failing", NOT_ANSWERING};
    const char *state = json_string_value(json_object_get(status, "state"));
    if (!state || strcmp(state, NOT_RUNNING) == 0)
        return STOPPED;
    for (size_t i = 0; i < sizeof ill / sizeof *ill; i++)
        if (strcmp(state, ill[i]) == 0)
            return UNHEALTHY;
    return json_object_get(status, "unreachable_since") ? UNHEALTHY : WELL;
}

static void print_sleepers(const json_t *sleepers)
{
    size_t count = json_array_size(sleepers);
    if (count == 0)
        return;
    const char *until = json_string_value(json_object_get(json_array_get(sleepers, 0), "until"));
    char *text = memory_format("%zu%s, the next until %s", count,
                               count == JOURNAL_SLEEPERS ? " or more" : "", until);
    print_text("sleeping", text);
    free(text);
}

static void print_questions(const json_t *questions)
{
    size_t i;
    json_t *each;
    json_array_foreach (questions, i, each) {
        const char *text = json_string_value(json_object_get(each, "text")),
                   *to = json_string_value(json_object_get(each, "to")),
                   *code = json_string_value(json_object_get(each, "code"));
        char *line = memory_format("%s to %s: %s", code,
                                   strcmp(to, "canvas") == 0 ? "the canvas" : to, text);
        print_text("question", line);
        free(line);
    }
}

static void print_table(const json_t *status)
{
    static const char *const names[] = {"workspace", "state",          "pid",
                                        "since",     "last_heartbeat", "last_poll",
                                        "wake",      "cursor",         "oldest_pending"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        print_value(names[i], json_object_get(status, names[i]));
    print_platform(status);
    print_sleepers(json_object_get(status, "sleepers"));
    print_questions(json_object_get(status, "questions"));
    print_schedules(json_object_get(status, "schedules"));
    const char *state;
    json_t *count;
    json_object_foreach (json_object_get(status, "messages"), state, count)
        if (json_integer_value(count) > 0 || strcmp(state, "dead") == 0)
            print_value(state, count);
}

static int show(const struct command *command, const struct status_options *given,
                const char *workspace_id)
{
    char problem[4096], *directory = local_state_directory(given->state_directory);
    bool live;
    if (!directory)
        return UNKNOWN;
    if (!local_state_exists(directory, workspace_id, problem, sizeof problem)) {
        terminal_print(stderr, "molecule %s: %s\n", command->name, problem);
        free(directory);
        return UNKNOWN;
    }
    json_t *answer = local_state_ask(directory, workspace_id, json_pack("{s:s}", "do", "status"),
                                     &live, problem, sizeof problem);
    json_t *status = answer ? json_incref(json_object_get(answer, "status")) : NULL;
    json_decref(answer);
    if (!status && !live) {
        char *lock = local_state_path(directory, workspace_id, "lock");
        long pid = lock_holder(lock);
        status = read_files(directory, workspace_id, problem, sizeof problem);
        /* no socket, but the lock is held: starting, stuck, or an older version */
        if (status && pid > 0) {
            json_object_set_new(status, "pid", json_integer(pid));
            json_object_set_new(status, "state", json_string(NOT_ANSWERING));
        }
        free(lock);
    }
    if (status)
        add_handlers(status, directory, workspace_id);
    free(directory);
    if (!status) {
        terminal_print(stderr, "molecule %s: %s\n", command->name, problem);
        return live ? UNHEALTHY : UNKNOWN;
    }
    int code = judge(status);
    if (given->json) {
        char *text = json_dumps(status, JSON_INDENT(2)),
             *shown = terminal_copy(text, TERMINAL_JSON);
        printf("%s\n", shown ? shown : "{}");
        free(shown);
        free(text);
    } else {
        print_table(status);
    }
    json_decref(status);
    return code;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct status_options given = {0};
    const char *positionals[1] = {NULL};
    size_t count;
    enum options_result parsed = options_parse(command, argc, argv, &given, positionals, &count);
    if (parsed != OPTIONS_PARSED)
        return parsed == OPTIONS_HELP ? 0 : UNKNOWN;
    if (count < 1 || !platform_valid_id(positionals[0])) {
        options_complain(command,
                         count < 1 ? "missing workspace id" : "\"%s\" cannot be a workspace id",
                         positionals[0]);
        return UNKNOWN;
    }
    return show(command, &given, positionals[0]);
}

const struct command command_status = {
    .name = "status",
    .group = COMMAND_LOOK,
    .usage = "<workspace-id> [options]",
    .summary = "show a workspace's status: cursor, counts, dead letters",
    .description =
        "Asks the workspace's live host on this machine, or reads its files if there is none: "
        "process and "
        "start time,\n"
        "last poll and heartbeat, how long the platform has been unreachable, the cursor, message "
        "counts by state,\n"
        "the age of the oldest unfinished message, open questions of handlers (ctx.ask), and the "
        "next runs of\n"
        "schedules (molecule.cron).\n\n"
        "Exit codes:\n"
        "  0  running and healthy\n"
        "  1  stopped\n"
        "  2  unhealthy: the platform is unreachable or refuses us, the script is stuck, the disk "
        "fails, or the\n"
        "     process does not answer\n"
        "  3  unknown: no state of that workspace there, it cannot be read, or wrong usage",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .positional_maximum = 1,
    .run = run,
};
