/* Work of several parties on one loop, taken in turns: each party's in its order, one piece of each
 * party after the other, and the loop's own events in between. Whoever has a lot to do delays the
 * others by one piece of it. */
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
/* It will not run; nothing where it does not wait. */
void turn_leave(struct turn *turn);
/* Takes the first turn that would call `run` out of the lane; NULL: there is none. */
struct turn *lane_withdraw(struct lane *lane, void (*run)(struct turn *turn));

#endif
