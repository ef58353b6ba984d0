#include "base/reserve.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <unistd.h>

#define SHARE 20 /* the reserve is at most one in this many */

void reserve_open(struct reserve *reserve)
{
    struct rlimit files;
    bool few = getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < RESERVE_SIZE * SHARE;
    reserve->count = few ? (int)files.rlim_cur / SHARE : RESERVE_SIZE;
    for (int i = 0; i < RESERVE_SIZE; i++)
        atomic_init(&reserve->descriptors[i], -1);
    reserve_fill(reserve);
}

void reserve_lend(struct reserve *reserve)
{
    for (int i = 0; i < RESERVE_SIZE; i++) {
        int descriptor = atomic_exchange(&reserve->descriptors[i], -1);
        if (descriptor >= 0)
            close(descriptor);
    }
}

void reserve_fill(struct reserve *reserve)
{
    for (int i = 0; i < reserve->count; i++) {
        int none = -1;
        if (atomic_load(&reserve->descriptors[i]) >= 0)
            continue;
        int descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (descriptor < 0)
            return;
        if (!atomic_compare_exchange_strong(&reserve->descriptors[i], &none, descriptor))
            close(descriptor); /* another thread was faster */
    }
}
