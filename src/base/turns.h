/* Work of several parties on one loop, round robin: one piece of each party at a time, each party's
 * in order, with the loop's own events in between. A busy party delays the others by one piece. */
#ifndef MOLECULE_BASE_TURNS_H
#define MOLECULE_BASE_TURNS_H

#include <stdbool.h>
#include <uv.h>

struct lane;
struct turns;

/* One piece of work. Embed it; it is yours again when `run` is called. */
struct turn {
    struct turn *next;
    struct lane *lane; /* NULL: it does not wait for its turn */
    void (*run)(struct turn *turn);
};

/* One party. Zeroed and given its `turns`, it is ready. */
struct lane {
    struct lane *next;
    struct turns *turns;
    struct turn *first, *last;
};

struct turns {
    uv_idle_t idle;                /* first: keeps the loop turning while there is work */
    struct lane *first, *last;     /* those that have any */
    void (*before)(void *context); /* before each piece; may be NULL */
    void *context;
};

void turns_open(struct turns *turns, uv_loop_t *loop);
/* On the loop's thread. The turn must not wait already. */
void turn_take(struct lane *lane, struct turn *turn, void (*run)(struct turn *turn));
/* Takes it out of the queue; does nothing if it is not waiting. */
void turn_leave(struct turn *turn);
/* Takes the first turn that would call `run` out of the lane; NULL: none. */
struct turn *lane_withdraw(struct lane *lane, void (*run)(struct turn *turn));

#endif
