/* tasks/cancel: the canvas's Stop button sends it without an id, and means all that runs. A peer
 * cancels only what it asked for. */
#ifndef MOLECULE_MESSAGES_CANCEL_H
#define MOLECULE_MESSAGES_CANCEL_H

#include "messages/dispatch.h"

/* true: it is a tasks/cancel, and was carried out; the caller finishes its own row. `in_order`
 * false: it came late, and cancels nothing. */
bool cancel_carry_out(struct dispatch *dispatch, const struct message *message, bool in_order);
/* One message: its handler is canceled, or it is not handled at all; it ends as canceled, unless it
 * is ending already. false: it is not there. */
bool cancel_message(struct dispatch *dispatch, const char *row_id);

#endif
