/* SIGHUP and the config file: it is read again, on a separate thread (the file is Lua and may take
 * any time). The level and the file of the log are taken from it; of other values that differ from
 * those that run, the log says that they need a restart. Everything but the reading itself is on
 * the thread of molecule_run. */
#ifndef MOLECULE_COMMANDS_CONFIG_RELOAD_H
#define MOLECULE_COMMANDS_CONFIG_RELOAD_H

#include "commands/background.h"
#include "commands/options.h"
#include "molecule/molecule.h"

struct config_reload {
    const struct command *command;
    const struct options_sources *sources; /* of what runs */
    const void *values;                    /* … the command's own structure */
    size_t size;                           /* of that */
    struct molecule *molecule;
    struct background *reading; /* under way; NULL: none */
    bool again;                 /* the file must be read once more after that */
};

/* Does nothing where there is no config file. */
void config_reload_start(struct config_reload *reload);
/* For struct molecule_options: the same, and every script is reloaded. The context is the
 * config_reload. */
void config_on_reload(void *context);
/* molecule_run has returned: what is still being read is dropped. */
void config_reload_abandon(struct config_reload *reload);

#endif
