/* What may stand in the place of a word of a command line: the answer that the completion of a
 * shell asks for. It comes from the table of commands, their usage and their options. */
#ifndef MOLECULE_COMMANDS_COMPLETE_H
#define MOLECULE_COMMANDS_COMPLETE_H

#include <stddef.h>

/* Prints what the last of the words (those after "molecule") may become, a line each: the whole
 * word, and after a tab what it is. A line ":files" or ":directories" stands for names that the
 * shell knows. What a shell would not take literally is not printed. */
void complete_print(const char *const *words, size_t count);

#endif
