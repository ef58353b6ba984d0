/* What a step of a branch stores (molecule.store inside ctx.step), apart from its handler's. */
#ifndef MOLECULE_SCRIPT_STEP_SCOPE_H
#define MOLECULE_SCRIPT_STEP_SCOPE_H

#include "script/handler.h"

/* A step begins; the branch is in none. */
void step_scope_begin(struct branch *branch, const char *key);
/* What it stored, with its locks, for whoever records it. NULL: nothing. */
struct changes *step_scope_take(struct branch *branch);
/* It ends, and what it stored and nobody took is forgotten. None under way is fine. */
void step_scope_end(struct branch *branch);

#endif
