/* molecule.every and molecule.after: functions that run by the clock, each run in its own
 * handler. */
#ifndef MOLECULE_SCRIPT_API_TIMER_H
#define MOLECULE_SCRIPT_API_TIMER_H

#include <stddef.h>

struct vm;

/* The state has taken over: its timers, held until now, start. */
void timers_go(struct vm *vm);
/* Stops them, and those made later. One that is running now finishes. Returns how many there were.
 */
size_t timers_stop(struct vm *vm);

#endif
