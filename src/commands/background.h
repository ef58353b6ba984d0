/* Work on a separate thread beside a host that runs, such as reading a file that is Lua and may
 * take any time. */
#ifndef MOLECULE_COMMANDS_BACKGROUND_H
#define MOLECULE_COMMANDS_BACKGROUND_H

#include "molecule/molecule.h"

struct background;

struct background_kind {
    void (*perform)(void *work); /* on the separate thread, with all signals blocked */
    /* on the thread of molecule_run; not called once the work was abandoned */
    void (*done)(void *owner, void *work);
    void (*release)(void *work); /* at the end, on either thread */
};

/* On the thread of molecule_run. `kind`: static. NULL: no thread could be started, and the work is
 * released. */
struct background *background_start(struct molecule *molecule, const struct background_kind *kind,
                                    void *owner, void *work);
/* For work that `done` was not called for, between the return of molecule_run and molecule_close:
 * nobody waits for it any more. NULL is fine. */
void background_abandon(struct background *background);

#endif
