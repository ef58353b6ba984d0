/* Whether a directory's file system can do what the state needs, and what it has left. */
#ifndef MOLECULE_STATE_FILE_SYSTEM_H
#define MOLECULE_STATE_FILE_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file_system {
    char type[24];      /* "ext4"; a number where we know no name */
    bool network;       /* other machines may have it, too */
    bool memory;        /* gone when the machine restarts */
    int64_t free_bytes; /* for this user */
    int64_t free_files; /* -1: it has no limit */
};

/* false: errno says why. */
bool file_system_look(const char *directory, struct file_system *found);

enum file_system_trial {
    FILE_SYSTEM_FIT,
    FILE_SYSTEM_PLAIN, /* it has no shared memory maps: the ledger keeps a rollback journal */
    FILE_SYSTEM_FULL,
    FILE_SYSTEM_UNFIT
};
/* Makes a file there, locks, syncs and renames it, and removes it. `problem` says what did not
 * work. */
enum file_system_trial file_system_try(const char *directory, char *problem, size_t problem_size);

#endif
