#include "host/monitor.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "host/metrics.h"
#include "host/parts.h"
#include "journal/journal.h"
#include "link/poller_pace.h"
#include "net/http_server.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTIONS 256
#define HEAD_MS 2000 /* who is slow must not keep a probe waiting */
#define IDLE_MS 30000
#define POLLS_MISSED 3     /* intervals without a poll: then it is late */
#define POLL_SLACK_MS 5000 /* one may be under way */
#define TEXT "text/plain; charset=utf-8"
#define PROMETHEUS "text/plain; version=0.0.4; charset=utf-8"
#define OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"

struct monitor {
    struct host *host;
    struct http_server *http;
};

static void answer(struct http_request *request, int status, const char *type, const char *body,
                   size_t length)
{
    const struct http_header headers[] = {{"Content-Type", type}, {"Cache-Control", "no-store"}};
    http_request_answer(request, &(struct http_answer){.status = status,
                                                       .headers = headers,
                                                       .header_count = 2,
                                                       .body = body,
                                                       .length = length});
}

static void answer_text(struct http_request *request, int status, const char *text)
{
    answer(request, status, TEXT, text, strlen(text));
}

/* --- ready? --- */

static bool polls_late(const struct workspace *workspace)
{
    const struct poller *poller = &workspace->poller;
    int64_t pause_ms = poller_pause_ms(poller);
    return clock_monotonic_ms() - poller->polled_ms > POLLS_MISSED * pause_ms + POLL_SLACK_MS;
}

static const char *find_unready(const struct workspace *workspace)
{
    bool polls = !workspace->options.serve && !workspace->link.pushed;
    if (workspace->state != WORKSPACE_RUNNING)
        return workspace->state < WORKSPACE_RUNNING ? "is not registered yet" : "is stopping";
    if (workspace->watchdog.wedged)
        return "its script does not return";
    if (journal_problem(workspace->journal))
        return journal_problem(workspace->journal);
    if (cursor_writer_problem(&workspace->cursor_writer))
        return cursor_writer_problem(&workspace->cursor_writer);
    if (workspace->link.away_ms)
        return workspace->link.away_reason;
    if (polls && workspace->poller.polled_ms == 0)
        return "has not fetched its inbox yet";
    if (polls && inbox_pending(workspace->inbox) < workspace->options.max_pending &&
        polls_late(workspace))
        return "its inbox was not fetched for more than three intervals";
    return NULL;
}

char *monitor_unready(const struct workspace *workspace)
{
    const char *why = find_unready(workspace);
    return why ? memory_format("%s: %s\n", workspace_id(workspace), why) : NULL;
}

static void serve_ready(const struct monitor *monitor, struct http_request *request)
{
    struct buffer text;
    buffer_init(&text, SIZE_MAX);
    for (const struct workspace *each = monitor->host->workspaces; each;
         each = workspace_next(each)) {
        char *line = monitor_unready(each);
        if (line)
            buffer_append_text(&text, line);
        free(line);
    }
    if (text.length > 0)
        answer(request, 503, TEXT, text.data, text.length);
    else
        answer_text(request, monitor->host->workspaces ? 200 : 503,
                    monitor->host->workspaces ? "ready\n" : "no workspace\n");
    buffer_free(&text);
}

/* --- the others --- */

static json_t *describe(const struct workspace *workspace)
{
    struct control_status now;
    wiring_look(workspace, &now);
    json_t *status = control_describe(workspace_id(workspace), &now, NULL);
    json_t *outcomes = json_object();
    const struct message_counts *counts = &workspace->dispatch.counts;
#define X(name, text) \
    json_object_set_new(outcomes, text, json_integer((json_int_t)counts->finished[name]));
    MESSAGE_OUTCOMES(X)
#undef X
    json_object_set_new(status, "outcomes", outcomes);
    json_object_del(status, "messages"); /* of the ledger; not read here */
    json_object_del(status, "oldest_pending");
    json_object_del(status, "last_failure"); /* it may have a message's words */
    char *unready = monitor_unready(workspace);
    json_object_set_new(status, "ready", json_boolean(!unready));
    free(unready);
    return status;
}

static void serve_status(const struct monitor *monitor, struct http_request *request)
{
    json_t *workspaces = json_array();
    for (const struct workspace *each = monitor->host->workspaces; each;
         each = workspace_next(each))
        json_array_append_new(workspaces, describe(each));
    json_t *status = json_pack("{s:s, s:i, s:o}", "version", MOLECULE_VERSION, "pid", (int)getpid(),
                               "workspaces", workspaces);
    char *text = status ? json_dumps(status, JSON_INDENT(2)) : NULL;
    json_decref(status);
    if (text)
        answer(request, 200, "application/json", text, strlen(text));
    else
        answer_text(request, 500, "out of memory\n");
    free(text);
}

static void serve_metrics(const struct monitor *monitor, struct http_request *request)
{
    const char *accept = http_request_header(request, "Accept");
    bool openmetrics = accept && strstr(accept, "application/openmetrics-text");
    size_t length = 0;
    char *text = metrics_text(monitor->host, openmetrics, &length);
    if (text)
        answer(request, 200, openmetrics ? OPENMETRICS : PROMETHEUS, text, length);
    else
        answer_text(request, 500, "out of memory\n");
    free(text);
}

static bool on_head(struct http_request *request, void *context)
{
    const struct monitor *monitor = context;
    const char *method = http_request_method(request), *path = http_request_path(request);
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        const struct http_header headers[] = {{"Allow", "GET, HEAD"}};
        http_request_answer(
            request, &(struct http_answer){.status = 405, .headers = headers, .header_count = 1});
    } else if (strcmp(path, "/metrics") == 0) {
        serve_metrics(monitor, request);
    } else if (strcmp(path, "/healthz") == 0) {
        answer_text(request, 200, "ok\n");
    } else if (strcmp(path, "/readyz") == 0) {
        serve_ready(monitor, request);
    } else if (strcmp(path, "/status") == 0) {
        serve_status(monitor, request);
    } else {
        answer_text(request, 404, "there are /metrics, /healthz, /readyz and /status\n");
    }
    return false;
}

static void on_request(struct http_request *request, void *context)
{
    (void)context;
    answer_text(request, 404, "");
}

struct monitor *monitor_open(struct host *host, const char *place, char *problem,
                             size_t problem_size)
{
    struct monitor *monitor = memory_allocate(sizeof *monitor);
    struct http_server_options options = {
        .listen = &place,
        .listen_count = 1,
        .limits = {.head_bytes = 8192,
                   .body_bytes = 1,
                   .connections = CONNECTIONS,
                   .head_ms = HEAD_MS,
                   .idle_ms = IDLE_MS},
        .access_log_name = "metrics",
        .on_head = on_head,
        .on_request = on_request,
        .context = monitor,
    };
    char why[400];
    monitor->host = host;
    monitor->http = http_server_open(&host->network.loop, &options, why, sizeof why);
    if (!monitor->http) {
        snprintf(problem, problem_size, "--metrics: %s", why);
        free(monitor);
        return NULL;
    }
    char where[300];
    (void)http_server_place(monitor->http, 0, where, sizeof where);
    log_info(LOG_SERVER_LISTENING, NULL, "metrics at %s%s", where,
             strncmp(where, "unix:", 5) == 0 ? "" : "/metrics");
    return monitor;
}

void monitor_close(struct monitor *monitor)
{
    if (!monitor)
        return;
    http_server_close(monitor->http);
    free(monitor);
}
