/* Words quoted for a shell, so that a printed command can be pasted. */
#ifndef MOLECULE_BASE_SHELL_H
#define MOLECULE_BASE_SHELL_H

/* The word as it would be typed: quoted where a shell would read something else. The caller frees
 * it. */
char *shell_word(const char *word);

#endif
