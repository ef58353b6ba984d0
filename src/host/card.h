/* The agent card: what the workspace is called on the platform. The options say so, else the
 * script, else a default. */
#ifndef MOLECULE_HOST_CARD_H
#define MOLECULE_HOST_CARD_H

#include "molecule/options.h"
#include "script/script.h"
#include "wire/platform.h"

#include <stdbool.h>

/* Fills in a card, which owns its texts; a zeroed one is empty. true: it has changed. */
bool card_take(struct platform_card *card, const struct molecule_workspace_options *options,
               const struct script_agent *agent);
void card_free(struct platform_card *card);

#endif
