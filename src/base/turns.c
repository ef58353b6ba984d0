#include "base/turns.h"

#include "base/clock.h"

#include <stddef.h>

/* Short pieces share one turn of the loop, which costs a system call or two; a long one gets a turn
 * to itself. */
#define BATCH_US 200

static void append(struct turns *turns, struct lane *lane)
{
    lane->next = NULL;
    if (turns->last)
        turns->last->next = lane;
    else
        turns->first = lane;
    turns->last = lane;
}

static void unlink_lane(struct turns *turns, struct lane *lane)
{
    struct lane **link = &turns->first, *before = NULL;
    while (*link && *link != lane) {
        before = *link;
        link = &before->next;
    }
    if (!*link)
        return;
    *link = lane->next;
    if (turns->last == lane)
        turns->last = before;
}

static void run_one(struct turns *turns)
{
    struct lane *lane = turns->first;
    struct turn *turn = lane->first;
    unlink_lane(turns, lane);
    lane->first = turn->next;
    if (lane->first)
        append(turns, lane);
    else
        lane->last = NULL;
    turn->next = NULL;
    turn->lane = NULL;
    if (turns->before)
        turns->before(turns->context);
    turn->run(turn); /* may free both */
}

static void on_idle(uv_idle_t *idle)
{
    struct turns *turns = (struct turns *)idle;
    int64_t began_us = clock_monotonic_us();
    while (turns->first) {
        run_one(turns);
        if (clock_monotonic_us() - began_us >= BATCH_US)
            break;
    }
    if (!turns->first)
        uv_idle_stop(idle);
}

void turns_open(struct turns *turns, uv_loop_t *loop)
{
    uv_idle_init(loop, &turns->idle);
}

void turn_take(struct lane *lane, struct turn *turn, void (*run)(struct turn *turn))
{
    struct turns *turns = lane->turns;
    turn->run = run;
    turn->lane = lane;
    turn->next = NULL;
    if (lane->first) {
        lane->last->next = turn;
    } else {
        lane->first = turn;
        append(turns, lane);
    }
    lane->last = turn;
    if (!uv_is_closing((uv_handle_t *)&turns->idle))
        uv_idle_start(&turns->idle, on_idle);
}

static void take_out(struct turn **link, struct turn *before)
{
    struct turn *turn = *link;
    struct lane *lane = turn->lane;
    *link = turn->next;
    if (lane->last == turn)
        lane->last = before;
    if (!lane->first)
        unlink_lane(lane->turns, lane);
    turn->next = NULL;
    turn->lane = NULL;
}

void turn_leave(struct turn *turn)
{
    struct turn *before = NULL;
    if (!turn->lane)
        return;
    for (struct turn **link = &turn->lane->first; *link; before = *link, link = &before->next)
        if (*link == turn) {
            take_out(link, before);
            return;
        }
}

struct turn *lane_withdraw(struct lane *lane, void (*run)(struct turn *turn))
{
    struct turn *before = NULL;
    for (struct turn **link = &lane->first; *link; before = *link, link = &before->next)
        if ((*link)->run == run) {
            struct turn *turn = *link;
            take_out(link, before);
            return turn;
        }
    return NULL;
}
