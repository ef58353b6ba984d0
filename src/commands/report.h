/* What the files of `molecule report` share. */
#ifndef MOLECULE_COMMANDS_REPORT_H
#define MOLECULE_COMMANDS_REPORT_H

#include "base/buffer.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Hides, from now on, what the environment of a process holds under a name that sounds like a
 * secret. `bytes`: NAME=value, each with a NUL. */
void report_hide_environment(const char *bytes, size_t length);
/* Hides the first line of the file. */
void report_hide_file(const char *path);
/* Hides the tokens and secrets of the state directory. */
void report_hide_files(const char *directory, char *const *ids, size_t count);
/* The text without what was hidden, without passwords in URLs, and without what looks like a secret
 * or follows a word like "token=". Yours. */
char *report_redact(const char *text);

/* The last lines of a log, in the program's formats or from the journal. Words that may be of a
 * message or of the script are left out. false: `problem` says why there are none. */
bool report_log_file(const char *path, struct buffer *lines, char *problem, size_t problem_size);
bool report_log_journal(struct buffer *lines, char *problem, size_t problem_size);

/* How a running host was started: its options and environment, of which only what is known to be
 * harmless is shown. */
void report_options(long pid, struct buffer *text);

#endif
