#include "base/random.h"

#include "base/clock.h"

#include <sys/random.h>

uint64_t random_number(void)
{
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        number = (uint64_t)clock_monotonic_us() * 0x9e3779b97f4a7c15u;
    return number;
}
