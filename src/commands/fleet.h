/* The workspaces of a fleet while it runs: the list (fleet_members.c), and what becomes of it when
 * the file is reloaded (fleet_reload.c). Everything but the reading itself is on the thread of
 * molecule_run. */
#ifndef MOLECULE_COMMANDS_FLEET_H
#define MOLECULE_COMMANDS_FLEET_H

#include "commands/config_reload.h"
#include "commands/fleet_plan.h"
#include "molecule/molecule.h"

struct fleet {
    const char *path;
    struct plan_defaults defaults;
    struct molecule *molecule;
    struct plan plan;
    void *tree;                 /* of tsearch(3): the members by id */
    struct background *reading; /* under way; NULL: none */
    bool again;                 /* the file must be reloaded once more after that */
    struct config_reload config;
};

/* Its plan has been read. */
void fleet_open(struct fleet *fleet);
void fleet_close(struct fleet *fleet);

/* Adds the member to the host, or logs why that failed. */
enum molecule_result fleet_attach(struct fleet *fleet, struct member *member);
/* Changes what runs into what the plan says; takes the plan. */
void fleet_take_plan(struct fleet *fleet, struct plan fresh);

/* For struct molecule_options; the context is the fleet. */
void fleet_on_ended(void *context, const char *id, enum molecule_result result);
void fleet_on_reload(void *context);
/* molecule_run has returned: whatever is still being read is dropped. */
void fleet_abandon_reload(struct fleet *fleet);

#endif
