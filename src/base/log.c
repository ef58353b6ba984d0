#include "base/log.h"

#include "base/clock.h"
#include "base/output.h"
#include "base/terminal.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECRETS_MAXIMUM 32768
#define SECRET_MINIMUM 4 /* bytes */
#define PLACES_BITS 12
#define HIDDEN "[hidden]"
#define WORD_MAXIMUM 140 /* bytes of a subject: a workspace id has at most 128 */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
struct secret {
    struct secret *next; /* with the same place */
    size_t length;
    char text[];
};

static struct secret *secrets[SECRETS_MAXIMUM]; /* a ring */
static struct secret *places[1 << PLACES_BITS];
static bool begins_one[256]; /* there is, or was, a secret that begins with this byte */
static size_t next_secret;
static atomic_int current_level = LOG_LEVEL_INFO;

static _Atomic(log_sink) current_sink;

void log_set_sink(log_sink sink)
{
    current_sink = sink;
}

void log_set_level(enum log_level level)
{
    current_level = (int)level;
}

enum log_level log_get_level(void)
{
    return (enum log_level)current_level;
}

/* Secrets are listed by their first bytes, so that a line is searched once for all of them. */
static struct secret **place_of(const char *text)
{
    uint32_t first;
    memcpy(&first, text, SECRET_MINIMUM);
    return &places[(first * 2654435761u) >> (32 - PLACES_BITS)];
}

static void list_secret(struct secret *secret)
{
    struct secret **place = place_of(secret->text);
    begins_one[(unsigned char)*secret->text] = true;
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

/* A full table forgets the oldest: a token rotated that many times is no longer secret. */
static void forget_oldest(void)
{
    struct secret *oldest = secrets[next_secret], **link = oldest ? place_of(oldest->text) : NULL;
    while (link && *link != oldest)
        link = &(*link)->next;
    if (link)
        *link = oldest->next;
    if (oldest)
        explicit_bzero(oldest->text, oldest->length);
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
        if (!begins_one[(unsigned char)*at]) {
            at++;
            left--;
            continue;
        }
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

void log_flush(void)
{
    output_flush();
}

/* Whatever must not reach the operator's terminal is escaped; newlines stay, indented. Returns the
 * line's length. */
static size_t tidy(const char *text, char *line, size_t size)
{
    size_t length = 0, left = strlen(text);
    while (left > 0 && (text[left - 1] == '\n' || text[left - 1] == '\r'))
        left--;
    while (left > 0) {
        const char *end = memchr(text, '\n', left);
        size_t part = end ? (size_t)(end - text) + 1 : left;
        length += terminal_escape(text, part, TERMINAL_TEXT, line + length, size - length - 6);
        if (end)
            length += terminal_escape("    ", 4, TERMINAL_TEXT, line + length, size - length - 1);
        if (length + 6 + 16 >= size)
            break;
        text += part;
        left -= part;
    }
    line[length++] = '\n';
    return length;
}

/* A word of a line's beginning; NULL is none. */
static size_t append(char *to, const char *word)
{
    size_t length = word ? strnlen(word, WORD_MAXIMUM) : 0;
    memcpy(to, word ? word : "", length);
    return length;
}

static size_t begin(char *text, enum log_level level, const char *subject)
{
    static const char *const names[] = {"error", "warn ", "info ", "debug"};
    clock_format(clock_wall_ms(), text);
    size_t length = strlen(text);
    const char *const beginning[] = {" ", names[level], " ", subject, subject ? ": " : NULL};
    for (size_t i = 0; i < sizeof beginning / sizeof *beginning; i++)
        length += append(text + length, beginning[i]);
    return length;
}

/* The message begins at `start`. */
static void write_line(enum log_level level, const char *subject, char *text, size_t start)
{
    char line[2 * LOG_LINE_MAXIMUM];
    log_redact(text);
    log_sink sink = current_sink;
    if (sink && sink(level, subject, text + start))
        return;
    output_write(STDERR_FILENO, line, tidy(text, line, sizeof line));
}

void log_write(enum log_level level, const char *subject, const char *format, ...)
{
    if ((int)level > current_level)
        return;
    char text[LOG_LINE_MAXIMUM];
    size_t start = begin(text, level, subject);
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(text + start, sizeof text - start, format, arguments);
    va_end(arguments);
    if (wanted > 0 && (size_t)wanted >= sizeof text - start)
        memcpy(text + sizeof text - 16, " [...cut here]", 15);
    write_line(level, subject, text, start);
}

void log_write_words(enum log_level level, const char *subject, const char *const words[])
{
    if ((int)level > current_level)
        return;
    char text[LOG_LINE_MAXIMUM];
    size_t start = begin(text, level, subject), length = start;
    for (; *words && length + WORD_MAXIMUM < sizeof text; words++)
        length += append(text + length, *words);
    text[length] = '\0';
    write_line(level, subject, text, start);
}
