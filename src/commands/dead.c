/* molecule dead: the messages that could not be answered. */
#include "commands/commands.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/nearest.h"
#include "base/shell.h"
#include "base/terminal.h"
#include "commands/ledger_view.h"
#include "commands/local_state.h"
#include "state/ledger.h"
#include "state/lock.h"
#include "wire/jsontext.h"
#include "wire/platform.h"
#include "wire/served.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POSITIONALS_MAXIMUM 256

/* Lines like those of include/molecule/options.def. */
#define DEAD_OPTIONS(X)                                                        \
    X(PATH, state_directory, "state-dir", "as for connect", .argument = "DIR", \
      .environment = "MOLECULE_STATE_DIR")                                     \
    X(FLAG, all, "all", "all of them (show, retry, drop)")                     \
    X(FLAG, json, "json", "print JSON")

struct dead_options {
    DEAD_OPTIONS(MOLECULE_MEMBER)
};

static const struct option options[] = {
#define X(...) OPTION_ROW(struct dead_options, __VA_ARGS__),
    DEAD_OPTIONS(X)
#undef X
};

struct dead_call {
    const struct command *command;
    const struct dead_options *given;
    const char *verb, *workspace_id;
    const char **ids;
    size_t id_count;
    char *directory;
};

/* --- reading --- */

static json_t *describe(const struct ledger_message *message)
{
    char seen[CLOCK_TEXT_SIZE], died[CLOCK_TEXT_SIZE];
    clock_format(message->first_seen_ms, seen);
    clock_format(message->updated_ms, died);
    json_t *row = message->row ? jsontext_read(message->row, message->row_length, NULL, NULL)
                               : NULL;
    if (!row && message->row)
        row = jsontext_string(message->row, message->row_length);
    return json_pack("{s:s, s:s?, s:s?, s:s, s:s, s:i, s:s?, s:s?, s:o*}", "id", message->row_id,
                     "from", message->source, "created_at", message->created_at, "first_seen", seen,
                     "set_aside", died, "attempts", (int)message->attempts, "reason",
                     message->reason, "traceback", message->traceback, "row", row);
}

/* A step's value is foreign text. */
static void print_steps(const json_t *steps)
{
    size_t i;
    json_t *step;
    json_array_foreach (steps, i, step) {
        char *value = json_dumps(json_object_get(step, "value"), JSON_COMPACT | JSON_ENCODE_ANY);
        char *line = memory_format("%s %s = %s", json_string_value(json_object_get(step, "kind")),
                                   json_string_value(json_object_get(step, "key")),
                                   value ? value : "-");
        char *shown = terminal_copy(line, TERMINAL_WORD);
        printf("%-11s %s\n", i == 0 ? "steps" : "", shown);
        free(shown);
        free(line);
        free(value);
    }
}

static void add_steps(struct ledger *ledger, json_t *list)
{
    size_t i;
    json_t *letter;
    json_array_foreach (list, i, letter) {
        json_t *steps = ledger_view_steps(ledger, json_string_value(json_object_get(letter, "id")));
        if (json_array_size(steps) > 0)
            json_object_set(letter, "steps", steps);
        json_decref(steps);
    }
}

static bool collect(const struct ledger_message *message, void *context)
{
    if (message->state == LEDGER_DEAD)
        json_array_append_new(context, describe(message));
    else
        terminal_print(stderr, "molecule dead: message %s is not a dead letter: it is %s\n",
                       message->row_id, ledger_state_text(message->state));
    return true;
}

static void say_unknown(const struct dead_call *call, const char *row_id)
{
    char *directory = shell_word(call->directory);
    terminal_print(stderr,
                   "molecule dead: %s is not a dead letter of workspace %s; to list those: "
                   "molecule dead list %s "
                   "--state-dir %s\n",
                   row_id, call->workspace_id, call->workspace_id, directory);
    free(directory);
}

/* All dead letters, or the ones that were named. NULL: cannot be read, `problem` says why. */
static json_t *read_dead(const struct dead_call *call, char *problem, size_t problem_size)
{
    char *path = local_state_path(call->directory, call->workspace_id, "db");
    struct ledger *ledger;
    json_t *list = NULL;
    enum ledger_status status = ledger_open(&ledger, path, NULL, LEDGER_READ, problem,
                                            problem_size);
    if (status == LEDGER_ABSENT) { /* nothing was ever dead-lettered */
        list = json_array();
        for (size_t i = 0; i < call->id_count; i++)
            say_unknown(call, call->ids[i]);
    }
    if (status == LEDGER_OPENED) {
        list = json_array();
        bool read = true;
        if (call->id_count == 0)
            read = ledger_each_dead(ledger, collect, list);
        for (size_t i = 0; i < call->id_count; i++)
            if (!ledger_find(ledger, call->ids[i], collect, list))
                say_unknown(call, call->ids[i]);
        add_steps(ledger, list);
        if (!read) {
            snprintf(problem, problem_size, "%s", ledger_problem(ledger));
            json_decref(list);
            list = NULL;
        }
        ledger_close(ledger);
    }
    free(path);
    return list;
}

static void print_json(const json_t *value)
{
    char *text = json_dumps(value, JSON_INDENT(2)), *shown = terminal_copy(text, TERMINAL_JSON);
    printf("%s\n", shown ? shown : "[]");
    free(shown);
    free(text);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "-";
}

/* Foreign text, for a column. The caller frees it. */
static char *word_of(const json_t *object, const char *key)
{
    return terminal_copy(text_of(object, key), TERMINAL_WORD);
}

static void print_line(const json_t *letter)
{
    char *id = word_of(letter, "id"), *from = word_of(letter, "from"),
         *reason = memory_copy_text(text_of(letter, "reason"));
    reason[strcspn(reason, "\r\n")] = '\0';
    char *shown = terminal_copy(reason, TERMINAL_WORD);
    printf("%-36s  %-24s  %-8lld  %-36s  %s\n", id, text_of(letter, "set_aside"),
           (long long)json_integer_value(json_object_get(letter, "attempts")), from, shown);
    free(shown);
    free(reason);
    free(from);
    free(id);
}

static void print_list(const json_t *list)
{
    size_t i;
    json_t *letter;
    printf("%-36s  %-24s  %-8s  %-36s  %s\n", "ID", "SET ASIDE", "ATTEMPTS", "FROM", "REASON");
    json_array_foreach (list, i, letter)
        print_line(letter);
}

/* Foreign lines: all but the first are indented. */
static void print_lines(const char *text, int column)
{
    char *shown = terminal_copy(text, TERMINAL_TEXT);
    for (const char *line = shown, *end; line; line = end ? end + 1 : NULL) {
        end = strchr(line, '\n');
        printf("%*s%.*s\n", line == shown ? 0 : column, "",
               end ? (int)(end - line) : (int)strlen(line), line);
    }
    free(shown);
}

static void print_letter(const json_t *letter)
{
    static const char *const names[] = {"id", "from", "created_at", "first_seen", "set_aside"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *shown = word_of(letter, names[i]);
        printf("%-11s %s\n", names[i], shown);
        free(shown);
    }
    printf("%-11s ", "reason");
    print_lines(text_of(letter, "reason"), 12);
    printf("%-11s %lld\n", "attempts",
           (long long)json_integer_value(json_object_get(letter, "attempts")));
    if (json_object_get(letter, "traceback") && !json_is_null(json_object_get(letter, "traceback")))
        print_lines(text_of(letter, "traceback"), 4);
    print_steps(json_object_get(letter, "steps"));
    const json_t *row = json_object_get(letter, "row");
    const json_t *envelope = json_object_get(row, "request_body");
    char *text = json_dumps(envelope ? envelope : row, JSON_INDENT(2) | JSON_ENCODE_ANY);
    char *shown = terminal_copy(text, TERMINAL_JSON);
    printf("%s\n\n", shown ? shown : "-");
    free(shown);
    free(text);
}

static int read_letters(const struct dead_call *call, bool whole)
{
    char problem[1024];
    size_t i;
    json_t *letter, *list = read_dead(call, problem, sizeof problem);
    if (!list) {
        terminal_print(stderr, "molecule dead: %s\n", problem);
        return 1;
    }
    int code = json_array_size(list) < call->id_count ? 1 : 0; /* the missing ones were reported */
    bool empty = json_array_size(list) == 0;
    if (call->given->json)
        print_json(list);
    else if (empty && call->id_count == 0)
        printf("no dead letters\n");
    else if (!whole && !empty)
        print_list(list);
    else
        json_array_foreach (list, i, letter)
            print_letter(letter);
    json_decref(list);
    return code;
}

/* --- changing --- */

/* No host serves the workspace: changes its ledger, under its lock. */
static bool change_in_ledger(const struct dead_call *call, const char *row_id, bool retry,
                             bool *found, char *problem, size_t problem_size)
{
    char *path = local_state_path(call->directory, call->workspace_id, "db");
    char *lock_path = local_state_path(call->directory, call->workspace_id, "lock");
    struct ledger *ledger = NULL;
    bool changed = false;
    int lock = lock_take(lock_path, problem, problem_size);
    if (lock >= 0 && ledger_open(&ledger, path, NULL, LEDGER_WRITE_EXISTING, problem,
                                 problem_size) == LEDGER_OPENED) {
        changed = ledger_begin(ledger) &&
                  (retry ? ledger_retry_dead(ledger, row_id, clock_wall_ms(), found)
                         : ledger_drop_dead(ledger, row_id, found)) &&
                  ledger_commit_durably(ledger);
        if (!changed) {
            snprintf(problem, problem_size, "%s", ledger_problem(ledger));
            ledger_rollback(ledger);
        }
    }
    ledger_close(ledger);
    if (lock >= 0)
        close(lock);
    free(lock_path);
    free(path);
    return changed;
}

static bool change(const struct dead_call *call, const char *row_id, bool retry, bool *found,
                   bool *live, char *problem, size_t problem_size)
{
    json_t *request = json_pack("{s:s, s:s}", "do", retry ? "dead retry" : "dead drop", "row_id",
                                row_id);
    json_t *answer = local_state_ask(call->directory, call->workspace_id, request, live, problem,
                                     problem_size);
    *found = json_is_true(json_object_get(answer, "found"));
    json_decref(answer);
    return answer ||
           (!*live && change_in_ledger(call, row_id, retry, found, problem, problem_size));
}

static void print_done(const char *row_id, const char *what)
{
    char *id = terminal_copy(row_id, TERMINAL_WORD);
    printf("%s %s\n", id, what);
    free(id);
}

/* What it is instead. */
static void say_not_dead(const struct dead_call *call, const char *row_id)
{
    char problem[1024];
    const char *ids[] = {row_id};
    struct dead_call one = *call;
    one.ids = ids;
    one.id_count = 1;
    json_decref(read_dead(&one, problem, sizeof problem));
}

/* Of a client of molecule serve, whose task has ended. */
static bool note_served(const struct ledger_message *message, void *context)
{
    struct page_row row = {.bytes = message->row, .length = message->row_length};
    struct message *read = row.bytes && served_is(row) ? served_read(row) : NULL;
    *(bool *)context = read && read->served && !served_pushed(read);
    message_free(read);
    return false;
}

static bool is_served(const struct dead_call *call, const char *row_id)
{
    struct ledger *ledger;
    bool served = false;
    char problem[256], *path = local_state_path(call->directory, call->workspace_id, "db");
    if (ledger_open(&ledger, path, NULL, LEDGER_READ, problem, sizeof problem) == LEDGER_OPENED) {
        ledger_find(ledger, row_id, note_served, &served);
        ledger_close(ledger);
    }
    free(path);
    return served;
}

static int change_letters(const struct dead_call *call, bool retry)
{
    char problem[1024];
    int code = 0;
    struct dead_call all = *call;
    json_t *list = call->given->all ? read_dead(&all, problem, sizeof problem) : json_array();
    for (size_t i = 0; i < call->id_count; i++)
        json_array_append_new(list, json_pack("{s:s}", "id", call->ids[i]));
    size_t i;
    json_t *letter;
    if (!list) {
        terminal_print(stderr, "molecule dead: %s\n", problem);
        return 1;
    }
    if (json_array_size(list) == 0)
        printf("no dead letters\n");
    json_array_foreach (list, i, letter) {
        const char *row_id = text_of(letter, "id");
        bool found = false, live = false, served = retry && is_served(call, row_id);
        if (!change(call, row_id, retry, &found, &live, problem, sizeof problem)) {
            terminal_print(stderr, "molecule dead: %s: %s\n", row_id, problem);
            code = 1;
        } else if (!found) {
            say_not_dead(call, row_id);
            code = 1;
        } else {
            const char *again = live ? "runs again" : "runs again at the next start";
            print_done(row_id, retry ? again : "dropped");
            if (served)
                puts("  its task has ended and stays FAILED; the reply goes to the log alone");
        }
    }
    json_decref(list);
    return code;
}

static int dispatch(struct dead_call *call)
{
    static const char *const verbs[] = {"list", "show", "retry", "drop"};
    struct nearest nearest = {.word = call->verb};
    bool changes = strcmp(call->verb, "retry") == 0 || strcmp(call->verb, "drop") == 0,
         known = false;
    char problem[4096];
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        known = known || strcmp(call->verb, verbs[i]) == 0;
        nearest_offer(&nearest, verbs[i]);
    }
    if (!known)
        return options_complain(call->command, "\"%s\" is not list, show, retry or drop%s%s%s",
                                call->verb, nearest.best ? "; did you mean " : "",
                                nearest.best ? nearest.best : "", nearest.best ? "?" : "");
    if (changes && call->id_count == 0 && !call->given->all)
        return options_complain(call->command,
                                "no dead letters given: name their ids, or use --all");
    if (call->given->all && call->id_count > 0)
        return options_complain(call->command, "either --all or ids, not both");
    if (!local_state_exists(call->directory, call->workspace_id, problem, sizeof problem)) {
        terminal_print(stderr, "molecule dead: %s\n", problem);
        return 1;
    }
    if (strcmp(call->verb, "list") == 0)
        return read_letters(call, false);
    if (strcmp(call->verb, "show") == 0)
        return read_letters(call, true);
    return change_letters(call, strcmp(call->verb, "retry") == 0);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct dead_options given = {0};
    const char *positionals[POSITIONALS_MAXIMUM];
    size_t count;
    enum options_result parsed = options_parse(command, argc, argv, &given, positionals, &count);
    if (parsed != OPTIONS_PARSED)
        return parsed == OPTIONS_HELP ? 0 : 2;
    if (count < 2)
        return options_complain(
            command, count == 1 ? "missing workspace id"
                                : "expected list, show, retry or drop, and a workspace id");
    if (!platform_valid_id(positionals[1]))
        return options_complain(command, "\"%s\" cannot be a workspace id", positionals[1]);
    struct dead_call call = {
        .command = command,
        .given = &given,
        .verb = positionals[0],
        .workspace_id = positionals[1],
        .ids = positionals + 2,
        .id_count = count - 2,
        .directory = local_state_directory(given.state_directory),
    };
    int code = call.directory ? dispatch(&call) : 2;
    free(call.directory);
    return code;
}

const struct command command_dead = {
    .name = "dead",
    .group = COMMAND_LOOK,
    .usage = "list|show|retry|drop <workspace-id> [message-id…] [options]",
    .summary = "list, show, retry or drop dead letters",
    .description =
        "A message whose handler failed too often, or whose reply was refused, becomes a dead "
        "letter:\n"
        "  list   print one line per dead letter\n"
        "  show   print the envelope, the attempts, and the last error with its traceback\n"
        "  retry  hand it to the script again, immediately if a host is running\n"
        "  drop   discard it; its id stays known, so it is never handled again",
    .examples = "  molecule dead list 7f1d0c9e-…\n"
                "  molecule dead retry 7f1d0c9e-… --all",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .positional_maximum = POSITIONALS_MAXIMUM,
    .run = run,
};
