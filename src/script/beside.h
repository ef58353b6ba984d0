/* Modules beside the script: in its directory and, if it is a symbolic link, in that of the file it
 * points to. */
#ifndef MOLECULE_SCRIPT_BESIDE_H
#define MOLECULE_SCRIPT_BESIDE_H

#include <lauxlib.h>
#include <stdbool.h>

/* Puts the directories before the rest of package.path, except those that it cannot name, with ";"
 * or "?" in them. May raise. */
void beside_prepend_path(lua_State *L, const char *script_path);

/* Looks for a module in the directories that package.path cannot name. Pushes the file's name;
 * false: pushes where it has looked, which may be "". May raise. */
bool beside_find(lua_State *L, const char *script_path, const char *module);

#endif
