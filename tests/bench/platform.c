/* The platform that the benchmark measures against: it answers what a workspace asks (platform
 * contract 1.3, 1.4, 1.6, 1.9, 1.10, 1.18), as fast as one thread can, and notes when each row
 * became visible, was sent and was answered. It checks no token and keeps nothing. Usage:
 *   bench_platform [--workspaces N] [--peers N] [--rows N] [--no-stream]
 *     --workspaces N  that exist (1)          --peers N      the rows' senders (1); 0: the canvas
 *     --rows N        of workspace 0, visible from the start (0)
 *     --no-stream     there is no event stream: 404
 * Prints "listening on PORT". Its own routes, all GET:
 *   /bench/add?rows=N&every_us=N   makes rows of workspace 0 visible: all now, or one each so many
 * microseconds /bench/wait?replies=N          answers with the figures when so many replies came
 * (or &registered=N, &polls=N) /bench/stats?skip=N            the figures now; latencies without
 * the first N rows /bench/request                 the last reply, as it came: head and body */
#include "inbox.h"
#include "server.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REQUEST_MAXIMUM (64 * 1024)
#define STATS_MAXIMUM 2048

struct wait {
    struct connection *connection; /* NULL: nobody waits */
    uint64_t replies, registered, polls;
};

static uint32_t workspaces = 1;
static bool offers_stream = true;
static struct inbox *inboxes;
static struct connection **streams; /* [workspace] */
static struct inbox_tally tally;
static uint64_t polls, heartbeats, registered;
static int64_t registered_ns; /* the first */
static struct wait waiting;
static uint32_t to_come; /* rows that the timer makes visible */
static char *page;
static char last_reply[REQUEST_MAXIMUM];
static size_t last_reply_length;

static uint64_t parameter(const char *target, const char *name, uint64_t otherwise)
{
    size_t length = strlen(name);
    for (const char *at = strpbrk(target, "?"); at; at = strpbrk(at + 1, "&"))
        if (strncmp(at + 1, name, length) == 0 && at[1 + length] == '=')
            return strtoull(at + 2 + length, NULL, 10);
    return otherwise;
}

static int by_value(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return a < b ? -1 : a > b;
}

static int write_percentiles(char *text, size_t size, const char *name, int64_t *values,
                             size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return snprintf(text, size,
                    ",\"%s\":{\"count\":%zu,\"p50\":%" PRId64 ",\"p99\":%" PRId64
                    ",\"max\":%" PRId64 "}",
                    name, count, count ? values[count / 2] : 0,
                    count ? values[count * 99 / 100] : 0, count ? values[count - 1] : 0);
}

static int write_latencies(char *text, size_t size, uint32_t skip)
{
    size_t count = 0, capacity = 0;
    for (uint32_t i = 0; i < workspaces; i++)
        capacity += inboxes[i].visible;
    int64_t *visible = calloc(capacity + 1, sizeof *visible),
            *sent = calloc(capacity + 1, sizeof *sent);
    if (!visible || !sent)
        abort();
    for (uint32_t i = 0; i < workspaces; i++)
        for (uint32_t row = skip + 1; row <= inboxes[i].visible; row++) {
            const struct inbox_mark *mark = &inboxes[i].marks[row];
            if (mark->replies == 0)
                continue;
            visible[count] = mark->replied_ns - mark->visible_ns;
            sent[count++] = mark->replied_ns - mark->sent_ns;
        }
    int length = write_percentiles(text, size, "from_visible", visible, count);
    length += write_percentiles(text + length, size - (size_t)length, "from_sent", sent, count);
    free(visible);
    free(sent);
    return length;
}

static void answer_stats(struct connection *connection, uint32_t skip)
{
    char text[STATS_MAXIMUM];
    struct timespec cpu;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    int length = snprintf(
        text, sizeof text,
        "{\"replies\":%" PRIu64 ",\"distinct\":%" PRIu64 ",\"duplicates\":%" PRIu64
        ",\"out_of_order\":%" PRIu64 ",\"unknown\":%" PRIu64 ",\"polls\":%" PRIu64
        ",\"heartbeats\":%" PRIu64 ",\"registered\":%" PRIu64 ",\"registered_ns\":%" PRId64
        ",\"first_sent_ns\":%" PRId64 ",\"last_reply_ns\":%" PRId64 ",\"cpu_ns\":%" PRId64,
        tally.replies, tally.distinct, tally.duplicates, tally.out_of_order, tally.unknown, polls,
        heartbeats, registered, registered_ns, tally.first_sent_ns, tally.last_reply_ns,
        (int64_t)cpu.tv_sec * 1000000000 + cpu.tv_nsec);
    length += write_latencies(text + length, sizeof text - (size_t)length - 1, skip);
    text[length++] = '}';
    server_answer(connection, 200, text, (size_t)length, NULL, NULL);
}

static void settled(void)
{
    if (!waiting.connection || tally.distinct < waiting.replies ||
        registered < waiting.registered || polls < waiting.polls)
        return;
    struct connection *connection = waiting.connection;
    waiting.connection = NULL;
    answer_stats(connection, 0);
}

/* Contract 1.18: without the row's id. */
static void announce(uint32_t workspace)
{
    char text[512], id[INBOX_ID_SIZE];
    struct timespec now;
    if (!streams[workspace])
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    inbox_workspace_id(workspace, id);
    int length = snprintf(text, sizeof text,
                          "data: {\"type\":\"ACTIVITY_LOGGED\",\"timestamp\":%" PRId64
                          ",\"data\":{\"activity_type\":\"a2a_receive\","
                          "\"method\":\"message/"
                          "send\",\"source_id\":null,\"status\":\"ok\",\"target_id\":\"%s\"}}\n\n",
                          (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, id);
    server_chunk(streams[workspace], text, (size_t)length);
}

static void tick(void)
{
    if (to_come == 0 || --to_come == 0)
        server_every(0);
    inbox_add(&inboxes[0], 1, server_now_ns());
    announce(0);
}

static void answer_text(struct connection *connection, int status, const char *text)
{
    server_answer(connection, status, text, strlen(text), NULL, NULL);
}

static void answer_own(struct connection *connection, const char *target)
{
    if (strncmp(target, "add?", 4) == 0) {
        uint64_t rows = parameter(target, "rows", 0), every_us = parameter(target, "every_us", 0);
        if (every_us == 0) {
            inbox_add(&inboxes[0], (uint32_t)rows, server_now_ns());
            announce(0);
        } else {
            to_come = (uint32_t)rows;
            server_every((int64_t)every_us);
        }
        answer_text(connection, 200, "{}");
    } else if (strncmp(target, "wait?", 5) == 0) {
        waiting = (struct wait){connection, parameter(target, "replies", 0),
                                parameter(target, "registered", 0), parameter(target, "polls", 0)};
    } else if (strncmp(target, "stats", 5) == 0) {
        answer_stats(connection, (uint32_t)parameter(target, "skip", 0));
    } else if (strcmp(target, "request") == 0) {
        server_answer(connection, 200, last_reply, last_reply_length, NULL, NULL);
    } else {
        answer_text(connection, 404, "{\"error\":\"no such route\"}");
    }
}

static void page_sent(void *context, int64_t began_ns)
{
    inbox_page_sent(context, began_ns, &tally);
}

static void answer_activity(struct connection *connection, struct inbox *inbox, const char *target)
{
    polls++;
    uint64_t limit = parameter(target, "limit", 100);
    const char *since = strstr(target, "since_id=");
    int64_t after = since ? inbox_row_of(inbox, since + 9) : -1;
    if (since && after < 0) {
        answer_text(connection, 410, "{\"error\":\"since_id cursor not found\"}");
        return;
    }
    size_t length = inbox_page(
        inbox, after, limit < INBOX_PAGE_MAXIMUM ? (uint32_t)limit : INBOX_PAGE_MAXIMUM, page);
    server_answer(connection, 200, page, length, page_sent, inbox);
}

static void note_reply(const struct request *request)
{
    if (!inbox_replied(inboxes, workspaces, request->body, request->body_length, request->read_ns,
                       &tally) ||
        request->whole_length > sizeof last_reply)
        return;
    memcpy(last_reply, request->whole, request->whole_length);
    last_reply[request->target + strlen(request->target) - request->whole] = ' ';
    last_reply_length = request->whole_length;
}

static void answer_stream(struct connection *connection, uint32_t workspace)
{
    if (!offers_stream) {
        answer_text(connection, 404, "404 page not found");
        return;
    }
    streams[workspace] = connection;
    server_stream(connection);
    server_chunk(connection, ": ping\n\n", 8);
}

/* `rest` is what follows /workspaces/:id/ */
static void answer_workspace(struct connection *connection, const struct request *request,
                             const char *id, const char *rest)
{
    uint32_t workspace = inbox_workspace_of(id);
    if (strcmp(rest, "a2a") == 0) { /* :id is a peer's */
        note_reply(request);
        answer_text(
            connection, 200,
            "{\"delivery_mode\":\"poll\",\"method\":\"message/send\",\"status\":\"queued\"}");
    } else if (workspace >= workspaces) {
        answer_text(connection, 404, "{\"error\":\"workspace not found\"}");
    } else if (strncmp(rest, "activity", 8) == 0 && !request->post) {
        answer_activity(connection, &inboxes[workspace], rest);
    } else if (strcmp(rest, "notify") == 0) {
        note_reply(request);
        answer_text(connection, 200, "{\"status\":\"sent\"}");
    } else if (strcmp(rest, "events/stream") == 0) {
        answer_stream(connection, workspace);
    } else {
        answer_text(connection, 404, "404 page not found");
    }
}

static void answer(struct connection *connection, const struct request *request)
{
    const char *target = request->target, *rest;
    if (strncmp(target, "/workspaces/", 12) == 0 && (rest = strchr(target + 12, '/'))) {
        answer_workspace(connection, request, target + 12, rest + 1);
    } else if (strcmp(target, "/registry/heartbeat") == 0) {
        heartbeats++;
        answer_text(connection, 200, "{\"status\":\"ok\"}");
    } else if (strcmp(target, "/registry/register") == 0) {
        if (registered++ == 0)
            registered_ns = request->read_ns;
        answer_text(connection, 200, "{\"delivery_mode\":\"poll\",\"status\":\"registered\"}");
    } else if (strncmp(target, "/bench/", 7) == 0) {
        answer_own(connection, target + 7);
    } else {
        answer_text(connection, 404, "404 page not found");
    }
}

static void closed(struct connection *connection)
{
    if (waiting.connection == connection)
        waiting.connection = NULL;
    for (uint32_t i = 0; i < workspaces; i++)
        if (streams[i] == connection)
            streams[i] = NULL;
}

int main(int count, char **arguments)
{
    uint32_t peers = 1, rows = 0;
    for (int i = 1; i < count; i++) {
        uint32_t value = i + 1 < count ? (uint32_t)strtoul(arguments[i + 1], NULL, 10) : 0;
        if (strcmp(arguments[i], "--no-stream") == 0) {
            offers_stream = false;
            continue;
        }
        if (strcmp(arguments[i], "--workspaces") == 0 && value > 0)
            workspaces = value;
        else if (strcmp(arguments[i], "--peers") == 0)
            peers = value;
        else if (strcmp(arguments[i], "--rows") == 0)
            rows = value;
        else {
            fprintf(stderr, "bench_platform: what is %s?\n", arguments[i]);
            return 2;
        }
        i++;
    }
    inboxes = calloc(workspaces, sizeof *inboxes);
    streams = calloc(workspaces, sizeof *streams);
    page = malloc(INBOX_PAGE_MAXIMUM * (size_t)INBOX_ROW_MAXIMUM + 2);
    if (!inboxes || !streams || !page)
        abort();
    for (uint32_t i = 0; i < workspaces; i++)
        inbox_open(&inboxes[i], i, peers);
    inbox_add(&inboxes[0], rows, server_now_ns());
    printf("listening on %d\n",
           server_open(&(struct server_handlers){
               .request = answer, .tick = tick, .settled = settled, .closed = closed}));
    fflush(stdout);
    server_run();
    for (uint32_t i = 0; i < workspaces; i++)
        inbox_close(&inboxes[i]);
    free(inboxes);
    free(streams);
    free(page);
    return 0;
}
