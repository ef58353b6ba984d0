/* A conversation can be blocked for long: by a peer that is down, a handler that takes minutes, a
 * retry that holds it. Its messages would hold the cursor, and once the inbox is full of them
 * nobody else's would be fetched. So they are deferred to the ledger, and cursor and fetch pass
 * them; they still run in order. Always from the front: what the ledger has of a conversation comes
 * first at the next start. */
#ifndef MOLECULE_MESSAGES_SPOOL_H
#define MOLECULE_MESSAGES_SPOOL_H

#include "messages/dispatch.h"

/* Whether more rows may be fetched. */
bool spool_has_room(const struct dispatch *dispatch);
/* The inbox is full: makes room where conversations are blocked. */
void spool_make_room(struct dispatch *dispatch);
/* What follows a deferred message in its conversation is deferred, too. */
void spool_follow(struct dispatch *dispatch);

#endif
