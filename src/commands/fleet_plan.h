/* A fleet file as workspaces: defaults filled in, every value checked like the option of `molecule
 * connect`. */
#ifndef MOLECULE_COMMANDS_FLEET_PLAN_H
#define MOLECULE_COMMANDS_FLEET_PLAN_H

#include "commands/connect_options.h"
#include "commands/table_read.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

extern const struct table_kind fleet_kind;

struct member {
    struct member *next;            /* the plan's or the fleet's */
    struct member *successor;       /* takes its place once it has ended; NULL: none */
    bool attached;                  /* the host has it */
    bool leaving;                   /* it was told to stop */
    bool planned;                   /* the last version of the file names it */
    struct connect_options options; /* options.workspace is what the host gets */
    /* what the texts of the options are borrowed from; equal values, equal workspace */
    json_t *values;
    char *id, *state_directory, *token, *token_file;
};
void member_free(struct member *member);

struct plan {
    struct member *members; /* in the file's order */
    size_t count;
};

/* What the file leaves out; may be NULL. */
struct plan_defaults {
    const char *state_directory, *api_url;
};

/* false: `problem` says what is wrong, with file and line; the plan is empty. Variables named by
 * `token_env` are read and removed from the environment. */
bool plan_read(struct plan *plan, const char *path, const struct plan_defaults *defaults,
               char *problem, size_t problem_size);
/* The same for a file that has been read, which stays the caller's. */
bool plan_take(struct plan *plan, const struct table_file *file, const char *path,
               const struct plan_defaults *defaults, char *problem, size_t problem_size);
void plan_free(struct plan *plan);

#endif
