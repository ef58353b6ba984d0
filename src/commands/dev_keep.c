#include "commands/dev_keep.h"

#include "base/memory.h"
#include "base/terminal.h"
#include "state/lock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool make(const char *path)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return true;
    terminal_print(
        stderr, "molecule dev: --keep: cannot create %s: %s; name a directory that can be made\n",
        path, strerror(errno));
    return false;
}

bool dev_keep_open(struct dev_keep *keep, const char *directory)
{
    char problem[1024], *lock = memory_format("%s/session.lock", directory);
    *keep = (struct dev_keep){
        .state = memory_format("%s/state", directory),
        .session = memory_format("%s/session.jsonl", directory),
        .lock = -1,
    };
    bool made = make(directory) && make(keep->state);
    if (made) {
        keep->lock = lock_take(lock, problem, sizeof problem);
        if (keep->lock < 0)
            terminal_print(stderr, "molecule dev: --keep %s: %s\n", directory, problem);
    }
    free(lock);
    if (keep->lock < 0)
        dev_keep_close(keep);
    return keep->state != NULL;
}

void dev_keep_close(struct dev_keep *keep)
{
    if (keep->state && keep->lock >= 0)
        close(keep->lock);
    free(keep->state);
    free(keep->session);
    *keep = (struct dev_keep){.lock = -1};
}
