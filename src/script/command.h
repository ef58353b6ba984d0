/* What the table of options at stack index 1 says about a program to run: argv or cmd, and env. The
 * functions that push also check, and raise in the name of the API function `name` before anything
 * is allocated. */
#ifndef MOLECULE_SCRIPT_COMMAND_H
#define MOLECULE_SCRIPT_COMMAND_H

#include <lua.h>

/* Pushes the list of arguments: argv, or /bin/sh -c cmd. */
void command_push_arguments(lua_State *L, const char *name);
/* Pushes the table of changes to the environment, or nil. */
void command_push_environment(lua_State *L, const char *name);

/* These raise nothing. What they return ends with NULL and is the caller's; command_free_list frees
 * it. */
char **command_copy_arguments(lua_State *L, int index);
/* Our environment with the changes of the table at `index`, where false removes a variable; nil
 * there gives NULL: ours. */
char **command_make_environment(lua_State *L, int index);
void command_free_list(char **list);

#endif
