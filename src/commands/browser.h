/* The user's browser. */
#ifndef MOLECULE_COMMANDS_BROWSER_H
#define MOLECULE_COMMANDS_BROWSER_H

#include <stdbool.h>

/* Asks the desktop to show the page, and does not wait until it does. false: there is no xdg-open.
 */
bool browser_open(const char *url);

#endif
