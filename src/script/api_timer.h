/* molecule.every and molecule.after: functions that run by the clock, each run in a handler of its
 * own. */
#ifndef MOLECULE_SCRIPT_API_TIMER_H
#define MOLECULE_SCRIPT_API_TIMER_H

#include <stddef.h>

struct vm;

/* The state is the one in charge: its timers, held until now, run. */
void timers_go(struct vm *vm);
/* None of them runs any more, nor one that is made later; what runs at this moment ends by itself.
 * How many there were. */
size_t timers_stop(struct vm *vm);

#endif
