/* The first registrations of many workspaces, a few at a time: the platform must not face a whole
 * fleet at once. One queue per process. */
#ifndef MOLECULE_LINK_START_QUEUE_H
#define MOLECULE_LINK_START_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/* Embed one in whatever waits; a zeroed one is neither waiting nor under way. */
struct start_turn {
    struct start_turn *next;
    bool waiting, under_way;
    void (*begin)(struct start_turn *turn);
};

struct start_queue {
    struct start_turn *first, **end;
    size_t under_way;
    int64_t next_ms, quiet_ms; /* monotonic: no start before */
    uv_timer_t timer;
};

void start_queue_open(struct start_queue *queue, uv_loop_t *loop);
/* turn->begin follows, at once or later. */
void start_queue_take(struct start_queue *queue, struct start_turn *turn);
/* What began has an outcome, or what waited ends; fine at any time. `quiet_until_ms`: its rate
 * budget is nearly spent until then (one address has one budget on older platforms); 0: it is
 * not. */
void start_queue_leave(struct start_queue *queue, struct start_turn *turn, int64_t quiet_until_ms);

#endif
