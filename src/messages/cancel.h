/* tasks/cancel: the canvas's Stop button sends it without an id, and means all that runs. A peer
 * cancels only what it asked for. */
#ifndef MOLECULE_MESSAGES_CANCEL_H
#define MOLECULE_MESSAGES_CANCEL_H

#include "messages/dispatch.h"

/* true: it is a tasks/cancel, and was carried out; the caller finishes its own row. `in_order`
 * false: it came late, and cancels nothing. */
bool cancel_carry_out(struct dispatch *dispatch, const struct message *message, bool in_order);

#endif
