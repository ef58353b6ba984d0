/* What scripts ask of their host while a handler runs: the store, messages to peers and to the
 * canvas, files. */
#ifndef MOLECULE_HOST_HOST_CALLS_H
#define MOLECULE_HOST_HOST_CALLS_H

#include "script/script.h"

#include <stdbool.h>

struct workspace;
struct message;
struct inbox_entry;

/* Takes the question; script_answer follows, also when the workspace closes. */
void host_calls_ask(struct workspace *workspace, struct script_ask *ask);
/* A peer's reply to what a handler sent and waits for: it goes there, and the entry is finished.
 * false: nobody waits for it. */
bool host_calls_take_answer(struct workspace *workspace, struct inbox_entry *entry);
/* One that nobody waits for any more, or yet: a handler that runs again and asks the same gets it.
 */
void host_calls_remember_answer(struct workspace *workspace, const struct message *message);
/* Staged uploads that were read and may be forgotten by the platform. No answer is waited for. */
void host_calls_acknowledge(struct workspace *workspace, const char *file_id);
/* A message is finished: what its conversation's next one says to the same receiver no longer has
 * to wait for its reply. */
void host_calls_go_on(struct workspace *workspace);
/* Everything under way is answered with a problem. Later questions are still taken. */
void host_calls_interrupt(struct workspace *workspace);
/* As host_calls_interrupt, and frees what is left. */
void host_calls_close(struct workspace *workspace);

#endif
