#include "commands/repl_history.h"

#include "base/memory.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The directories above the file, from the first one that is missing. */
static bool make_directories(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool there = mkdir(path, 0700) == 0 || errno == EEXIST;
        *slash = '/';
        if (!there)
            return false;
    }
    return true;
}

char *repl_history_path(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    if (state && *state == '/') /* a relative one does not count, says its specification */
        path = memory_format("%s/molecule/repl_history", state);
    else if (home && *home == '/')
        path = memory_format("%s/.local/state/molecule/repl_history", home);
    if (!path || make_directories(path))
        return path;
    free(path);
    return NULL;
}
