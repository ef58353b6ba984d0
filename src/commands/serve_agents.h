/* The agents of `molecule serve`, and where on its server each is. */
#ifndef MOLECULE_COMMANDS_SERVE_AGENTS_H
#define MOLECULE_COMMANDS_SERVE_AGENTS_H

#include "commands/options.h"
#include "molecule/molecule.h"

/* One agent. Its texts but those of `workspace` are its own. */
struct served {
    char *id;
    char *path; /* "/name"; NULL: at the root */
    char *host; /* it is at this one alone; NULL: at every host */
    struct molecule_workspace_options workspace;
};

/* The file's name without its folder and ".lua", as an id and a part of a path; yours. */
char *serve_id_of(const char *script);

/* Gives hosts to agents, as these pairs of --virtual-host say: NAME=HOST[/PATH]. 0, or 2 after
 * saying what is wrong, with file and line where the config file says it. */
int serve_take_hosts(const struct command *command, const struct options_sources *sources,
                     const struct molecule_option *pairs, size_t count, struct served *served,
                     size_t served_count);
/* 0, or 2 after saying which two of them are in each other's way. */
int serve_check_places(const struct command *command, const struct served *served, size_t count);

#endif
