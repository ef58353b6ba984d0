/* molecule report: what a bug report needs, in a directory to look through before it is sent. */
#include "commands/report.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/plural.h"
#include "base/terminal.h"
#include "commands/commands.h"
#include "commands/doctor.h"
#include "commands/local_state.h"
#include "commands/workspace_status.h"
#include "net/http_client.h"
#include "net/http_probe.h"
#include "net/versions.h"
#include "state/atomic_file.h"
#include "state/ledger.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define WORKSPACES_MAXIMUM 1000
#define METRICS_MAXIMUM (4 * 1024 * 1024)
#define METRICS_MS 5000

#define REPORT_OPTIONS(X)                                                                          \
    X(PATH, output, "output", "directory to make [molecule-report-<time>]", .letter = 'o',         \
      .argument = "DIR")                                                                           \
    X(PATH, log_file, "log-file", "the host's log; else the journal is asked", .argument = "FILE") \
    X(TEXT, metrics, "metrics", "where the host serves its metrics", .argument = "ADDR:PORT")      \
    X(PATH, script, "script", "also check that this script loads", .letter = 's',                  \
      .argument = "FILE")                                                                          \
    X(FLAG, online, "online", "let `molecule doctor` ask the platform, too")                       \
    ERRAND_OPTIONS(X)

struct report_options {
    REPORT_OPTIONS(MOLECULE_MEMBER)
};

static const struct option options[] = {
#define X(...) OPTION_ROW(struct report_options, __VA_ARGS__),
    REPORT_OPTIONS(X)
#undef X
};

struct report {
    const struct report_options *given;
    const char *directory; /* of the state */
    char **ids;
    size_t id_count;
    json_t *statuses;
    int out; /* the directory that is made */
    bool failed;
};

/* --- what is written --- */

/* The text, or why there is none. */
static void put(struct report *report, const char *name, const char *text)
{
    int fd = openat(report->out, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    size_t length = strlen(text);
    bool written = fd >= 0 && write(fd, text, length) == (ssize_t)length;
    if (fd < 0 || close(fd) != 0 || !written) {
        fprintf(stderr, "molecule report: %s cannot be written: %s\n", name, strerror(errno));
        report->failed = true;
    } else {
        printf("  %-13s %6zu bytes\n", name, length);
    }
}

static void put_redacted(struct report *report, const char *name, const char *text)
{
    char *shown = report_redact(text);
    put(report, name, shown);
    free(shown);
}

static void put_json(struct report *report, const char *name, const json_t *value)
{
    char *text = json_dumps(value, JSON_INDENT(2));
    char *line = memory_format("%s\n", text ? text : "null");
    put_redacted(report, name, line);
    free(line);
    free(text);
}

static void put_versions(struct report *report)
{
    char libraries[512], *text, *system;
    struct utsname name = {0};
    size_t length;
    int error;
    uname(&name);
    versions_describe(libraries, sizeof libraries);
    system = atomic_file_read("/etc/os-release", 65536, &length, &error);
    char *pretty = system ? strstr(system, "PRETTY_NAME=") : NULL;
    if (pretty)
        pretty[strcspn(pretty, "\n")] = '\0';
    text = memory_format("molecule %s\ncommit %s\n%s\nsqlite %s\n%s %s %s\n%s\n", MOLECULE_VERSION,
                         versions_commit, libraries, ledger_sqlite_version(), name.sysname,
                         name.release, name.machine, pretty ? pretty : "");
    put_redacted(report, "versions.txt", text);
    free(text);
    free(system);
}

/* Questions are messages, and errors quote them. */
static void hide_texts(json_t *status)
{
    size_t i;
    json_t *question, *failure = json_object_get(status, "last_failure");
    if (json_is_object(failure))
        json_object_set_new(failure, "reason", json_string("[hidden]"));
    json_array_foreach (json_object_get(status, "questions"), i, question) {
        json_object_set_new(question, "text", json_string("[hidden]"));
        json_object_set_new(question, "choices", json_string("[hidden]"));
    }
}

static void put_status(struct report *report)
{
    char problem[1024];
    report->statuses = json_array();
    for (size_t i = 0; i < report->id_count; i++) {
        bool live;
        json_t *status = workspace_status(report->directory, report->ids[i], &live, problem,
                                          sizeof problem);
        if (!status)
            status = json_pack("{s:s, s:s}", "workspace", report->ids[i], "problem", problem);
        hide_texts(status);
        json_array_append_new(report->statuses, status);
    }
    put_json(report, "status.json", report->statuses);
}

/* Names, sizes, modes and times; nothing of what is in them. */
static void put_state(struct report *report)
{
    struct buffer text;
    DIR *stream = opendir(report->directory);
    buffer_init(&text, SIZE_MAX);
    buffer_printf(&text, "%s%s%s\n", report->directory, stream ? "" : ": ",
                  stream ? "" : strerror(errno));
    for (struct dirent *entry; stream && (entry = readdir(stream));) {
        struct stat status;
        char changed[CLOCK_TEXT_SIZE];
        if (fstatat(dirfd(stream), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        clock_format(clock_bound_ms((int64_t)status.st_mtime * 1000), changed);
        buffer_printf(&text, "%06o %5ld %12lld %s %s\n", (unsigned)status.st_mode,
                      (long)status.st_uid, (long long)status.st_size, changed, entry->d_name);
    }
    if (stream)
        closedir(stream);
    put_redacted(report, "state.txt", text.data);
    buffer_free(&text);
}

static void put_options(struct report *report)
{
    struct buffer text;
    size_t i;
    json_t *status;
    json_int_t last = 0;
    buffer_init(&text, SIZE_MAX);
    json_array_foreach (report->statuses, i, status) {
        json_int_t pid = json_integer_value(json_object_get(status, "pid"));
        if (pid > 0 && pid != last) /* of a fleet they are all the same */
            report_options((long)pid, &text);
        last = pid > 0 ? pid : last;
    }
    put(report, "options.txt", text.length > 0 ? text.data : "no host is running here\n");
    buffer_free(&text);
}

static void put_log(struct report *report)
{
    char problem[1024] = "";
    struct buffer lines;
    buffer_init(&lines, SIZE_MAX);
    bool read = report->given->log_file
                    ? report_log_file(report->given->log_file, &lines, problem, sizeof problem)
                    : report_log_journal(&lines, problem, sizeof problem);
    char *none = memory_format("no log: %s\n", read ? "it is empty" : problem);
    put(report, "log.txt", lines.length > 0 ? lines.data : none);
    free(none);
    buffer_free(&lines);
}

static void put_metrics(struct report *report)
{
    struct http_probe probe;
    const char *place = report->given->metrics;
    if (!place) {
        put(report, "metrics.txt", "no metrics: --metrics was not given\n");
        return;
    }
    char *url = memory_format("http://%s/metrics", place);
    http_global_open();
    http_probe(&(struct http_probe_request){.url = url,
                                            .timeout_ms = METRICS_MS,
                                            .maximum = METRICS_MAXIMUM},
               &probe);
    http_global_close();
    char *text = probe.status == 200 && probe.body.data
                     ? memory_copy_text(probe.body.data)
                     : memory_format("no metrics from %s: %s\n", url,
                                     *probe.error ? probe.error : "it answers something else");
    put_redacted(report, "metrics.txt", text);
    http_probe_free(&probe);
    free(text);
    free(url);
}

static void put_doctor(struct report *report, struct doctor *doctor)
{
    doctor->quiet = true;
    doctor->offline = !report->given->online;
    doctor->workspace.script = report->given->script;
    doctor_examine(doctor);
    put_json(report, "doctor.json", doctor->list);
}

/* --- the command --- */

static void choose_ids(struct report *report, const char *id)
{
    if (!id) {
        report->ids = local_state_list(report->directory, WORKSPACES_MAXIMUM, &report->id_count);
        return;
    }
    report->ids = memory_allocate(sizeof *report->ids);
    report->ids[report->id_count++] = memory_copy_text(id);
    platform_normalise_id(report->ids[0]);
}

static void hide(struct report *report)
{
    extern char **environ;
    for (char **variable = environ; *variable; variable++)
        report_hide_environment(*variable, strlen(*variable) + 1);
    report_hide_files(report->directory, report->ids, report->id_count);
}

/* What the hosts' environments hold. */
static void hide_of_hosts(struct report *report)
{
    size_t i, length;
    int error;
    json_t *status;
    json_array_foreach (report->statuses, i, status) {
        char *path = memory_format("/proc/%lld/environ",
                                   (long long)json_integer_value(json_object_get(status, "pid")));
        char *bytes = atomic_file_read(path, METRICS_MAXIMUM, &length, &error);
        if (bytes)
            report_hide_environment(bytes, length);
        memory_wipe(bytes);
        free(path);
    }
}

static void gather(struct report *report, struct doctor *doctor)
{
    put_versions(report);
    put_status(report);
    hide_of_hosts(report);
    put_state(report);
    put_options(report);
    put_doctor(report, doctor);
    put_log(report);
    put_metrics(report);
    json_decref(report->statuses);
}

/* The exit code. */
static int make(struct report *report, struct doctor *doctor)
{
    char time[CLOCK_TEXT_SIZE];
    clock_format(clock_wall_ms(), time);
    time[strcspn(time, ".")] = '\0';
    for (char *at = time; *at; at++) /* tar takes what is before a colon for a host */
        *at = *at == ':' ? '-' : *at;
    char *name = report->given->output ? memory_copy_text(report->given->output)
                                       : memory_format("molecule-report-%s", time);
    report->out = mkdir(name, 0700) == 0 ? open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (report->out < 0) {
        terminal_print(stderr, "molecule report: the directory %s cannot be made: %s\n", name,
                       strerror(errno));
        free(name);
        return 1;
    }
    terminal_print(stdout, "%s/\n", name);
    gather(report, doctor);
    close(report->out);
    terminal_print(stdout,
                   "Tokens, secrets and the texts of messages are hidden, as far as they can be "
                   "told. Look through it, then\npack it: tar -czf '%s.tar.gz' '%s'\n",
                   name, name);
    free(name);
    return report->failed ? 1 : 0;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct report_options given = {0};
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
    struct report report = {.given = &given, .directory = directory};
    struct doctor doctor = {0};
    int code = 2;
    choose_ids(&report, count == 1 ? id : NULL);
    hide(&report); /* before doctor_open wipes the token's variable */
    if (doctor_open(&doctor, command,
                    &(struct errands_given){given.api_url, given.token_file, given.org_id,
                                            given.ca_file, given.state_directory,
                                            given.insecure_http},
                    count == 1 ? id : NULL, directory)) {
        if (doctor.token_path)
            report_hide_file(doctor.token_path);
        code = make(&report, &doctor);
    }
    doctor_close(&doctor);
    local_state_free_list(report.ids, report.id_count);
    free(directory);
    return code;
}

const struct command command_report = {
    .name = "report",
    .group = COMMAND_LOOK,
    .usage = "[workspace-id] [options]",
    .summary = "gather what a bug report needs, without secrets",
    .description =
        "Makes a directory with the versions, the status of each workspace of the state directory "
        "(or of one), the\n"
        "names and sizes of its files, how running hosts were started, what `molecule doctor "
        "--offline` finds, the\n"
        "last 200 lines of the log and the metrics. Tokens, secrets and the texts of messages are "
        "replaced by\n"
        "\"[hidden]\". Nothing is sent anywhere, and without --online nothing is asked of the "
        "platform.\n\n"
        "Exit codes: 0 made, 1 a file could not be written, 2 wrong usage.",
    .examples = "  molecule report --log-file /var/log/molecule.log --metrics 127.0.0.1:9464\n"
                "  sudo molecule report --state-dir /var/lib/molecule --online",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .positional_maximum = 1,
    .run = run,
};
