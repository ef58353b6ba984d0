/* molecule doctor: what keeps a workspace from being served here, check by check. Changes nothing,
 * here or on the platform. */
#include "commands/doctor.h"

#include "base/secret_file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/plural.h"
#include "base/terminal.h"
#include "commands/commands.h"
#include "commands/connect_options.h"
#include "commands/errands.h"
#include "commands/local_state.h"
#include "commands/secrets.h"
#include "net/http_client.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DOCTOR_OPTIONS(X)                                                                 \
    X(PATH, script, "script", "also check that this script loads", .letter = 's',         \
      .argument = "FILE")                                                                 \
    ERRAND_OPTIONS(X)                                                                     \
    X(FLAG, offline, "offline", "ask nothing of the network")                             \
    X(CHOICE, color, "color", "color the results: on a terminal, unless NO_COLOR is set", \
      .argument = "auto|always|never", .standard = "auto")                                \
    X(FLAG, json, "json",                                                                 \
      "print JSON: {\"ok\": …, \"checks\": [{\"name\", \"result\", \"text\", \"fix\"}]}")

struct doctor_options {
    DOCTOR_OPTIONS(MOLECULE_MEMBER)
};

static const struct option options[] = {
#define X(...) OPTION_ROW(struct doctor_options, __VA_ARGS__),
    DOCTOR_OPTIONS(X)
#undef X
};

static const char *const names[] = {
#define X(name, text, ...) text,
    DOCTOR_CHECKS(X)
#undef X
};
static const char *const words[] = {
#define X(name, word) word,
    DOCTOR_RESULTS(X)
#undef X
};

/* --- results --- */

static void print(const struct doctor *doctor, enum doctor_check check, enum doctor_result result,
                  const char *text, const char *fix)
{
    static const char *const colors[] = {[DOCTOR_OK] = "\33[1;32m",
                                         [DOCTOR_WARNING] = "\33[1;33m",
                                         [DOCTOR_FAILED] = "\33[1;31m",
                                         [DOCTOR_SKIPPED] = "\33[2m"};
    char *shown = terminal_copy(text, TERMINAL_WORD),
         *shown_fix = terminal_copy(fix, TERMINAL_WORD);
    printf("%s%-7s%s  %-11s  %s", doctor->colors ? colors[result] : "", words[result],
           doctor->colors ? "\33[0m" : "", names[check], shown);
    if (shown_fix)
        printf("%s fix: %s", shown[strlen(shown) - 1] == '.' ? "" : ";", shown_fix);
    printf("\n");
    fflush(stdout);
    free(shown);
    free(shown_fix);
}

void doctor_tell(struct doctor *doctor, enum doctor_check check, enum doctor_result result,
                 const char *fix, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        text = memory_copy_text("?");
    va_end(arguments);
    log_redact(text); /* it may have the platform's words */
    doctor->results[check] = result;
    doctor->counts[result]++;
    json_t *one = json_pack("{s:s, s:s, s:o}", "name", names[check], "result", words[result],
                            "text", json_stringn_nocheck(text, strlen(text)));
    json_object_set_new(one, "fix", fix ? json_string_nocheck(fix) : json_null());
    json_array_append_new(doctor->list, one);
    if (!doctor->quiet)
        print(doctor, check, result, text, fix);
    free(text);
}

bool doctor_may(struct doctor *doctor, enum doctor_check check, enum doctor_check needed)
{
    enum doctor_result result = doctor->results[needed];
    if (result == DOCTOR_OK || result == DOCTOR_WARNING)
        return true;
    doctor_tell(doctor, check, DOCTOR_SKIPPED, NULL, "needs %s", names[needed]);
    return false;
}

void doctor_examine(struct doctor *doctor)
{
    doctor->list = json_array();
    http_global_open();
    doctor_check_connection(doctor);
    doctor_check_platform(doctor);
    doctor_check_machine(doctor);
    doctor_check_service(doctor);
    http_global_close();
    platform_close(&doctor->platform);
    memory_wipe(doctor->token);
    doctor->token = NULL;
}

/* --- the command --- */

/* The id that was given, else of the one workspace that has state there; NULL: several, or none. */
static char *choose_id(const char *given, const char *directory)
{
    if (given) {
        char *id = memory_copy_text(given);
        platform_normalise_id(id);
        return id;
    }
    size_t count;
    char **ids = local_state_list(directory, 2, &count), *id = NULL;
    if (ids && count == 1)
        id = memory_copy_text(ids[0]);
    local_state_free_list(ids, ids ? count : 0);
    return id;
}

static int finish(const struct doctor *doctor, bool as_json)
{
    size_t failed = doctor->counts[DOCTOR_FAILED], warned = doctor->counts[DOCTOR_WARNING];
    if (as_json) {
        json_t *all = json_pack("{s:b, s:O}", "ok", failed == 0, "checks", doctor->list);
        char *text = json_dumps(all, JSON_INDENT(2)), *shown = terminal_copy(text, TERMINAL_JSON);
        printf("%s\n", shown ? shown : "{}");
        free(shown);
        free(text);
        json_decref(all);
    } else {
        printf("%zu ok, %zu warning%s, %zu failed, %zu skipped\n", doctor->counts[DOCTOR_OK],
               warned, plural(warned), failed, doctor->counts[DOCTOR_SKIPPED]);
    }
    return failed > 0 ? 1 : 0;
}

bool doctor_open(struct doctor *doctor, const struct command *command,
                 const struct errands_given *given, const char *id, const char *directory)
{
    const char *wrong = NULL, *text = getenv("MOLECULE_WORKSPACE_TOKEN");
    molecule_workspace_defaults(&doctor->workspace);
    doctor->id = choose_id(id, directory);
    doctor->given_token = text && *text && !given->token_file ? connect_take_token(text, &wrong)
                                                              : NULL;
    log_hide(doctor->given_token);
    secret_wipe_variable("MOLECULE_WORKSPACE_TOKEN");
    doctor->token_path = given->token_file ? connect_token_path(given->token_file, id ? id : "{id}")
                         : doctor->given_token
                             ? NULL
                             : secrets_token_credential(doctor->id ? doctor->id : "", true);
    doctor->ca_file = given->ca_file;
    doctor->workspace.id = doctor->id;
    doctor->workspace.api_url = given->api_url;
    doctor->workspace.token = doctor->given_token;
    doctor->workspace.token_file = doctor->token_path;
    doctor->workspace.org_id = given->org_id;
    doctor->workspace.insecure_http = given->insecure_http;
    doctor->workspace.state_directory = directory;
    if (wrong)
        options_complain(command, "the token of MOLECULE_WORKSPACE_TOKEN %s", wrong);
    return !wrong;
}

void doctor_close(struct doctor *doctor)
{
    memory_wipe(doctor->given_token);
    free(doctor->token_path);
    free(doctor->id);
    json_decref(doctor->list);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct doctor_options given = {0};
    const char *id = NULL;
    size_t count;
    enum options_result parsed = options_parse(command, argc, argv, &given, &id, &count);
    if (parsed != OPTIONS_PARSED)
        return parsed == OPTIONS_HELP ? 0 : 2;
    if (count == 1 && !platform_valid_id(id))
        return options_complain(command, "\"%s\" cannot be a workspace id", id);
    char *directory = local_state_directory(given.state_directory);
    if (!directory)
        return 2;
    struct doctor doctor = {.offline = given.offline,
                            .quiet = given.json,
                            .colors = terminal_colors(STDOUT_FILENO, given.color)};
    int code = 2;
    if (doctor_open(&doctor, command,
                    &(struct errands_given){given.api_url, given.token_file, given.org_id,
                                            given.ca_file, given.state_directory,
                                            given.insecure_http},
                    count == 1 ? id : NULL, directory)) {
        doctor.workspace.script = given.script;
        doctor_examine(&doctor);
        code = finish(&doctor, given.json);
    }
    doctor_close(&doctor);
    free(directory);
    return code;
}

const struct command command_doctor = {
    .name = "doctor",
    .group = COMMAND_LOOK,
    .usage = "[workspace-id] [options]",
    .summary = "find out why a workspace is not served: platform, network, state",
    .description =
        "Checks one thing after the other, and prints a line for each: ok, warning, failed or "
        "skipped, its name,\n"
        "what was found, and how to mend it. Changes nothing on the platform and nothing here: "
        "where the state\n"
        "directory's file system is tried, a file is made and removed. A host that serves the "
        "workspace is not\n"
        "disturbed. Without an id it takes the one workspace of the state directory; with several "
        "there, what\n"
        "needs a workspace is skipped. The token is what connect would take, or the file `token` "
        "in\n"
        "$CREDENTIALS_DIRECTORY.\n\n"
        "Exit codes: 0 nothing failed (there may be warnings), 1 something failed, 2 wrong usage.",
    .examples =
        "  molecule doctor 7f1d0c9e-… --api-url https://acme.example.com --token-file token\n"
        "  molecule doctor --offline --script agent.lua",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .positional_maximum = 1,
    .run = run,
};
