/* Code that somebody typed at the prompt of `molecule repl`, for the script of one workspace. On
 * the network thread. */
#ifndef MOLECULE_HOST_EVALUATION_H
#define MOLECULE_HOST_EVALUATION_H

#include <stdbool.h>

struct script_evaluation;
struct workspace;

/* Hands it to the script, see script_evaluate. false: the workspace has no script any more, or is
 * stopping, and `done` is not called. */
bool evaluation_start(struct workspace *workspace, struct script_evaluation *evaluation);
/* Ends the handlers of messages that run, and the evaluation; NULL: there is no evaluation. */
void evaluation_interrupt(struct workspace *workspace, struct script_evaluation *evaluation);

#endif
