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
    LOCKS_WAIT,    /* not yet; `settled` will be called from the loop with one of the others */
    LOCKS_DEADLOCK /* its holder waits, directly or not, for something that this ticket holds */
};
typedef void locks_settled(void *context, enum locks_result result);
/* A ticket waits for one key at a time: while it does, what else its handler's branches take waits
 * until that is settled. */
enum locks_result locks_take(struct locks *locks, uint64_t ticket, const char *key, bool alone,
                             locks_settled *settled, void *context);
/* It no longer waits (its handler, or the branch of it, was ended). */
void locks_forget(struct locks *locks, void *context);
bool locks_holds(const struct locks *locks, uint64_t ticket, const char *key);
void locks_release(struct locks *locks, uint64_t ticket); /* all that it holds; 0 is fine */
void locks_release_all(struct locks *locks);              /* of every ticket */

#endif
