#include "commands/fleet_limits.h"

#include "base/log.h"
#include "base/plural.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

#define SHARED 2000 /* connections, open ledgers, what scripts open */

unsigned fleet_workers(int64_t wanted, size_t workspaces)
{
    size_t count = wanted > 0 ? (size_t)wanted : uv_available_parallelism();
    if (wanted == 0 && count > workspaces)
        count = workspaces;
    return count > 0 ? (unsigned)count : 1;
}

void fleet_raise_limit(size_t workspaces)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return;
    /* a lock, and an event stream where the platform has them */
    rlim_t needed = workspaces * 2 + SHARED, before = limit.rlim_cur;
    if (before >= needed)
        return;
    limit.rlim_cur = needed < limit.rlim_max ? needed : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        log_warn(
            LOG_DESCRIPTORS_LOW, NULL,
            "open files: the limit is %llu and cannot be raised (%s); %zu workspace%s need %llu",
            (unsigned long long)before, strerror(errno), workspaces, plural(workspaces),
            (unsigned long long)needed);
        return;
    }
    if (limit.rlim_cur > before)
        log_info(LOG_DESCRIPTORS_RAISED, NULL,
                 "open files: raised the limit from %llu to %llu for %zu workspace%s",
                 (unsigned long long)before, (unsigned long long)limit.rlim_cur, workspaces,
                 plural(workspaces));
    if (limit.rlim_cur < needed)
        log_warn(LOG_DESCRIPTORS_LOW, NULL,
                 "open files: %llu are allowed (ulimit -Hn), %zu workspace%s need %llu: one each "
                 "and %d shared, and one each for event streams; those without a stream poll",
                 (unsigned long long)limit.rlim_cur, workspaces, plural(workspaces),
                 (unsigned long long)needed, SHARED);
}

void fleet_raise_limit_for(size_t connections)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return;
    rlim_t needed = connections + SHARED;
    if (limit.rlim_cur >= needed)
        return;
    limit.rlim_cur = needed < limit.rlim_max ? needed : limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}
