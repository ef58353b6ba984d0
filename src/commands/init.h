/* What `molecule dev` needs of `molecule init`. */
#ifndef MOLECULE_COMMANDS_INIT_H
#define MOLECULE_COMMANDS_INIT_H

/* agent.lua in the working directory: the one that is there, or, if a person at a terminal wants
 * so, a new one. NULL: neither. */
const char *init_find_agent(void);

#endif
