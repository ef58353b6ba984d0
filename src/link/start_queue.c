#include "link/start_queue.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/timer.h"

#define AT_ONCE 20 /* under way */
#define GAP_MS 5   /* on average, between two */

static void give_turns(struct start_queue *queue);

static void on_timer(uv_timer_t *timer)
{
    give_turns(timer->data);
}

static void give_turns(struct start_queue *queue)
{
    while (queue->first && queue->under_way < AT_ONCE) {
        int64_t now = clock_monotonic_ms();
        int64_t free_ms = queue->next_ms > queue->quiet_ms ? queue->next_ms : queue->quiet_ms;
        if (now < free_ms) {
            timer_arm(&queue->timer, on_timer, free_ms - now);
            return;
        }
        queue->next_ms = now + (int64_t)(random_number() % (2 * GAP_MS + 1));
        struct start_turn *turn = queue->first;
        queue->first = turn->next;
        if (!queue->first)
            queue->end = &queue->first;
        turn->waiting = false;
        turn->under_way = true;
        queue->under_way++;
        turn->begin(turn);
    }
}

void start_queue_open(struct start_queue *queue, uv_loop_t *loop)
{
    queue->end = &queue->first;
    uv_timer_init(loop, &queue->timer);
    queue->timer.data = queue;
}

void start_queue_take(struct start_queue *queue, struct start_turn *turn)
{
    check(!turn->waiting && !turn->under_way);
    turn->waiting = true;
    turn->next = NULL;
    *queue->end = turn;
    queue->end = &turn->next;
    give_turns(queue);
}

static void leave_queue(struct start_queue *queue, struct start_turn *turn)
{
    struct start_turn **place = &queue->first;
    while (*place != turn)
        place = &(*place)->next;
    *place = turn->next;
    if (!*place)
        queue->end = place;
    turn->waiting = false;
}

void start_queue_leave(struct start_queue *queue, struct start_turn *turn, int64_t quiet_until_ms)
{
    if (turn->waiting)
        leave_queue(queue, turn);
    if (!turn->under_way)
        return;
    turn->under_way = false;
    queue->under_way--;
    if (quiet_until_ms > queue->quiet_ms)
        queue->quiet_ms = quiet_until_ms;
    give_turns(queue);
}
