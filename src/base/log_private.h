/* The log's own parts: log.c decides what is written, log_format.c how it looks, log_place.c where
 * it goes. */
#ifndef MOLECULE_BASE_LOG_PRIVATE_H
#define MOLECULE_BASE_LOG_PRIVATE_H

#include "base/log.h"

enum log_form {
    LOG_FORM_TEXT,
    LOG_FORM_TERMINAL,
    LOG_FORM_TERMINAL_COLORED,
    LOG_FORM_LOGFMT,
    LOG_FORM_JSON,
    LOG_FORM_JOURNAL
};

/* nothing is cut that fits into a line: quoted it is twice as long */
#define LOG_RENDERED_MAXIMUM (3 * LOG_LINE_MAXIMUM)

struct log_line {
    int64_t wall_ms;
    enum log_level level;
    enum log_event event;
    struct log_subject subject;
    const char *text; /* secrets hidden */
};

/* Whole, with its line end; for the journal the fields of one datagram. Returns its length. */
size_t log_render(enum log_form form, const struct log_line *line, char out[LOG_RENDERED_MAXIMUM]);

/* --- log_place.c --- */

enum log_form log_form(void);
/* Writes what log_render made. */
void log_put(enum log_form form, const char *bytes, size_t length);

#endif
