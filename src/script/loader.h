/* `require` finds what is linked into the binary: "molecule.x.y" is lua/molecule/x/y.lua, or
 * …/y/init.lua. */
#ifndef MOLECULE_SCRIPT_LOADER_H
#define MOLECULE_SCRIPT_LOADER_H

#include <lua.h>
#include <stdbool.h>

struct vm;

/* Puts the searcher after package.preload and before the Lua path: nobody replaces our modules by
 * accident. The searcher for files loads text only. May raise. */
void loader_install(lua_State *L);
/* Only what is in the binary is added to what `require` finds, before files. May raise. */
void loader_install_embedded(lua_State *L);
/* Looks for the module at index 1 in directories that package.path cannot name. Pushes the file's
 * name; false: pushes where it looked. */
bool loader_find_beside(lua_State *L);
/* A searcher's results for the module at index 1 and the file whose name is on top. May raise. */
int loader_load_file(lua_State *L);
/* The state is made of this file, too: its vm->files_changed_ms. */
void loader_note_file(struct vm *vm, const char *path);
/* A chunk's source, as lua_getinfo reports it, is one of ours and not a file, whatever the file is
 * called. */
bool loader_is_embedded(const char *source);

#endif
