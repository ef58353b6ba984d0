/* Artifacts that a script names: pieces of a result, for the task of an A2A client. No I/O. */
#ifndef MOLECULE_WIRE_ARTIFACTS_H
#define MOLECULE_WIRE_ARTIFACTS_H

#include "wire/reply.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* An array of {name?, description?, metadata?, text? or parts?} from a script, as struct reply has
 * them: with parts in the form of A2A 1.0. Takes `given`. false: `problem` says what is wrong. */
bool artifacts_take(json_t *given, json_t **artifacts, char *problem, size_t problem_size);
/* One of them; `given` is borrowed. A new reference, or NULL. */
json_t *artifacts_take_one(const json_t *given, char *problem, size_t problem_size);
/* Where there is no task: their parts become the reply's, after its own. */
void artifacts_join(struct reply *reply);

/* The reply's own text or parts as parts of A2A 1.0, a new reference. NULL: it has none, or they
 * cannot be sent, and `problem` says why ("": it has none). */
json_t *artifacts_reply_parts(const struct reply *reply, char *problem, size_t problem_size);

#endif
