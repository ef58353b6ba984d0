/* Where in the script an error is, for whoever reads about it. */
#ifndef MOLECULE_SCRIPT_ERROR_PLACE_H
#define MOLECULE_SCRIPT_ERROR_PLACE_H

/* `text` is an error as Lua words it, "agent.lua:3: …". The line it names and a mark below it, if
 * that is a line of the script or of a module beside it; NULL: it is not, or cannot be read. Reads
 * the file: not on the network thread. Yours to free. */
char *error_place(const char *script, const char *text);

/* Drops the frames of the host's own code from Lua's traceback. Takes the text. NULL: no frame of
 * the script is left. */
char *error_tidy_traceback(char *text);

#endif
