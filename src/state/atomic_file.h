/* Replaces a small file so that every reader, and every crash, sees the old content or the new,
 * never a mixture. */
#ifndef MOLECULE_STATE_ATOMIC_FILE_H
#define MOLECULE_STATE_ATOMIC_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* Unique temporary beside it (O_EXCL, 0600), write, fsync, rename, fsync of the directory. false:
 * nothing changed, no temporary is left, and `problem` names the step and the reason. Blocks on the
 * disk. */
bool atomic_file_write(const char *path, const char *bytes, size_t length, char *problem,
                       size_t problem_size);

/* The whole file, NUL-terminated, yours to free. NULL: `*error` is the errno (EFBIG: larger than
 * `maximum`). */
char *atomic_file_read(const char *path, size_t maximum, size_t *length, int *error);
/* The same for a file in the state directory, where symbolic links are refused (ELOOP). */
char *atomic_file_read_own(const char *path, size_t maximum, size_t *length, int *error);

/* Removes temporaries that a crash left beside `path`. Call it under the workspace's lock. */
void atomic_file_sweep(const char *path);
/* Whether there is a temporary of any file in the directory. */
bool atomic_file_leftovers(const char *directory);

/* mkdir -p with 0700. false: `problem` says which directory and why. */
bool atomic_file_make_directory(const char *path, char *problem, size_t problem_size);

#endif
