/* molecule status: the status of a workspace, from its live host or, when that is gone, from its
 * files. */
#include "commands/commands.h"

#include "base/memory.h"
#include "base/plural.h"
#include "base/terminal.h"
#include "commands/local_state.h"
#include "commands/status_list.h"
#include "commands/status_top.h"
#include "commands/workspace_status.h"
#include "journal/journal.h"
#include "wire/platform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Lines like those of include/molecule/options.def. */
#define STATUS_OPTIONS(X)                                                                        \
    X(PATH, state_directory, "state-dir", "as for connect", .argument = "DIR",                   \
      .environment = "MOLECULE_STATE_DIR")                                                       \
    X(FLAG, check, "check", "print one line for monitoring, as plugins of Nagios do")            \
    X(FLAG, watch, "watch", "show it live, each second, until q or Ctrl-C", .letter = 'w')       \
    X(NUMBER, top, "top",                                                                        \
      "of all workspaces only those to look at first: N with the most pending messages, N with " \
      "the oldest one, N with the most dead letters",                                            \
      .minimum = 1, .maximum = 1000)                                                             \
    X(CHOICE, color, "color", "color the states: on a terminal, unless NO_COLOR is set",         \
      .argument = "auto|always|never", .standard = "auto")                                       \
    X(FLAG, json, "json",                                                                        \
      "print JSON; of several workspaces an array, with --top an object of three lists")

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

/* --- one workspace --- */

static void print_json(const json_t *value)
{
    char *text = json_dumps(value, JSON_INDENT(2)), *shown = terminal_copy(text, TERMINAL_JSON);
    printf("%s\n", shown ? shown : "{}");
    free(shown);
    free(text);
}

static int show(const struct status_options *given, const char *directory, const char *id)
{
    char problem[4096];
    bool live;
    if (!local_state_exists(directory, id, problem, sizeof problem)) {
        terminal_print(stderr, "molecule status: %s\n", problem);
        return WORKSPACE_UNKNOWN;
    }
    json_t *status = workspace_status(directory, id, &live, problem, sizeof problem);
    if (!status) {
        terminal_print(stderr, "molecule status: %s\n", problem);
        return live ? WORKSPACE_UNHEALTHY : WORKSPACE_UNKNOWN;
    }
    int code = workspace_status_judge(status);
    if (given->json)
        print_json(status);
    else
        print_table(status);
    json_decref(status);
    return code;
}

/* --- several --- */

static void print_several(const struct status_options *given, struct status_list *list,
                          size_t count)
{
    if (given->top > 0)
        status_top_keep(list, given->top);
    if (json_array_size(list->statuses) > 0)
        status_list_print(list, stdout, terminal_colors(STDOUT_FILENO, given->color));
    else
        printf("no pending messages and no dead letters in %zu workspace%s\n", count,
               plural(count));
}

static int show_all(const struct status_options *given, const char *directory)
{
    struct status_list list;
    if (!status_list_read(&list, directory, NULL)) {
        terminal_print(stderr,
                       "molecule status: the state directory %s cannot be read: %s; give the "
                       "--state-dir (MOLECULE_STATE_DIR) that the hosts use\n",
                       directory, strerror(errno));
        return WORKSPACE_UNKNOWN;
    }
    int code = status_list_judge(&list);
    size_t count = json_array_size(list.statuses);
    if (given->json && given->top > 0) {
        json_t *top = status_top(&list, given->top);
        print_json(top);
        json_decref(top);
    } else if (given->json) {
        print_json(list.statuses);
    } else if (count > 0) {
        print_several(given, &list, count);
    } else {
        terminal_print(stderr, "molecule status: there is no state of a workspace in %s\n",
                       directory);
    }
    status_list_free(&list);
    return code;
}

static int check(const char *directory, const char *id)
{
    struct status_list list;
    char problem[4096];
    if (id && !local_state_exists(directory, id, problem, sizeof problem)) {
        terminal_print(stdout, "MOLECULE UNKNOWN - %s\n", problem);
        return WORKSPACE_UNKNOWN;
    }
    if (!status_list_read(&list, directory, id)) {
        terminal_print(stdout, "MOLECULE UNKNOWN - the state directory %s cannot be read: %s\n",
                       directory, strerror(errno));
        return WORKSPACE_UNKNOWN;
    }
    int code = status_list_judge(&list);
    status_list_print_check(&list, code);
    status_list_free(&list);
    return code;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct status_options given = {0};
    const char *id = NULL;
    size_t count;
    enum options_result parsed = options_parse(command, argc, argv, &given, &id, &count);
    if (parsed != OPTIONS_PARSED)
        return parsed == OPTIONS_HELP ? 0 : WORKSPACE_UNKNOWN;
    const char *wrong = given.check + given.json + given.watch > 1
                            ? "--check, --json and --watch cannot be combined"
                        : given.watch && !isatty(STDOUT_FILENO)
                            ? "--watch draws on a terminal; for programs there is --json"
                        : given.top > 0 && (id || given.check || given.watch)
                            ? "--top is for the table of all workspaces, and for --json"
                            : NULL;
    if (id && !platform_valid_id(id)) {
        options_complain(command, "\"%s\" cannot be a workspace id", id);
        return WORKSPACE_UNKNOWN;
    }
    char *directory = wrong ? NULL : local_state_directory(given.state_directory);
    if (wrong)
        options_complain(command, "%s", wrong);
    int code = WORKSPACE_UNKNOWN;
    if (directory)
        code = given.check   ? check(directory, id)
               : given.watch ? status_watch(directory, id, terminal_colors(1, given.color))
               : id          ? show(&given, directory, id)
                             : show_all(&given, directory);
    free(directory);
    return code;
}

const struct command command_status = {
    .name = "status",
    .group = COMMAND_LOOK,
    .usage = "[workspace-id] [options]",
    .summary = "show the status of workspaces: last poll, counts, dead letters",
    .description =
        "Asks the workspace's live host on this machine, or reads its files if there is none: "
        "process and "
        "start time,\n"
        "last poll and heartbeat, how long the platform has been unreachable, the cursor, message "
        "counts by state,\n"
        "the age of the oldest unfinished message, open questions of handlers (ctx.ask), and the "
        "next runs of\n"
        "schedules (molecule.cron). Without an id: a table of all workspaces of the state "
        "directory.\n\n"
        "Exit codes, of several workspaces the worst:\n"
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
