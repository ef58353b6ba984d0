#include "base/log.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RING_SIZE (1024 * 1024)
#define SECRETS_MAXIMUM 32768
#define SECRET_MINIMUM 4 /* bytes */
#define PLACES_BITS 12
#define HIDDEN "[hidden]"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t write_mutex = PTHREAD_MUTEX_INITIALIZER; /* keeps flushes in order; never held with `mutex` */
static char *ring;                                              /* lines that wait, `ring_length` bytes */
static size_t ring_length;
static unsigned long dropped;
static void (*waker)(void);
struct secret {
    struct secret *next; /* with the same place */
    size_t length;
    char text[];
};

static struct secret *secrets[SECRETS_MAXIMUM]; /* a ring */
static struct secret *places[1 << PLACES_BITS];
static size_t next_secret;
static atomic_int current_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
    current_level = (int)level;
}

enum log_level log_get_level(void)
{
    return (enum log_level)current_level;
}

/* Its first bytes decide where a secret is listed, so that a line is searched once for all of them. */
static struct secret **place_of(const char *text)
{
    uint32_t first;
    memcpy(&first, text, SECRET_MINIMUM);
    return &places[(first * 2654435761u) >> (32 - PLACES_BITS)];
}

static void list_secret(struct secret *secret)
{
    struct secret **place = place_of(secret->text);
    while (*place && (*place)->length >= secret->length) /* the longest that fits hides */
        place = &(*place)->next;
    secret->next = *place;
    *place = secret;
}

static bool is_listed(const char *text)
{
    const struct secret *secret = *place_of(text);
    while (secret && strcmp(secret->text, text) != 0)
        secret = secret->next;
    return secret != NULL;
}

/* A full table forgets the oldest: a token rotated so many times ago is no secret any more. */
static void forget_oldest(void)
{
    struct secret *oldest = secrets[next_secret], **link = oldest ? place_of(oldest->text) : NULL;
    while (link && *link != oldest)
        link = &(*link)->next;
    if (link)
        *link = oldest->next;
    free(oldest);
    secrets[next_secret] = NULL;
}

void log_hide(const char *text)
{
    size_t length = text ? strlen(text) : 0;
    if (length < SECRET_MINIMUM)
        return;
    pthread_mutex_lock(&mutex);
    struct secret *secret = is_listed(text) ? NULL : malloc(sizeof *secret + length + 1);
    if (secret) {
        forget_oldest();
        secret->length = length;
        memcpy(secret->text, text, length + 1);
        secrets[next_secret] = secret;
        next_secret = (next_secret + 1) % SECRETS_MAXIMUM;
        list_secret(secret);
    }
    pthread_mutex_unlock(&mutex);
}

/* with the mutex held */
static void redact(char *text)
{
    size_t left = strlen(text);
    for (char *at = text; left >= SECRET_MINIMUM;) {
        const struct secret *secret = *place_of(at);
        while (secret && (secret->length > left || memcmp(at, secret->text, secret->length) != 0))
            secret = secret->next;
        if (!secret) {
            at++;
            left--;
            continue;
        }
        size_t shown = strlen(HIDDEN) < secret->length ? strlen(HIDDEN) : secret->length;
        memcpy(at, HIDDEN, shown);
        memmove(at + shown, at + secret->length, left - secret->length + 1);
        at += shown;
        left -= secret->length;
    }
}

void log_redact(char *text)
{
    pthread_mutex_lock(&mutex);
    redact(text);
    pthread_mutex_unlock(&mutex);
}

static void write_all(const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDERR_FILENO, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return; /* nobody reads our log: that must not stop the host */
        bytes += written;
        length -= (size_t)written;
    }
}

void log_flush(void)
{
    static char *out;
    pthread_mutex_lock(&write_mutex);
    if (!out)
        out = malloc(RING_SIZE);
    pthread_mutex_lock(&mutex);
    size_t length = out && ring ? ring_length : 0;
    unsigned long lost = dropped;
    if (length > 0)
        memcpy(out, ring, length);
    ring_length = 0;
    dropped = 0;
    pthread_mutex_unlock(&mutex);
    write_all(out, length);
    if (lost > 0) {
        char line[128];
        int size = snprintf(line, sizeof line, "molecule: %lu log lines dropped, the log could not be written fast enough\n", lost);
        write_all(line, (size_t)size);
    }
    pthread_mutex_unlock(&write_mutex);
}

void log_set_waker(void (*wake)(void))
{
    pthread_mutex_lock(&mutex);
    waker = wake;
    pthread_mutex_unlock(&mutex);
    if (!wake)
        log_flush();
}

/* Control characters must not reach the operator's terminal; a newline stays, indented. Returns the line's length. */
static size_t tidy(const char *text, char *line, size_t size)
{
    size_t length = 0;
    for (const char *at = text; *at && length + 8 < size; at++) {
        unsigned char byte = (unsigned char)*at;
        if (byte == '\n' && at[1]) {
            memcpy(line + length, "\n    ", 5);
            length += 5;
        } else if (byte == '\t') {
            line[length++] = ' ';
        } else if (byte >= 0x20 && byte != 0x7f) {
            line[length++] = (char)byte;
        } else if (byte != '\n' && byte != '\r') {
            line[length++] = '?';
        }
    }
    line[length++] = '\n';
    return length;
}

void log_write(enum log_level level, const char *subject, const char *format, ...)
{
    static const char *const names[] = {"error", "warn ", "info ", "debug"};
    if ((int)level > current_level)
        return;
    char when[CLOCK_TEXT_SIZE], text[LOG_LINE_MAXIMUM], line[LOG_LINE_MAXIMUM + 512];
    clock_format(clock_wall_ms(), when);
    size_t start = (size_t)snprintf(text, sizeof text, "%s %s %.140s%s", when, names[level], subject ? subject : "",
                                    subject ? ": " : "");
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(text + start, sizeof text - start, format, arguments);
    va_end(arguments);
    if (wanted > 0 && (size_t)wanted >= sizeof text - start)
        memcpy(text + sizeof text - 16, " [...cut here]", 15);

    pthread_mutex_lock(&mutex);
    redact(text);
    size_t length = tidy(text, line, sizeof line);
    void (*wake)(void) = waker;
    if (!ring)
        ring = malloc(RING_SIZE);
    if (ring && ring_length + length <= RING_SIZE) {
        memcpy(ring + ring_length, line, length);
        ring_length += length;
    } else {
        dropped++;
    }
    pthread_mutex_unlock(&mutex);
    if (wake)
        wake();
    else
        log_flush();
}
