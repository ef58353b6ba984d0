/* A question of a handler (ctx.ask) that somebody answers from the shell: `molecule answer`. */
#ifndef MOLECULE_MESSAGES_OPERATOR_ANSWER_H
#define MOLECULE_MESSAGES_OPERATOR_ANSWER_H

#include "messages/dispatch.h"

#include <stdbool.h>
#include <stddef.h>

/* The question of this code has this answer; `text` NULL: it is canceled. `then` follows when that
 * is recorded. false: there is no such question, or the text is none of its choices; `problem` says
 * so. */
bool operator_answer(struct dispatch *dispatch, const char *code, const char *text,
                     void (*then)(void *context), void *context, char *problem,
                     size_t problem_size);

#endif
