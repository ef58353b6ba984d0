/* Where the numbers of the metrics come from. */
#include "host/metrics_private.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/trace.h"
#include "host/parts.h"
#include "journal/journal.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define UNKNOWN (-1.0) /* a time that is not known is told as 0, bytes of a file system as -1 */

static double seconds(int64_t ms)
{
    return (double)ms / 1000;
}

static void copy(double *to, const uint64_t *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = (double)from[i];
}

static void take(double to[HISTOGRAM_NUMBERS], const struct histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        to[i] = (double)from->counts[i];
    to[HISTOGRAM_BUCKETS] = (double)from->sum_us / 1e6;
}

static void note_oldest(struct inbox_entry *entry, void *context)
{
    int64_t *oldest_ms = context;
    if (entry->first_seen_ms > 0 && entry->first_seen_ms < *oldest_ms)
        *oldest_ms = entry->first_seen_ms;
}

static void look_at_messages(const struct workspace *workspace, struct workspace_numbers *numbers)
{
    const struct dispatch *dispatch = &workspace->dispatch;
    const struct message_counts *counts = &dispatch->counts;
    const struct inbox *inbox = workspace->inbox;
    copy(numbers->received, counts->received, MESSAGE_KIND_COUNT);
    copy(numbers->finished, counts->finished, MESSAGE_OUTCOME_COUNT);
    copy(numbers->attempts, counts->attempts, MESSAGE_ATTEMPT_KINDS);
    numbers->repeats_avoided = (double)counts->repeats_avoided;
    numbers->steps = (double)counts->steps;
    take(numbers->wall, &counts->wall);
    take(numbers->cpu, &counts->cpu);
    take(numbers->reply, &counts->reply);
    numbers->lua_bytes = (double)counts->memory_bytes;
    numbers->questions = (double)questions_count(&dispatch->questions);
    size_t unfinished = inbox_pending(inbox) + inbox_deferred(inbox);
    size_t running = inbox_running(inbox), answering = inbox_answering(inbox);
    numbers->pending[PENDING_RUNNING] = (double)running;
    numbers->pending[PENDING_ANSWERING] = (double)answering;
    numbers->pending[PENDING_WAITING] = (double)(unfinished - running - answering);
    numbers->deferred = (double)inbox_deferred(inbox);
    int64_t oldest_ms = INT64_MAX;
    inbox_each(workspace->inbox, note_oldest, &oldest_ms);
    numbers->oldest_pending = oldest_ms < INT64_MAX ? seconds(oldest_ms) : 0;
}

void metrics_look_workspace(const struct workspace *workspace, struct workspace_numbers *numbers)
{
    const struct link *link = &workspace->link;
    memset(numbers, 0, sizeof *numbers);
    if (!workspace->journal)
        return; /* it could not be opened */
    if (workspace->script)
        script_tokens(workspace->script, numbers->tokens);
    else
        memcpy(numbers->tokens, workspace->tokens, sizeof numbers->tokens);
    look_at_messages(workspace, numbers);
    copy(numbers->requests, link->answers, RETRY_CLASS_COUNT);
    numbers->last_poll = seconds(workspace->poller.last_poll_ms);
    numbers->last_heartbeat = seconds(workspace->heartbeat.succeeded_ms);
    numbers->reachable = link->away_ms == 0;
    numbers->stream = event_stream_trusted(&workspace->stream);
    numbers->wedged = workspace->watchdog.wedged;
    const struct journal_counts *journal = journal_counts_of(workspace->journal);
    take(numbers->commit, &journal->commit);
    numbers->ledger_bytes = (double)journal->bytes;
    numbers->ledger_writable = !journal_problem(workspace->journal) &&
                               !cursor_writer_problem(&workspace->cursor_writer);
}

void metrics_keep(const struct workspace *workspace)
{
    struct host *host = workspace->host;
    struct workspace_numbers last;
    metrics_look_workspace(workspace, &last);
    if (!host->departed)
        host->departed = memory_allocate(sizeof *host->departed);
    metrics_add_counters(host->departed, &last);
}

void metrics_check(const struct workspace *workspace)
{
#ifdef MOLECULE_SANITIZE
    struct workspace_numbers now;
    double received = 0, known = 0;
    metrics_look_workspace(workspace, &now);
    for (size_t i = 0; i < MESSAGE_KIND_COUNT; i++)
        received += now.received[i];
    for (size_t i = 0; i < MESSAGE_OUTCOME_COUNT; i++)
        known += now.finished[i];
    for (size_t i = 0; i < PENDING_STATE_COUNT; i++)
        known += now.pending[i];
    check(received == known);
#else
    (void)workspace;
#endif
}

/* --- the process --- */

/* utime and stime in clock ticks, threads, virtual bytes, resident pages: proc(5). */
static void look_at_proc(struct process_numbers *numbers)
{
    char text[2048];
    unsigned long user = 0, system = 0, virtual = 0;
    long threads = 0, resident = 0;
    FILE *file = fopen("/proc/self/stat", "re");
    size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    text[length] = '\0';
    const char *rest = strrchr(text, ')'); /* a name may contain anything */
    if (rest &&
        sscanf(rest + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %ld %*d "
               "%*u %lu %ld",
               &user, &system, &threads, &virtual, &resident) == 5) {
        double tick = (double)sysconf(_SC_CLK_TCK);
        numbers->cpu_seconds = tick > 0 ? (double)(user + system) / tick : 0;
        numbers->threads = (double)threads;
        numbers->virtual_bytes = (double)virtual;
        numbers->resident_bytes = (double)resident * (double)sysconf(_SC_PAGESIZE);
    }
}

static double count_descriptors(void)
{
    DIR *stream = opendir("/proc/self/fd");
    double count = stream ? -3 : 0; /* ".", "..", and the one that reads */
    while (stream && readdir(stream))
        count++;
    if (stream)
        closedir(stream);
    return count;
}

/* The least that is free where a workspace keeps its state. */
static double least_free(const struct host *host)
{
    double least = UNKNOWN;
    for (const struct workspace *each = host->workspaces; each; each = workspace_next(each)) {
        struct statvfs about;
        if (!each->state_path || statvfs(each->state_path, &about) != 0)
            continue;
        double free_bytes = (double)about.f_bavail * (double)about.f_frsize;
        if (least < 0 || free_bytes < least)
            least = free_bytes;
    }
    return least;
}

void metrics_look_process(const struct host *host, struct process_numbers *numbers)
{
    memset(numbers, 0, sizeof *numbers);
    for (const struct workspace *each = host->workspaces; each; each = workspace_next(each))
        numbers->workspaces[each->state]++;
    numbers->spans_dropped = (double)trace_dropped();
    numbers->state_free_bytes = least_free(host);
    look_at_proc(numbers);
    numbers->open_fds = count_descriptors();
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        numbers->max_fds = (double)limit.rlim_cur;
    numbers->start_time = seconds(host->began_ms); /* the same at each scrape, for changes() */
}
