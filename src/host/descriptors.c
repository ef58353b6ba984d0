/* Some are open from the start, and each workspace holds one, its lock. Of the rest, a third is for
 * connections, a quarter for ledgers and the files beside them, an eighth for event streams;
 * scripts get what is left. Whoever gets none does without: a workspace without a stream polls, a
 * ledger is closed for another one, a request waits for a connection. */
#include "host/descriptors.h"

#include "state/runs.h"

#include <dirent.h>
#include <stdint.h>
#include <sys/resource.h>

#define EACH_LEDGER 4 /* the database, its log, the log's index; <id>.runs */
#define LEDGERS_MAXIMUM 256
#define CONNECTIONS_LEAST 2

static size_t limit(void)
{
    struct rlimit files;
    return getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY
               ? SIZE_MAX
               : (size_t)files.rlim_cur;
}

void descriptors_open(struct descriptors *descriptors, struct open_ledgers *ledgers)
{
    DIR *directory = opendir("/proc/self/fd");
    *descriptors = (struct descriptors){.ledgers = ledgers};
    while (directory && readdir(directory))
        descriptors->own++;
    if (directory)
        closedir(directory);
}

static size_t left_over(const struct descriptors *descriptors, size_t workspaces)
{
    size_t all = limit(), taken = descriptors->own + workspaces;
    return all > taken ? all - taken : 0;
}

void descriptors_share(struct descriptors *descriptors, size_t workspaces)
{
    size_t ledgers = left_over(descriptors, workspaces) / 4 / EACH_LEDGER;
    ledgers = ledgers < 1 ? 1 : ledgers < LEDGERS_MAXIMUM ? ledgers : LEDGERS_MAXIMUM;
    atomic_store(&descriptors->ledgers->maximum, ledgers);
    runs_keep_open((int)ledgers);
}

size_t descriptors_connections(size_t maximum)
{
    size_t share = limit() / 12;
    return share < CONNECTIONS_LEAST ? CONNECTIONS_LEAST : share < maximum ? share : maximum;
}

bool descriptors_allow_stream(struct descriptors *descriptors, size_t workspaces, size_t streams)
{
    descriptors_share(descriptors, workspaces);
    return streams < left_over(descriptors, workspaces) / 8;
}
