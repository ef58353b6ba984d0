/* What became of a delegated task (contract §1.15): the platform records it among our activities,
 * whether or not it also puts it into the inbox. */
#ifndef MOLECULE_LINK_DELEGATED_H
#define MOLECULE_LINK_DELEGATED_H

#include <stdbool.h>
#include <stddef.h>

struct link;
struct delegated;

enum delegated_state {
    DELEGATED_COMPLETED, /* `text` is the peer's answer */
    /* the peer polls: it has the task, and will answer with a separate message, if at all */
    DELEGATED_QUEUED,
    DELEGATED_FAILED /* `text` says why */
};

/* Asks until it is known; `done` comes later, once, unless canceled. `text` is borrowed. */
typedef void delegated_callback(enum delegated_state state, const char *text, void *context);
struct delegated *delegated_look(struct link *link, const char *delegation_id,
                                 delegated_callback *done, void *context);
void delegated_cancel(struct delegated *delegated); /* NULL is fine */

#endif
