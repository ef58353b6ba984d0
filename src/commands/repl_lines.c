#include "commands/repl_lines.h"

#include "base/memory.h"
#include "base/output.h"
#include "base/terminal.h"
#include "commands/line_input.h"
#include "commands/repl_editor.h"

#include <stdio.h>
#include <stdlib.h>

struct repl_lines {
    struct repl_lines_options options;
    struct repl_editor *editor; /* NULL: lines are read as they are */
    struct line_input input;
};

struct repl_lines *repl_lines_open(const struct repl_lines_options *options)
{
    char problem[256];
    struct repl_lines *lines = memory_allocate(sizeof *lines);
    lines->options = *options;
    line_input_open(&lines->input, options->wake);
    if (!options->terminal)
        return lines;
    lines->editor = repl_editor_open(&lines->options, problem, sizeof problem);
    if (!lines->editor)
        terminal_print(stderr, "molecule repl: lines are read as they are typed: %s\n", problem);
    return lines;
}

static enum repl_event read_plainly(struct repl_lines *lines, const char *prompt)
{
    if (lines->options.terminal) {
        fputs(prompt, stdout);
        fflush(stdout);
    }
    for (;;) {
        enum repl_event event;
        switch (line_input_read(&lines->input)) {
        case LINE_INPUT_LINE: return REPL_LINE;
        case LINE_INPUT_TOO_LONG:
            terminal_print(stderr, "molecule repl: a line that is longer than 1 MiB ends the "
                                   "input\n");
            return REPL_END;
        case LINE_INPUT_END: return REPL_END;
        case LINE_INPUT_WOKEN:
            event = lines->options.look(lines->options.context);
            if (event == REPL_END || event == REPL_INTERRUPTED)
                return event;
        }
    }
}

enum repl_event repl_lines_read(struct repl_lines *lines, const char *prompt, const char **line)
{
    output_flush(); /* the prompt comes after it */
    if (lines->editor)
        return repl_editor_read(lines->editor, prompt, line);
    enum repl_event event = read_plainly(lines, prompt);
    if (event == REPL_LINE)
        *line = lines->input.line.length > 0 ? lines->input.line.data : "";
    return event;
}

void repl_lines_close(struct repl_lines *lines)
{
    if (lines->editor)
        repl_editor_close(lines->editor);
    line_input_close(&lines->input);
    free(lines);
}
