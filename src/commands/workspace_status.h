/* What is known of a workspace on this machine, as JSON: of its live host, or of its files. */
#ifndef MOLECULE_COMMANDS_WORKSPACE_STATUS_H
#define MOLECULE_COMMANDS_WORKSPACE_STATUS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Also exit codes, as `molecule status --help` lists them. */
enum workspace_health {
    WORKSPACE_WELL = 0,
    WORKSPACE_STOPPED = 1,
    WORKSPACE_UNHEALTHY = 2,
    WORKSPACE_UNKNOWN = 3
};

/* Yours. NULL: `problem` says why; `*live`: there is a host, which does not answer. */
json_t *workspace_status(const char *directory, const char *id, bool *live, char *problem,
                         size_t problem_size);
enum workspace_health workspace_status_judge(const json_t *status);

#endif
