#include "base/output.h"

#include "base/clock.h"
#include "base/record.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* the most that one write takes, to tell a slow reader from none */
#define CHUNK (16 * 1024)
#define PAUSE_US 5000 /* a line alone is written at once; those that follow so soon, together */
#define FLUSH_STALL_MS 200
#define FLUSH_MS 2000
#define NOT_READ "molecule: standard output is not being read fast enough; dropping lines\n"
#define STACK_SIZE (256 * 1024)

struct channel {
    int fd;
    const char *name;
    pthread_mutex_t mutex;
    pthread_cond_t work, written;
    char *waiting, *leaving; /* of OUTPUT_RING_SIZE bytes each; `leaving` is the thread's */
    size_t length;           /* of `waiting` */
    unsigned long dropped;   /* lines */
    bool opened, has_thread, busy;
    bool mid_line;      /* the thread's: a line was cut when its end could not be written */
    bool records;       /* datagrams, each after its length */
    void (*turn)(void); /* output_turn_log, to be called after so many bytes of `waiting` */
    size_t turn_at;
    _Atomic uint64_t progress;
};

#define CHANNEL(number, title)                                                \
    {                                                                         \
        .fd = (number), .name = (title), .mutex = PTHREAD_MUTEX_INITIALIZER,  \
        .work = PTHREAD_COND_INITIALIZER, .written = PTHREAD_COND_INITIALIZER \
    }

static struct channel output = CHANNEL(STDOUT_FILENO, "lines of standard output");
static struct channel errors = CHANNEL(STDERR_FILENO, "log lines");
static struct channel file = CHANNEL(-1, "log lines");
static struct channel records = CHANNEL(-1, "log lines");
static _Atomic(void (*)(unsigned long lines)) tell_lost;
static atomic_int log_fd = STDERR_FILENO;

static unsigned long count_lines(const char *bytes, size_t length)
{
    unsigned long lines = length > 0 && bytes[length - 1] != '\n';
    for (const char *end = bytes + length; (bytes = memchr(bytes, '\n', (size_t)(end - bytes)));
         bytes++)
        lines++;
    return lines;
}

/* How many bytes were written; fewer than all if the descriptor takes no more. `patient`: waits as
 * long as it must. */
static size_t write_some(struct channel *channel, const char *bytes, size_t length, bool patient)
{
    size_t done = 0;
    while (done < length) {
        struct pollfd ready = {.fd = channel->fd, .events = POLLOUT};
        if (!patient && poll(&ready, 1, 0) <= 0)
            break;
        size_t most = patient ? CHUNK : PIPE_BUF; /* what fits where there is room at all */
        ssize_t written = write(channel->fd, bytes + done,
                                length - done < most ? length - done : most);
        if (written < 0 && errno == EINTR)
            continue;
        /* O_NONBLOCK belongs to the file: another process that shares it has set it */
        if (written < 0 && errno == EAGAIN && patient) {
            poll(&ready, 1, 1000);
            continue;
        }
        if (written <= 0)
            break;
        done += (size_t)written;
        atomic_fetch_add(&channel->progress, 1);
    }
    return done;
}

/* Returns the records that are lost. */
static unsigned long write_records(struct channel *channel, const char *bytes, size_t length,
                                   bool patient)
{
    unsigned long lost = 0;
    uint32_t size;
    for (size_t at = 0; at < length; at += sizeof size + size) {
        memcpy(&size, bytes + at, sizeof size);
        if (record_send(channel->fd, bytes + at + sizeof size, size, patient))
            atomic_fetch_add(&channel->progress, 1);
        else
            lost++;
    }
    return lost;
}

/* Returns the lines that are lost. */
static unsigned long write_lines(struct channel *channel, const char *bytes, size_t length,
                                 bool patient)
{
    if (channel->records)
        return write_records(channel, bytes, length, patient);
    if (channel->mid_line && write_some(channel, "\n", 1, patient) == 1)
        channel->mid_line = false;
    size_t done = channel->mid_line ? 0 : write_some(channel, bytes, length, patient);
    if (done == length)
        return 0;
    channel->mid_line = channel->mid_line || (done > 0 && bytes[done - 1] != '\n');
    return count_lines(bytes + done, length - done);
}

static void say_lost(struct channel *channel, unsigned long lost, bool patient)
{
    char line[128];
    void (*tell)(unsigned long lines) = channel == &output ? NULL : tell_lost;
    if (tell) {
        tell(lost);
        return;
    }
    int size = snprintf(line, sizeof line,
                        "molecule: %lu %s dropped: they could not be written fast enough\n", lost,
                        channel->name);
    if (channel == &output) {
        output_write(STDERR_FILENO, line, (size_t)size);
    } else if (write_lines(channel, line, (size_t)size, patient) > 0) {
        pthread_mutex_lock(&channel->mutex);
        channel->dropped += lost;
        pthread_mutex_unlock(&channel->mutex);
    }
}

/* One turn of the thread: writes what waits. */
static void drain(struct channel *channel)
{
    pthread_mutex_lock(&channel->mutex);
    while (channel->length == 0 && !channel->turn)
        pthread_cond_wait(&channel->work, &channel->mutex);
    char *bytes = channel->waiting;
    size_t length = channel->length, at = channel->turn ? channel->turn_at : length;
    void (*turn)(void) = channel->turn;
    channel->waiting = channel->leaving;
    channel->leaving = bytes;
    channel->length = 0;
    channel->turn = NULL;
    channel->busy = true;
    pthread_mutex_unlock(&channel->mutex);

    unsigned long lost = at > 0 ? write_lines(channel, bytes, at, true) : 0;
    if (turn)
        turn();
    if (length > at)
        lost += write_lines(channel, bytes + at, length - at, true);

    pthread_mutex_lock(&channel->mutex);
    channel->dropped += lost;
    /* the descriptor takes nothing now: report this when it does */
    unsigned long dropped = lost > 0 ? 0 : channel->dropped;
    channel->dropped -= dropped;
    pthread_mutex_unlock(&channel->mutex);
    if (dropped > 0)
        say_lost(channel, dropped, true);

    pthread_mutex_lock(&channel->mutex);
    channel->busy = false;
    pthread_cond_broadcast(&channel->written);
    pthread_mutex_unlock(&channel->mutex);
}

static void *run(void *context)
{
    struct channel *channel = context;
    pthread_setname_np(pthread_self(), channel == &output ? "output" : "log");
    for (;;) {
        drain(channel);
        usleep(PAUSE_US);
    }
    return NULL;
}

static bool start_thread(struct channel *channel)
{
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    /* it may never return from a write */
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&thread, &attributes, run, channel) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}

/* with the mutex held */
static void open_channel(struct channel *channel)
{
    pthread_condattr_t attributes;
    channel->opened = true;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&channel->written, &attributes);
    pthread_condattr_destroy(&attributes);
    channel->waiting = malloc(OUTPUT_RING_SIZE);
    channel->leaving = malloc(OUTPUT_RING_SIZE);
    channel->has_thread = channel->waiting && channel->leaving && start_thread(channel);
}

/* Without a thread (RLIMIT_NPROC): what the descriptor takes at once, with the mutex held. */
static void write_now(struct channel *channel, const char *bytes, size_t length)
{
    channel->dropped += write_lines(channel, bytes, length, false);
}

/* Returns whether these are the first lines that are dropped. `size` comes before the bytes; NULL:
 * nothing does. */
static bool enqueue(struct channel *channel, const uint32_t *size, const char *bytes, size_t length)
{
    bool first = false;
    size_t before = size ? sizeof *size : 0, whole = before + length;
    pthread_mutex_lock(&channel->mutex);
    if (!channel->opened)
        open_channel(channel);
    if (channel->has_thread && whole <= OUTPUT_RING_SIZE - channel->length) {
        char *end = channel->waiting + channel->length;
        if (size)
            memcpy(end, size, before);
        memcpy(end + before, bytes, length);
        channel->length += whole;
        if (channel->length == whole)
            pthread_cond_signal(&channel->work);
    } else if (channel->has_thread || size) {
        first = channel->dropped == 0;
        channel->dropped += size ? 1 : count_lines(bytes, length);
    } else {
        write_now(channel, bytes, length);
    }
    pthread_mutex_unlock(&channel->mutex);
    return first;
}

void output_write(int fd, const char *bytes, size_t length)
{
    struct channel *channel = fd == STDOUT_FILENO ? &output : &errors;
    if (length > 0 && enqueue(channel, NULL, bytes, length) && channel == &output)
        output_write(STDERR_FILENO, NOT_READ, sizeof NOT_READ - 1);
}

void output_set_log(int fd, int record_fd, void (*lost)(unsigned long lines))
{
    tell_lost = lost;
    if (fd != STDERR_FILENO)
        file.fd = fd;
    if (record_fd >= 0)
        records.fd = record_fd;
    records.records = true;
    log_fd = fd;
}

void output_write_log(const char *bytes, size_t length)
{
    if (length > 0)
        enqueue(log_fd == STDERR_FILENO ? &errors : &file, NULL, bytes, length);
}

void output_turn_log(void (*turn)(void))
{
    struct channel *channel = log_fd == STDERR_FILENO ? &errors : &file;
    pthread_mutex_lock(&channel->mutex);
    if (!channel->opened)
        open_channel(channel);
    bool has_thread = channel->has_thread;
    if (has_thread && !channel->turn) { /* one turn is for all that ask before it */
        channel->turn = turn;
        channel->turn_at = channel->length;
        pthread_cond_signal(&channel->work);
    }
    pthread_mutex_unlock(&channel->mutex);
    if (!has_thread)
        turn();
}

void output_write_record(const char *bytes, size_t length)
{
    uint32_t size = (uint32_t)length;
    if (length > 0 && length <= OUTPUT_RECORD_MAXIMUM)
        enqueue(&records, &size, bytes, length);
}

static struct timespec in_ms(int64_t ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    int64_t ns = at.tv_nsec + ms * 1000000;
    return (struct timespec){.tv_sec = at.tv_sec + ns / 1000000000, .tv_nsec = ns % 1000000000};
}

static void flush_channel(struct channel *channel)
{
    uint64_t seen = atomic_load(&channel->progress);
    int64_t began_ms = clock_monotonic_ms(), moved_ms = began_ms;
    pthread_mutex_lock(&channel->mutex);
    while (channel->has_thread && (channel->length > 0 || channel->turn || channel->busy)) {
        struct timespec until = in_ms(20);
        pthread_cond_timedwait(&channel->written, &channel->mutex, &until);
        int64_t now_ms = clock_monotonic_ms();
        if (atomic_load(&channel->progress) != seen)
            moved_ms = now_ms;
        seen = atomic_load(&channel->progress);
        if (now_ms - moved_ms >= FLUSH_STALL_MS || now_ms - began_ms >= FLUSH_MS)
            break;
    }
    pthread_mutex_unlock(&channel->mutex);
}

void output_flush(void)
{
    flush_channel(&output);
    flush_channel(&errors);
    flush_channel(&file);
    flush_channel(&records);
}

static ssize_t take(void *cookie, const char *bytes, size_t length)
{
    output_write(((const struct channel *)cookie)->fd, bytes, length);
    return (ssize_t)length;
}

void output_divert(void)
{
    const cookie_io_functions_t functions = {.write = take};
    FILE *lines = fopencookie(&output, "w", functions),
         *complaints = fopencookie(&errors, "w", functions);
    if (lines) {
        fflush(stdout);
        setvbuf(lines, NULL, _IOLBF, 0);
        stdout = lines;
    }
    if (complaints) {
        setvbuf(complaints, NULL, _IOLBF, 0);
        stderr = complaints;
    }
}
