#include "base/timer.h"

void timer_arm(uv_timer_t *timer, uv_timer_cb callback, int64_t after_ms)
{
    uv_update_time(timer->loop);
    uv_timer_start(timer, callback, after_ms > 0 ? (uint64_t)after_ms : 0, 0);
}
