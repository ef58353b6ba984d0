/* molecule status --top N: of many workspaces those that are to be looked at first. */
#ifndef MOLECULE_COMMANDS_STATUS_TOP_H
#define MOLECULE_COMMANDS_STATUS_TOP_H

#include "commands/status_list.h"

/* {workspaces: their number, pending: […], oldest_pending: […], dead: […]}: at most so many of
 * each, the worst first, only those that have any. Yours. */
json_t *status_top(const struct status_list *list, size_t limit);
/* Keeps those that one of the three has, in that order. */
void status_top_keep(struct status_list *list, size_t limit);

#endif
