#include "host/metrics_private.h"

#include "base/log.h"
#include "host/host.h"
#include "script/script.h"
#include "state/ledger.h"
#include "host/workspace.h"
#include "net/versions.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
/* How the numbers of several workspaces become one. */
enum metric_sum { METRIC_ADD, METRIC_LEAST, METRIC_LEAST_KNOWN };

struct family {
    enum metric_type type;
    const char *name, *help; /* without "_total" */
    size_t offset, count;    /* its doubles within the numbers */
    const char *label;       /* NULL: none */
    const char *const *values;
    enum metric_sum sum;
};

#define TEXT(name, text) text,
static const char *const kinds[] = {MESSAGE_KINDS(TEXT)};
static const char *const outcomes[] = {MESSAGE_OUTCOMES(TEXT)};
static const char *const states[] = {PENDING_STATES(TEXT)};
static const char *const results[] = {SCRIPT_OUTCOMES(TEXT)};
static const char *const directions[] = {"input", "output"};
static const char *const classes[] = {RETRY_CLASSES(TEXT)};
static const char *const workspace_states[] = {WORKSPACE_STATES(TEXT)};
static const char *const bounds[] = {HISTOGRAM_BOUNDS(TEXT)};
#undef TEXT

#define NUMBERS(structure, member)         \
    .offset = offsetof(structure, member), \
    .count = sizeof(((structure *)NULL)->member) / sizeof(double)
#define OF_WORKSPACE(kind, member, title, text, ...)                    \
    {                                                                   \
        .type = METRIC_##kind, .name = "molecule_" title, .help = text, \
        NUMBERS(struct workspace_numbers, member), __VA_ARGS__          \
    }

static const struct family workspace_families[] = {
    OF_WORKSPACE(
        COUNTER, received, "messages_received",
        "Messages taken up: the sum of those that are finished and those that are pending.",
        .label = "kind", .values = kinds),
    OF_WORKSPACE(COUNTER, finished, "messages_finished", "Messages by their outcome.",
                 .label = "outcome", .values = outcomes),
    OF_WORKSPACE(GAUGE, pending, "messages_pending", "Messages that are not finished.",
                 .label = "state", .values = states),
    OF_WORKSPACE(GAUGE, deferred, "messages_deferred",
                 "Pending messages that the cursor has passed: the ledger keeps them.", ),
    OF_WORKSPACE(GAUGE, oldest_pending, "oldest_pending_timestamp_seconds",
                 "When the oldest pending message was first seen; 0: none is pending.",
                 .sum = METRIC_LEAST_KNOWN),
    OF_WORKSPACE(COUNTER, attempts, "attempts", "Runs of handlers, by how they ended.",
                 .label = "result", .values = results),
    OF_WORKSPACE(HISTOGRAM, wall, "handler_seconds", "How long runs of handlers took.", ),
    OF_WORKSPACE(HISTOGRAM, cpu, "handler_cpu_seconds", "CPU time that runs of handlers used.", ),
    OF_WORKSPACE(HISTOGRAM, reply, "reply_seconds",
                 "From when a reply could be posted until it was accepted, with retries.", ),
    OF_WORKSPACE(COUNTER, repeats_avoided, "repeats_avoided",
                 "Rows that came again, and calls that an earlier attempt had made.", ),
    OF_WORKSPACE(COUNTER, steps, "steps", "Steps (ctx.step) that were recorded.", ),
    OF_WORKSPACE(GAUGE, questions, "questions_open", "Questions (ctx.ask) without an answer.", ),
    OF_WORKSPACE(COUNTER, requests, "platform_requests",
                 "Requests to the platform, by what the answer means.", .label = "class",
                 .values = classes),
    OF_WORKSPACE(GAUGE, last_poll, "poll_last_success_timestamp_seconds",
                 "When the inbox was last fetched; 0: never.", .sum = METRIC_LEAST),
    OF_WORKSPACE(GAUGE, last_heartbeat, "heartbeat_last_success_timestamp_seconds",
                 "When the last heartbeat succeeded; 0: none has.", .sum = METRIC_LEAST),
    OF_WORKSPACE(GAUGE, reachable, "platform_reachable",
                 "1: the last poll or registration succeeded.", .sum = METRIC_LEAST),
    OF_WORKSPACE(GAUGE, stream, "event_stream_open", "1: the platform's event stream is used.", ),
    OF_WORKSPACE(GAUGE, wedged, "script_wedged", "1: the script does not return.", ),
    OF_WORKSPACE(GAUGE, lua_bytes, "lua_memory_bytes",
                 "What the Lua state held when the last handler ended.", ),
    OF_WORKSPACE(COUNTER, tokens, "model_tokens", "Tokens that models counted: the backend openai.",
                 .label = "direction", .values = directions),
    OF_WORKSPACE(GAUGE, ledger_bytes, "ledger_bytes", "Size of the ledger and its log.", ),
    OF_WORKSPACE(GAUGE, ledger_writable, "ledger_writable",
                 "0: the state cannot be written, so nothing is handled.", .sum = METRIC_LEAST),
    OF_WORKSPACE(HISTOGRAM, commit, "ledger_commit_seconds", "How long commits took.", ),
};

#define OF_PROCESS(kind, member, title, text, ...)           \
    {                                                        \
        .type = METRIC_##kind, .name = title, .help = text,  \
        NUMBERS(struct process_numbers, member), __VA_ARGS__ \
    }

static const struct family process_families[] = {
    OF_PROCESS(GAUGE, workspaces, "molecule_fleet_workspaces", "Workspaces of this process.",
               .label = "state", .values = workspace_states),
    OF_PROCESS(GAUGE, state_free_bytes, "molecule_state_free_bytes",
               "Free bytes on the file system of the state directory; -1: unknown.", ),
    OF_PROCESS(COUNTER, spans_dropped, "molecule_trace_spans_dropped",
               "Spans that the collector of traces did not take.", ),
    OF_PROCESS(COUNTER, cpu_seconds, "process_cpu_seconds", "User and system CPU time.", ),
    OF_PROCESS(GAUGE, resident_bytes, "process_resident_memory_bytes", "Resident memory.", ),
    OF_PROCESS(GAUGE, virtual_bytes, "process_virtual_memory_bytes", "Virtual memory.", ),
    OF_PROCESS(GAUGE, open_fds, "process_open_fds", "Open file descriptors.", ),
    OF_PROCESS(GAUGE, max_fds, "process_max_fds", "The limit of open file descriptors.", ),
    OF_PROCESS(GAUGE, threads, "process_threads", "Threads.", ),
    OF_PROCESS(GAUGE, start_time, "process_start_time_seconds", "When the process began.", ),
};

/* --- text --- */

struct exposition {
    FILE *out;
    bool openmetrics;
};

static const char *const type_names[] = {"counter", "gauge", "histogram"};

static void begin(const struct exposition *page, enum metric_type type, const char *name,
                  const char *help)
{
    const char *end = type == METRIC_COUNTER && !page->openmetrics ? "_total" : "";
    fprintf(page->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, end, help, name, end,
            type_names[type]);
}

/* Whole numbers as such: a counter must not lose its last digits. */
static void put_number(const struct exposition *page, double value)
{
    if (value == floor(value) && fabs(value) < 1e15)
        fprintf(page->out, " %.0f\n", value);
    else
        fprintf(page->out, " %.15g\n", value);
}

/* `workspace` NULL: the series has no such label. */
static void put_sample(const struct exposition *page, const char *name, const char *end,
                       const char *workspace, const char *label, const char *value, double number)
{
    fprintf(page->out, "%s%s", name, end);
    if (workspace || label)
        fputc('{', page->out);
    if (workspace)
        fprintf(page->out, "workspace=\"%s\"%s", workspace, label ? "," : "");
    if (label)
        fprintf(page->out, "%s=\"%s\"", label, value);
    if (workspace || label)
        fputc('}', page->out);
    put_number(page, number);
}

static void put_histogram(const struct exposition *page, const struct family *family,
                          const char *workspace, const double *numbers)
{
    double all = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        all += numbers[i];
        put_sample(page, family->name, "_bucket", workspace, "le",
                   i < HISTOGRAM_BUCKETS - 1 ? bounds[i] : "+Inf", all);
    }
    put_sample(page, family->name, "_sum", workspace, NULL, NULL, numbers[HISTOGRAM_BUCKETS]);
    put_sample(page, family->name, "_count", workspace, NULL, NULL, all);
}

static void put_series(const struct exposition *page, const struct family *family,
                       const char *workspace, const void *of)
{
    const double *numbers = (const double *)((const char *)of + family->offset);
    if (family->type == METRIC_HISTOGRAM) {
        put_histogram(page, family, workspace, numbers);
        return;
    }
    for (size_t i = 0; i < family->count; i++)
        put_sample(page, family->name, family->type == METRIC_COUNTER ? "_total" : "", workspace,
                   family->label, family->label ? family->values[i] : NULL, numbers[i]);
}

/* --- several workspaces --- */

static double combine(enum metric_sum how, double sum, double more)
{
    if (how == METRIC_ADD)
        return sum + more;
    if (how == METRIC_LEAST_KNOWN && (sum == 0 || more == 0))
        return sum + more;
    return more < sum ? more : sum;
}

static void sum_up(struct workspace_numbers *all, const struct workspace_numbers *one)
{
    for (size_t i = 0; i < sizeof workspace_families / sizeof *workspace_families; i++) {
        const struct family *family = &workspace_families[i];
        double *sum = (double *)((char *)all + family->offset);
        const double *more = (const double *)((const char *)one + family->offset);
        for (size_t j = 0; j < family->count; j++)
            sum[j] = combine(family->sum, sum[j], more[j]);
    }
}

void metrics_add_counters(struct workspace_numbers *all, const struct workspace_numbers *one)
{
    for (size_t i = 0; i < sizeof workspace_families / sizeof *workspace_families; i++) {
        const struct family *family = &workspace_families[i];
        double *sum = (double *)((char *)all + family->offset);
        const double *more = (const double *)((const char *)one + family->offset);
        for (size_t j = 0; j < family->count && family->type != METRIC_GAUGE; j++)
            sum[j] += more[j];
    }
}

/* One for each workspace, or one for all; `*count` and `*summed` say which. */
static struct workspace_numbers *look_at_all(const struct host *host, size_t *count, bool *summed)
{
    size_t workspaces = 0, at = 0;
    for (const struct workspace *each = host->workspaces; each; each = workspace_next(each))
        workspaces++;
    *summed = workspaces > METRICS_WORKSPACES;
    *count = *summed ? 1 : workspaces;
    struct workspace_numbers *numbers = calloc(*count + 1, sizeof *numbers);
    for (const struct workspace *each = host->workspaces; numbers && each;
         each = workspace_next(each), at++) {
        struct workspace_numbers *one = &numbers[*summed && at > 0 ? 1 : at];
        metrics_look_workspace(each, one);
        if (*summed && at > 0)
            sum_up(&numbers[0], one);
    }
    if (*summed && numbers && host->departed)
        metrics_add_counters(&numbers[0], host->departed);
    return numbers;
}

static void put_workspaces(const struct exposition *page, const struct host *host)
{
    size_t count;
    bool summed;
    struct workspace_numbers *numbers = look_at_all(host, &count, &summed);
    if (!numbers)
        return;
    for (size_t i = 0; i < sizeof workspace_families / sizeof *workspace_families && count; i++) {
        const struct family *family = &workspace_families[i];
        const struct workspace *workspace = host->workspaces;
        begin(page, family->type, family->name, family->help);
        for (size_t j = 0; j < count; j++, workspace = workspace_next(workspace))
            put_series(page, family, summed ? NULL : workspace_id(workspace), &numbers[j]);
    }
    free(numbers);
}

/* --- the process --- */

/* Trouble alone: what is no warning is counted by the metrics above. */
static void put_log_events(const struct exposition *page)
{
    begin(page, METRIC_COUNTER, "molecule_log_events",
          "Warnings and errors of the log, by event (docs/log-events.md).");
    /* also those that are 0: for increase() */
    for (int event = 0; event < LOG_EVENT_COUNT; event++)
        fprintf(page->out, "molecule_log_events_total{event=\"%s\"} %" PRIu64 "\n",
                log_event_name((enum log_event)event),
                log_event_count((enum log_event)event, LOG_LEVEL_ERROR) +
                    log_event_count((enum log_event)event, LOG_LEVEL_WARN));
}

static void put_build(const struct exposition *page)
{
    char labels[512];
    versions_label(labels, sizeof labels);
    if (page->openmetrics)
        fprintf(page->out, "# HELP molecule_build Versions of this program.\n"
                           "# TYPE molecule_build info\n");
    else
        begin(page, METRIC_GAUGE, "molecule_build_info", "Versions of this program.");
    fprintf(page->out,
            "molecule_build_info{version=\"%s\",commit=\"%s\",lua=\"%s\",sqlite=\"%s\",%s} 1\n",
            MOLECULE_VERSION, versions_commit, script_lua_version(), ledger_sqlite_version(),
            labels);
}

char *metrics_text(struct host *host, bool openmetrics, size_t *length)
{
    char *text = NULL;
    struct process_numbers process;
    struct exposition page = {.out = open_memstream(&text, length), .openmetrics = openmetrics};
    if (!page.out)
        return NULL;
    put_workspaces(&page, host);
    metrics_look_process(host, &process);
    for (size_t i = 0; i < sizeof process_families / sizeof *process_families; i++) {
        begin(&page, process_families[i].type, process_families[i].name, process_families[i].help);
        put_series(&page, &process_families[i], NULL, &process);
    }
    put_log_events(&page);
    put_build(&page);
    if (openmetrics)
        fputs("# EOF\n", page.out);
    return fclose(page.out) == 0 ? text : NULL;
}
