#include "script/quota.h"

#include "base/clock.h"
#include "script/sandbox.h"
#include "script/vm.h"

#include <stdio.h>

static const struct {
    const char *what;
    size_t times, bytes;
    int minutes;
} quotas[] = {
#define X(name, what, times, bytes, minutes) {what, times, bytes, minutes},
    SCRIPT_QUOTAS(X)
#undef X
};

bool script_may(struct vm *vm, enum script_quota quota, size_t bytes, char *problem, size_t size)
{
    if (!vm->quotas || !sandbox_is_on(vm))
        return true;
    struct quota_use *use = &vm->quotas[quota];
    int64_t now = clock_monotonic_ms();
    if (!use->since_ms || now - use->since_ms >= (int64_t)quotas[quota].minutes * 60000)
        *use = (struct quota_use){.since_ms = now};
    if (use->times < quotas[quota].times && bytes <= quotas[quota].bytes - use->bytes) {
        use->times++;
        use->bytes += bytes;
        return true;
    }
    snprintf(
        problem, size,
        "%s: in the sandbox (--sandbox) at most %zu times and %zu MiB every %d min; try again in "
        "%lld "
        "s",
        quotas[quota].what, quotas[quota].times, quotas[quota].bytes >> 20, quotas[quota].minutes,
        (long long)(use->since_ms + (int64_t)quotas[quota].minutes * 60000 - now + 999) / 1000);
    return false;
}
