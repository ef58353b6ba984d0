/* Inside the reading of a fleet file: fleet_plan.c turns it into workspaces, fleet_values.c keys
 * and values into one workspace's options. */
#ifndef MOLECULE_COMMANDS_FLEET_READING_H
#define MOLECULE_COMMANDS_FLEET_READING_H

#include "commands/fleet_plan.h"
#include "commands/table_values.h"

struct reading {
    struct plan *plan;
    const struct plan_defaults *defaults;
    struct table_source source;
    json_t *seen; /* ids */
};

/* No option has this key. `where`: a workspace's id, or "defaults". Always false. */
bool fleet_complain_of_key(struct reading *reading, const char *where, const char *key);

/* The option that a key in the file stands for; NULL: none. */
const struct option *fleet_find_option(const char *key);
/* The key must have an option. */
bool fleet_set_value(const struct reading *reading, struct member *member, const char *key,
                     const json_t *value);
/* From one of token, token_env and token_file among the member's values. */
bool fleet_take_token(struct reading *reading, struct member *member);

#endif
