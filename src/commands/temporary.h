/* The directory of a run, deleted at its end. */
#ifndef MOLECULE_COMMANDS_TEMPORARY_H
#define MOLECULE_COMMANDS_TEMPORARY_H

/* A new one (0700) in TMPDIR, or in /tmp: molecule-<command>-…. Yours to free; NULL after
 * saying why not. */
char *temporary_create(const char *command);
/* With the files in it, which other threads of this process may still be writing. */
void temporary_remove(const char *directory);

#endif
