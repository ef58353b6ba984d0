/* What a script reads from a pipe: lines, counts, numerals and all of it, as from a file of Lua's.
 */
#ifndef MOLECULE_SCRIPT_PIPE_READ_H
#define MOLECULE_SCRIPT_PIPE_READ_H

#include <lua.h>

/* The methods read(formats…) and lines(formats…). */
int pipe_read(lua_State *L);
int pipe_lines(lua_State *L);

#endif
