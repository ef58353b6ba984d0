/* The log: one line per event, on standard error, in a file, or in the systemd journal.
 *
 *   2026-05-01T20:14:07.123Z info  7f1d…: registered ...                        (text)
 *   20:14:07 info  7f1d0c9e  registered ...                                     (text, a terminal)
 *   time=2026-05-01T20:14:07.123Z level=info event=registered workspace=7f1d… msg="registered ..."
 *
 * log_write never waits for whoever reads the log (base/output.h): a line that finds no room is
 * dropped and counted; the count is logged when there is room again. Terminal control characters of
 * others are shown as escapes (base/terminal.h). A warning or error that says the same for the
 * fourth time within a minute is counted, and the count is logged ("17 more in 60 s").
 *
 * Secrets: whatever was given to log_hide never appears in a line; it is replaced by "[hidden]". */
#ifndef MOLECULE_BASE_LOG_H
#define MOLECULE_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level {
    LOG_LEVEL_ERROR, /* something needs the operator */
    LOG_LEVEL_WARN,  /* something went wrong and is being dealt with */
    LOG_LEVEL_INFO,  /* what an operator wants to see once */
    LOG_LEVEL_DEBUG  /* -v */
};

enum log_event {
#define LOG_EVENT(name, ...) LOG_##name,
#include "base/log_events.def"
    LOG_EVENT_COUNT
};

/* What a line is about: what is not known is NULL or 0. All is borrowed for the call. */
struct log_subject {
    const char *workspace; /* its id */
    const char *part;      /* of the process, that is no workspace: "emulator" */
    const char *row;       /* of a message */
    const char *peer;      /* the message's sender: an id, or "canvas" */
    const char *outcome;   /* the message's: script_outcome_text, "dead" */
    unsigned attempt;      /* from 1 */
    const char *trace_id;  /* 32 hexadecimal digits (W3C trace context) */
    const char *file;      /* of the script that says it */
    int line;
};

#define LOG_LINE_MAXIMUM 16384 /* bytes; a longer line is cut and says so */
#define LOG_FOLD_MS 60000      /* repeats within this are counted */

/* --- where it goes --- */

/* As `molecule connect` has them; NULL: the default. */
struct log_settings {
    const char *level;  /* error, warn, info (the default), debug */
    const char *format; /* text (the default), logfmt, json, journal, auto */
    const char *color;  /* auto (the default), always, never */
    const char *file;   /* instead of standard error */
};

/* May be called again; lines of other threads go to one of the two places. false: `problem` says
 * why not, and nothing has changed. */
bool log_open(const struct log_settings *settings, char *problem, size_t problem_size);
/* Opens the file of log_open again, under its name: the old one was moved. The lines to come go to
 * the new one; if this fails, the old one is kept. Does not wait for it. */
void log_reopen(void);
/* The same with another file: the lines to come go there. false: the log goes to no file now, and
 * nothing happens. */
bool log_move(const char *path);
/* false: there is no such level. */
bool log_find_level(const char *word, enum log_level *level);

void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* --- lines --- */

/* Newlines in the message become "\n    ". */
void log_write(enum log_level level, enum log_event event, struct log_subject subject,
               const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The same of words one after the other, NULL-terminated, each cut at 140 bytes: for what is logged
 * of every message. */
void log_write_words(enum log_level level, enum log_event event, struct log_subject subject,
                     const char *const words[]);

static inline struct log_subject log_subject_workspace(const char *id)
{
    return (struct log_subject){.workspace = id};
}
static inline struct log_subject log_subject_itself(struct log_subject subject)
{
    return subject;
}
/* A workspace's id, NULL for the process, or a struct log_subject. */
#define LOG_SUBJECT(subject)               \
    _Generic((subject), struct log_subject \
             : log_subject_itself, default \
             : log_subject_workspace)(subject)

#define log_info_words(event, subject, ...)                      \
    log_write_words(LOG_LEVEL_INFO, event, LOG_SUBJECT(subject), \
                    (const char *const[]){__VA_ARGS__, NULL})
#define log_error(event, subject, ...) \
    log_write(LOG_LEVEL_ERROR, event, LOG_SUBJECT(subject), __VA_ARGS__)
#define log_warn(event, subject, ...) \
    log_write(LOG_LEVEL_WARN, event, LOG_SUBJECT(subject), __VA_ARGS__)
#define log_info(event, subject, ...) \
    log_write(LOG_LEVEL_INFO, event, LOG_SUBJECT(subject), __VA_ARGS__)
#define log_debug(event, subject, ...)                                            \
    do {                                                                          \
        if (log_get_level() >= LOG_LEVEL_DEBUG)                                   \
            log_write(LOG_LEVEL_DEBUG, event, LOG_SUBJECT(subject), __VA_ARGS__); \
    } while (0)

/* Is offered each line that the level lets through, from any thread: without time, level and
 * subject, secrets hidden. true: it is not written. NULL: all are written. */
typedef bool (*log_sink)(enum log_level level, const char *subject, const char *text);
void log_set_sink(log_sink sink);

/* --- events --- */

const char *log_event_name(enum log_event event);
const char *log_level_name(enum log_level level);
/* How often it happened since the process began, at this level, whether --log-level lets it through
 * or not; below that debug is not counted. */
uint64_t log_event_count(enum log_event event, enum log_level level);

/* Logs how often a line was repeated whose minute is over: to be called every second or so. */
void log_tell_repeats(void);

/* --- secrets --- */

/* Hides this text (a token) from now on, in the log and from log_redact. Texts shorter than 4 bytes
 * are ignored. */
void log_hide(const char *secret);
/* Replaces hidden texts in place; the text never grows. */
void log_redact(char *text);

/* Before the process ends: logs what log_tell_repeats would log later, and waits, but not for long
 * (base/output.h), until the lines so far are written. */
void log_flush(void);

#endif
