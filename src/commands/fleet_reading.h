/* Inside the reading of a fleet file: fleet_plan.c turns it into workspaces, fleet_values.c keys
 * and values into one workspace's options. */
#ifndef MOLECULE_COMMANDS_FLEET_READING_H
#define MOLECULE_COMMANDS_FLEET_READING_H

#include "commands/fleet_plan.h"

struct reading {
    struct plan *plan;
    const struct plan_defaults *defaults;
    const struct fleet_file *file;
    const char *path;
    char *directory; /* of the file, with a slash; "" for the current one */
    char *problem;
    size_t problem_size;
    json_t *seen; /* ids */
};

/* Says what is wrong, with file and line: `word` is looked for in the file, after `after` (NULL:
 * anywhere). Always false. */
bool fleet_complain(struct reading *reading, const char *after, const char *word,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));
/* No option has this key. `where`: a workspace's id, or "defaults". Always false. */
bool fleet_complain_of_key(struct reading *reading, const char *where, const char *key);

/* The option that a key in the file stands for; NULL: none. */
const struct option *fleet_find_option(const char *key);
/* The key must have an option. */
bool fleet_set_value(struct reading *reading, struct member *member, const char *key,
                     const json_t *value);
/* From one of token, token_env and token_file among the member's values. */
bool fleet_take_token(struct reading *reading, struct member *member);

#endif
