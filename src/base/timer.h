/* Timers that count from now. */
#ifndef MOLECULE_BASE_TIMER_H
#define MOLECULE_BASE_TIMER_H

#include <stdint.h>
#include <uv.h>

/* Calls `callback` once, `after_ms` from this call: libuv alone counts from when this turn of the
 * loop began, which is earlier by what the turn has taken so far. A negative time is 0. A timer
 * that is armed already starts over. */
void timer_arm(uv_timer_t *timer, uv_timer_cb callback, int64_t after_ms);

#endif
