/* Lines that are edited on a terminal, by libedit. The library is loaded here, not with the
 * program: every other command starts without it. On one thread, whose locale it sets. */
#ifndef MOLECULE_COMMANDS_REPL_EDITOR_H
#define MOLECULE_COMMANDS_REPL_EDITOR_H

#include "commands/repl_lines.h"

#include <stddef.h>

struct repl_editor;

/* The options are borrowed. NULL: `problem` says why not. */
struct repl_editor *repl_editor_open(const struct repl_lines_options *options, char *problem,
                                     size_t problem_size);
/* As repl_lines_read. */
enum repl_event repl_editor_read(struct repl_editor *editor, const char *prompt, const char **line);
void repl_editor_close(struct repl_editor *editor);

#endif
