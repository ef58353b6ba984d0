/* What a ledger has, as JSON for people: shared by status, dead and dev. */
#ifndef MOLECULE_COMMANDS_LEDGER_VIEW_H
#define MOLECULE_COMMANDS_LEDGER_VIEW_H

#include "state/ledger.h"

#include <jansson.h>

/* The recorded steps of a message, in order: [{key, kind, value, at}, …]. Yours. */
json_t *ledger_view_steps(struct ledger *ledger, const char *row_id);
/* Open questions of handlers: [{code, text, choices, to, message, asked, until}, …]. Yours. */
json_t *ledger_view_questions(struct ledger *ledger);

#endif
