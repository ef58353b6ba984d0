/* What children inherit: standard input, output and error, as given, and no other descriptor. */
#ifndef MOLECULE_BASE_INHERIT_H
#define MOLECULE_BASE_INHERIT_H

/* Marks every descriptor above 2 close-on-exec. Ours are from the start, but not all of the
 * libraries' (libcurl 7.88: those its threads wake each other with), nor those that our parent left
 * open. Call this before starting a child. */
void inherit_nothing(void);

#endif
