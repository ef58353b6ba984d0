/* Who may change which key of the store: a handler that read a value to change it (store.update)
 * holds the key alone until its outcome is recorded; those that change it blindly (set, delete,
 * incr, append) share it. One worker's; all states of a script use the same. */
#ifndef MOLECULE_SCRIPT_LOCKS_H
#define MOLECULE_SCRIPT_LOCKS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct locks;

struct locks *locks_open(uv_loop_t *loop);
/* Nobody may still be waiting; its timer closes in the loop's next iteration. */
void locks_close(struct locks *locks);

uint64_t locks_ticket(struct locks *locks); /* for one handler */

enum locks_result {
    LOCKS_TAKEN,
    LOCKS_WAIT,    /* somebody else holds it; `granted` will be called from the loop */
    LOCKS_DEADLOCK /* its holder waits, directly or not, for something that this ticket holds */
};
enum locks_result locks_take(struct locks *locks, uint64_t ticket, const char *key, bool alone,
                             void (*granted)(void *context), void *context);
/* It no longer waits (its handler was ended). */
void locks_forget(struct locks *locks, void *context);
void locks_release(struct locks *locks, uint64_t ticket); /* all that it holds; 0 is fine */
void locks_release_all(struct locks *locks);              /* of every ticket */

#endif
