/* What children get of us: standard input, output and error, as they are told, and no other
 * descriptor. */
#ifndef MOLECULE_BASE_INHERIT_H
#define MOLECULE_BASE_INHERIT_H

/* Marks every descriptor above 2 close-on-exec. Ours are from the start; libraries' are not all
 * (libcurl 7.88: those by which its threads wake each other), nor those that whoever started us
 * left open. To be called before a child is started. */
void inherit_nothing(void);

#endif
