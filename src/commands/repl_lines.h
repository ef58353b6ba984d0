/* Where the lines of `molecule repl` come from: on a terminal from libedit, with a prompt, a
 * history and completion; else from standard input as they are. On one thread. */
#ifndef MOLECULE_COMMANDS_REPL_LINES_H
#define MOLECULE_COMMANDS_REPL_LINES_H

#include <stdbool.h>

struct repl_lines;

enum repl_event {
    REPL_NOTHING,
    REPL_LINE,
    REPL_END,         /* of the input, or it is time to end */
    REPL_INTERRUPTED, /* Ctrl-C: what was typed of the line is dropped */
    REPL_REDRAW       /* the terminal was resized or written to, or is this process's again */
};

struct repl_lines_options {
    bool terminal; /* somebody types here, and reads the answers */
    int wake;      /* a descriptor; while it is readable, `look` says what to do, and empties it */
    enum repl_event (*look)(void *context);
    /* How the text before the cursor may continue: what to insert, then the names that are
     * possible, a line each; freed here. NULL: not at all. */
    char *(*complete)(void *context, const char *text);
    void *context;
};

/* The options are copied. Says on standard error if lines cannot be edited. */
struct repl_lines *repl_lines_open(const struct repl_lines_options *options);
/* REPL_LINE: `*line` is the next one, borrowed until the next call. */
enum repl_event repl_lines_read(struct repl_lines *lines, const char *prompt, const char **line);
void repl_lines_close(struct repl_lines *lines);

#endif
