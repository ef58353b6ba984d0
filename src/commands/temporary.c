#include "commands/temporary.h"

#include "base/memory.h"
#include "base/terminal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REMOVE_TRIES 100
#define UNIQUE "XXXXXX" /* what mkdtemp replaces */

char *temporary_create(const char *command)
{
    const char *given = getenv("TMPDIR"), *parent = given && *given ? given : "/tmp";
    char *directory = memory_format("%s/molecule-%s-" UNIQUE, parent, command);
    if (mkdtemp(directory))
        return directory;
    terminal_print(stderr,
                   "molecule %s: cannot create a directory in %s: %s; set TMPDIR to one that can "
                   "be written\n",
                   command, parent, strerror(errno));
    free(directory);
    return NULL;
}

void temporary_remove(const char *directory)
{
    for (int tries = 0; tries < REMOVE_TRIES && rmdir(directory) != 0 && errno != ENOENT; tries++) {
        DIR *stream = opendir(directory);
        for (struct dirent *entry; stream && (entry = readdir(stream));)
            unlinkat(dirfd(stream), entry->d_name, 0);
        if (stream)
            closedir(stream);
    }
}
