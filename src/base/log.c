#include "base/log_private.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/output.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAXIMUM 140 /* bytes of a word of log_write_words: a workspace id has at most 128 */
#define LEVELS 4
#define RECENT 64       /* lines that are looked at for repeats */
#define SAID_WHOLE 3    /* times that a line is written before it is counted */
#define RECENT_TEXT 512 /* bytes of a line that can be repeated */

static atomic_int current_level = LOG_LEVEL_INFO;
static _Atomic(log_sink) current_sink;
static _Atomic uint64_t counts[LOG_EVENT_COUNT][LEVELS];

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

const char *log_event_name(enum log_event event)
{
    static const char *const names[] = {
#define LOG_EVENT(name, title, ...) title,
#include "base/log_events.def"
    };
    return names[event];
}

uint64_t log_event_count(enum log_event event, enum log_level level)
{
    return counts[event][level];
}

static void write_line(const struct log_line *line)
{
    char out[LOG_RENDERED_MAXIMUM];
    enum log_form form = log_form();
    log_put(form, out, log_render(form, line, out));
}

/* --- repeats --- */

/* A line that was written within the last minute, or is being repeated. */
struct recent {
    enum log_level level;
    enum log_event event;
    int64_t began_ms;    /* monotonic; 0: a free place */
    unsigned said;       /* how often it was written */
    unsigned long again; /* … and counted */
    char workspace[WORD_MAXIMUM];
    char text[RECENT_TEXT];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct recent recent[RECENT];

static void tell(const struct recent *was)
{
    char text[RECENT_TEXT + 64];
    int64_t seconds = (clock_monotonic_ms() - was->began_ms + 500) / 1000;
    snprintf(text, sizeof text, "%s (%lu more in %lld s)", was->text, was->again,
             (long long)seconds);
    struct log_line line = {.wall_ms = clock_wall_ms(),
                            .level = was->level,
                            .event = LOG_LOG_REPEATED,
                            .subject = {.workspace = *was->workspace ? was->workspace : NULL},
                            .text = text};
    log_sink sink = current_sink;
    if (!sink || !sink(line.level, line.subject.workspace, text))
        write_line(&line);
}

/* Its minute is over: the place is free. true: `was` is to be told. */
static bool take_over(struct recent *place, struct recent *was)
{
    bool repeated = place->began_ms > 0 && place->again > 0;
    if (repeated)
        *was = *place;
    place->began_ms = 0;
    return repeated;
}

/* What a script says is its own affair; of a message each line counts, and so does what is no
 * trouble. */
static bool may_fold(const struct log_line *line)
{
    return line->level <= LOG_LEVEL_WARN && line->event != LOG_SCRIPT_LOG && !line->subject.row &&
           strlen(line->text) < RECENT_TEXT;
}

/* true: the line was said a moment ago, and is counted instead. */
static bool fold(const struct log_line *line)
{
    struct recent was;
    const char *workspace = line->subject.workspace ? line->subject.workspace : "";
    if (!may_fold(line))
        return false;
    int64_t now_ms = clock_monotonic_ms();
    uint64_t hash = hash_text(line->text) ^ hash_text(workspace) ^ (uint64_t)line->event;
    struct recent *place = &recent[hash % RECENT];
    pthread_mutex_lock(&mutex);
    bool same = place->began_ms > 0 && now_ms - place->began_ms < LOG_FOLD_MS &&
                place->event == line->event && place->level == line->level &&
                strcmp(place->text, line->text) == 0 &&
                strncmp(place->workspace, workspace, WORD_MAXIMUM - 1) == 0;
    bool told = false;
    bool counted = same && place->said >= SAID_WHOLE;
    if (counted) {
        place->again++;
    } else if (same) {
        place->said++;
    } else {
        told = take_over(place, &was);
        place->level = line->level;
        place->event = line->event;
        place->began_ms = now_ms;
        place->said = 1;
        place->again = 0;
        snprintf(place->workspace, sizeof place->workspace, "%s", workspace);
        snprintf(place->text, sizeof place->text, "%s", line->text);
    }
    pthread_mutex_unlock(&mutex);
    if (told)
        tell(&was);
    return counted;
}

/* Those that began at least so long ago. */
static void tell_repeats(int64_t ago_ms)
{
    struct recent was;
    int64_t now_ms = clock_monotonic_ms();
    for (size_t i = 0; i < RECENT; i++) {
        pthread_mutex_lock(&mutex);
        bool told = recent[i].began_ms > 0 && now_ms - recent[i].began_ms >= ago_ms &&
                    take_over(&recent[i], &was);
        pthread_mutex_unlock(&mutex);
        if (told)
            tell(&was);
    }
}

void log_tell_repeats(void)
{
    tell_repeats(LOG_FOLD_MS);
}

void log_flush(void)
{
    tell_repeats(0);
    output_flush();
}

/* --- lines --- */

static void finish(enum log_level level, enum log_event event, const struct log_subject *subject,
                   char *text)
{
    log_redact(text);
    struct log_line line = {.wall_ms = clock_wall_ms(),
                            .level = level,
                            .event = event,
                            .subject = *subject,
                            .text = text};
    log_sink sink = current_sink;
    if (sink && sink(level, subject->workspace ? subject->workspace : subject->part, text))
        return;
    if (!fold(&line))
        write_line(&line);
}

/* Secrets are hidden before the cut, which may go through one. */
__attribute__((format(printf, 3, 0))) static void cut_line(char text[LOG_LINE_MAXIMUM],
                                                           size_t wanted, const char *format,
                                                           va_list arguments)
{
    char *whole = malloc(wanted + 1);
    if (!whole) {
        snprintf(text, LOG_LINE_MAXIMUM, "a line of %zu bytes [...cut here]", wanted);
        return;
    }
    vsnprintf(whole, wanted + 1, format, arguments);
    log_redact(whole);
    if ((size_t)snprintf(text, LOG_LINE_MAXIMUM, "%s", whole) >= LOG_LINE_MAXIMUM)
        memcpy(text + LOG_LINE_MAXIMUM - 16, " [...cut here]", 15);
    explicit_bzero(whole, wanted);
    free(whole);
}

void log_write(enum log_level level, enum log_event event, struct log_subject subject,
               const char *format, ...)
{
    counts[event][level]++;
    if ((int)level > current_level)
        return;
    char text[LOG_LINE_MAXIMUM];
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int wanted = vsnprintf(text, sizeof text, format, arguments);
    if (wanted > 0 && (size_t)wanted >= sizeof text)
        cut_line(text, (size_t)wanted, format, again);
    va_end(again);
    va_end(arguments);
    finish(level, event, &subject, text);
}

void log_write_words(enum log_level level, enum log_event event, struct log_subject subject,
                     const char *const words[])
{
    counts[event][level]++;
    if ((int)level > current_level)
        return;
    char text[LOG_LINE_MAXIMUM];
    size_t length = 0;
    for (; *words && length + WORD_MAXIMUM < sizeof text; words++) {
        size_t word = strnlen(*words, WORD_MAXIMUM);
        memcpy(text + length, *words, word);
        length += word;
    }
    text[length] = '\0';
    finish(level, event, &subject, text);
}
