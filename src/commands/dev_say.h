/* What `molecule dev` prints of itself when it begins. */
#ifndef MOLECULE_COMMANDS_DEV_SAY_H
#define MOLECULE_COMMANDS_DEV_SAY_H

#include "commands/dev_host.h"

#include <stdbool.h>

/* `on_terminal`: a person reads it, who needs to know less. `answers`: the script, or the backend.
 */
void dev_say_how(const struct dev_host_orders *orders, const char *answers, bool pushed,
                 bool on_terminal);
/* Shows the playground in a browser, or says where it is. */
void dev_show_page(const char *url);

#endif
