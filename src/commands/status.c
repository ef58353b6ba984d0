/* molecule status: the status of a workspace, from its live host or, when that is gone, from its
 * files. */
#include "commands/commands.h"

#include "base/memory.h"
#include "base/terminal.h"
#include "commands/local_state.h"
#include "commands/workspace_status.h"
#include "journal/journal.h"
#include "wire/platform.h"

#include <stdlib.h>
#include <string.h>

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
        return WORKSPACE_UNKNOWN;
    if (!local_state_exists(directory, workspace_id, problem, sizeof problem)) {
        terminal_print(stderr, "molecule %s: %s\n", command->name, problem);
        free(directory);
        return WORKSPACE_UNKNOWN;
    }
    json_t *status = workspace_status(directory, workspace_id, &live, problem, sizeof problem);
    free(directory);
    if (!status) {
        terminal_print(stderr, "molecule %s: %s\n", command->name, problem);
        return live ? WORKSPACE_UNHEALTHY : WORKSPACE_UNKNOWN;
    }
    int code = workspace_status_judge(status);
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
        return parsed == OPTIONS_HELP ? 0 : WORKSPACE_UNKNOWN;
    if (count < 1 || !platform_valid_id(positionals[0])) {
        options_complain(command,
                         count < 1 ? "missing workspace id" : "\"%s\" cannot be a workspace id",
                         positionals[0]);
        return WORKSPACE_UNKNOWN;
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
