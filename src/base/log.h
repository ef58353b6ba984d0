/* The log: one line per event on standard error.
 *
 *   2026-05-01T20:14:07.123Z info  7f1d…: registered ...
 *
 * log_write never waits for whoever reads the log (base/output.h): a line that finds no room is
 * dropped and counted; the count is logged when there is room again. Terminal control characters of
 * others are shown as escapes (base/terminal.h).
 *
 * Secrets: whatever was given to log_hide never appears in a line; it is replaced by "[hidden]". */
#ifndef MOLECULE_BASE_LOG_H
#define MOLECULE_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level {
    LOG_LEVEL_ERROR, /* something needs the operator */
    LOG_LEVEL_WARN,  /* something went wrong and is being dealt with */
    LOG_LEVEL_INFO,  /* what an operator wants to see once */
    LOG_LEVEL_DEBUG  /* -v */
};

#define LOG_LINE_MAXIMUM 16384 /* bytes; a longer line is cut and says so */

void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* `subject` names the workspace or part; NULL for none. Newlines in the message become "\n    ". */
void log_write(enum log_level level, const char *subject, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same of words one after the other, NULL-terminated, each cut at 140 bytes: for what is logged
 * of every message. */
void log_write_words(enum log_level level, const char *subject, const char *const words[]);
#define log_info_words(subject, ...) \
    log_write_words(LOG_LEVEL_INFO, subject, (const char *const[]){__VA_ARGS__, NULL})

#define log_error(subject, ...) log_write(LOG_LEVEL_ERROR, subject, __VA_ARGS__)
#define log_warn(subject, ...) log_write(LOG_LEVEL_WARN, subject, __VA_ARGS__)
#define log_info(subject, ...) log_write(LOG_LEVEL_INFO, subject, __VA_ARGS__)
#define log_debug(subject, ...)                               \
    do {                                                      \
        if (log_get_level() >= LOG_LEVEL_DEBUG)               \
            log_write(LOG_LEVEL_DEBUG, subject, __VA_ARGS__); \
    } while (0)

/* Is offered each line that the level lets through, from any thread: without time, level and
 * subject, secrets hidden. true: it is not written. NULL: all are written. */
typedef bool (*log_sink)(enum log_level level, const char *subject, const char *text);
void log_set_sink(log_sink sink);

/* Hides this text (a token) from now on, in the log and from log_redact. Texts shorter than 4 bytes
 * are ignored. */
void log_hide(const char *secret);
/* Replaces hidden texts in place; the text never grows. */
void log_redact(char *text);

/* Waits, but not for long (base/output.h), until the lines so far are written: before the process
 * ends. */
void log_flush(void);

#endif
