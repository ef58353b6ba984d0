/* molecule.every and molecule.after: functions that run by the clock, each run in its own
 * handler. */
#ifndef MOLECULE_SCRIPT_API_TIMER_H
#define MOLECULE_SCRIPT_API_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vm;

/* The state has taken over: its timers, held until now, start. */
void timers_go(struct vm *vm);
/* Stops them, and those made later. One that is running now finishes. Returns how many there were.
 */
size_t timers_stop(struct vm *vm);

struct timer_view {
    int64_t id;       /* among those of its state */
    int64_t every_ms; /* 0: once */
    int64_t due_ms;   /* from now */
    bool running;     /* or about to */
    const char *place;
};
void timers_each(struct vm *vm, void (*each)(const struct timer_view *timer, void *context),
                 void *context);
/* Once more, at once; its period stays as it is. false: there is none, or it runs. */
bool timers_run(struct vm *vm, int64_t id);

#endif
