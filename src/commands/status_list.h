/* The status of several workspaces: a table, a line for monitoring, a live screen. */
#ifndef MOLECULE_COMMANDS_STATUS_LIST_H
#define MOLECULE_COMMANDS_STATUS_LIST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct status_list {
    /* one for each; of what cannot be read {workspace, state: "unknown", problem} */
    json_t *statuses;
};

/* `id` NULL: all that have state there. false: errno says why the directory cannot be read. */
bool status_list_read(struct status_list *list, const char *directory, const char *id);
void status_list_free(struct status_list *list);
/* Its messages that are pending, and its dead letters. */
json_int_t status_list_pending(const json_t *status);
json_int_t status_list_dead(const json_t *status);
/* The worst: enum workspace_health. */
int status_list_judge(const struct status_list *list);
/* Aligned; a line for each. */
void status_list_print(const struct status_list *list, FILE *out, bool colors);
/* One line, with performance data. */
void status_list_print_check(const struct status_list *list, int code);
/* Draws until it is ended; the terminal is as it was then. The exit code. */
int status_watch(const char *directory, const char *id, bool colors);

#endif
