/* What questions of handlers (ctx.ask) look like to those who answer, and how answers are read. No
 * I/O. */
#ifndef MOLECULE_MESSAGES_QUESTION_WORDS_H
#define MOLECULE_MESSAGES_QUESTION_WORDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define QUESTION_CODE_LENGTH 4

/* Made of letters and digits that are not mistaken for each other. `random`: as random_number. */
void question_code(char code[QUESTION_CODE_LENGTH + 1], unsigned long long random);
/* Where the answer begins in a text that begins with the code, in whatever case, alone or followed
 * by a space, a line or a colon; NULL: it does not. */
const char *question_after_code(const char *text, const char *code);
/* The choice that the text means: the one that it is, or the only one that begins with it; case and
 * spaces do not count. Borrowed from `choices` (an array of strings); NULL: none, or several. */
const char *question_choice(const json_t *choices, const char *text);

/* As it is posted, yours to free. `code` NULL: a peer is asked, which needs none. `others`: the
 * open questions from which this one must be told apart, an array of {code, text}; NULL: none. */
char *question_announce(const char *text, const json_t *choices, const char *code,
                        const json_t *others);
/* What to say to somebody whose answer is none of the choices. Yours. */
char *question_hint(const json_t *choices);
/* … that does not say which of these it answers. */
char *question_which(const json_t *open);

#endif
