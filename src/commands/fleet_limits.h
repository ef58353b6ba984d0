/* What many workspaces in one process need from the system. */
#ifndef MOLECULE_COMMANDS_FLEET_LIMITS_H
#define MOLECULE_COMMANDS_FLEET_LIMITS_H

#include <stddef.h>
#include <stdint.h>

/* `wanted`, or if it is 0 as many as there are processors, but not more than workspaces; at
 * least 1. */
unsigned fleet_workers(int64_t wanted, size_t workspaces);

/* Raises the limit of open files as far as necessary and possible, and logs it. */
void fleet_raise_limit(size_t workspaces);
/* … for so many connections of clients, as far as possible; a lower limit makes others wait. */
void fleet_raise_limit_for(size_t connections);

#endif
