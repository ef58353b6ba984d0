/* The directory of `molecule dev --keep`: <dir>/state for the host, <dir>/session.jsonl for the
 * emulator and the playground. */
#ifndef MOLECULE_COMMANDS_DEV_KEEP_H
#define MOLECULE_COMMANDS_DEV_KEEP_H

#include <stdbool.h>

struct dev_keep {
    char *state, *session; /* NULL: nothing is kept */
    int lock;              /* for the life of the process */
};

/* Makes what is missing, for this user alone. false: said why not; nothing to close. */
bool dev_keep_open(struct dev_keep *keep, const char *directory);
void dev_keep_close(struct dev_keep *keep);

#endif
