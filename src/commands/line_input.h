/* Standard input line by line, for a thread that another one may want to stop or to wake. */
#ifndef MOLECULE_COMMANDS_LINE_INPUT_H
#define MOLECULE_COMMANDS_LINE_INPUT_H

#include "base/buffer.h"

#define LINE_INPUT_MAXIMUM ((size_t)1 << 20) /* bytes of a line */

enum line_input_result {
    LINE_INPUT_LINE,
    LINE_INPUT_END,
    LINE_INPUT_TOO_LONG, /* the line is longer than LINE_INPUT_MAXIMUM; nothing more can be read */
    LINE_INPUT_WOKEN     /* `wake` is readable; what was read of a line is kept */
};

struct line_input {
    int wake; /* a descriptor to look at meanwhile */
    struct buffer unread, line;
};

void line_input_open(struct line_input *input, int wake);
/* The next line is in input->line, without its end. */
enum line_input_result line_input_read(struct line_input *input);
void line_input_close(struct line_input *input);

#endif
