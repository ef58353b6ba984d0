#include "link/poller_pace.h"

#include "base/clock.h"

/* intervals between polls while the event stream is trusted */
#define WATCHED_TIMES 5
#define WATCHED_MAXIMUM_MS 5000
#define HINT_GAP_MS 20 /* between two polls prompted by hints */
/* while an announced message is missing */
#define MISSING_PAUSE_MS 500

/* Until the next poll when nothing hints at something new. */
int64_t poller_pause_ms(const struct poller *poller)
{
    int64_t interval = poller->link->options->interval_ms;
    if (announced_any(poller->stream->announced) && interval > MISSING_PAUSE_MS)
        return MISSING_PAUSE_MS;
    if (!event_stream_trusted(poller->stream) || interval >= WATCHED_MAXIMUM_MS)
        return interval;
    int64_t stretched = interval * WATCHED_TIMES;
    return stretched < WATCHED_MAXIMUM_MS ? stretched : WATCHED_MAXIMUM_MS;
}

/* When a hint may prompt a poll. A burst of hints prompts few, and hints beyond the platform's rate
 * budget none: where it is low, the workspaces take turns, and asking takes the turn. */
int64_t poller_hint_turn(struct poller *poller)
{
    struct link_shared *shared = poller->link->shared;
    int64_t now = clock_monotonic_ms(), pause = poller_pause_ms(poller),
            free_ms = poller->hint_free_ms;
    if (now < poller->link->budget.quiet_until_ms)
        return pause;
    if (poller->link->budget.hint_gap_ms > 0) {
        free_ms = shared->hint_free_ms > free_ms ? shared->hint_free_ms : free_ms;
        if (free_ms - now < pause)
            shared->hint_free_ms = (free_ms > now ? free_ms : now) +
                                   poller->link->budget.hint_gap_ms;
    }
    int64_t wait = free_ms - now;
    return wait > pause ? pause : wait > 0 ? wait : 0;
}

/* When the inbox may be looked at because a handler asks: soon, but not for each of many, and
 * within the platform's rate budget. */
int64_t poller_look_wait(const struct poller *poller)
{
    const struct link *link = poller->link;
    int64_t now = clock_monotonic_ms(), pause = poller_pause_ms(poller);
    int64_t gap = link->budget.hint_gap_ms > HINT_GAP_MS ? link->budget.hint_gap_ms : HINT_GAP_MS;
    int64_t wait = poller->asked_ms + gap - now;
    if (now < link->budget.quiet_until_ms || wait > pause)
        return pause;
    return wait > 0 ? wait : 0;
}

/* Hints that keep leading to nothing prompt fewer and fewer polls. */
void poller_note_hint_led(struct poller *poller, bool somewhere)
{
    int64_t wait = somewhere || poller->hint_wait_ms == 0 ? HINT_GAP_MS : poller->hint_wait_ms * 2;
    poller->hint_wait_ms = wait < poller->link->options->interval_ms
                               ? wait
                               : poller->link->options->interval_ms;
    poller->hint_free_ms = clock_monotonic_ms() + poller->hint_wait_ms;
}
