/* Foreign text on its way to a terminal. A sender's words, a row's id or a file's name
 * may contain characters that move the cursor, rename the window or reverse the writing direction;
 * they are shown as escapes. That is C0 and DEL (\x1b), C1 and line separators (\u{85}), the marks
 * and overrides of writing direction (\u{202e}), and bytes that are not UTF-8 (\x9b). Everything
 * else stays as it is. */
#ifndef MOLECULE_BASE_TERMINAL_H
#define MOLECULE_BASE_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum terminal_style {
    TERMINAL_WORD, /* a value within a line: line ends and tabs are escaped, too (\n, \t) */
    TERMINAL_TEXT, /* lines: an LF stays, the CR before it goes, a tab becomes a blank */
    /* JSON text: as TERMINAL_TEXT, but the escapes are JSON's (\u202e), so that it stays the same
       value */
    TERMINAL_JSON
};

/* Writes at most `size` bytes, no NUL; cut between two characters. Returns how many. */
size_t terminal_escape(const char *text, size_t length, enum terminal_style style, char *out,
                       size_t size);
/* The same as a new text; the caller frees it. NULL for NULL. */
char *terminal_copy(const char *text, enum terminal_style style);
/* Like fprintf, with the output escaped as TERMINAL_TEXT. */
void terminal_print(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Whether what goes to `fd` is colored. `wanted`: "always", "never", or "auto" (NULL), which is on
 * a terminal that knows colors, unless NO_COLOR is set (https://no-color.org). */
bool terminal_colors(int fd, const char *wanted);

#endif
