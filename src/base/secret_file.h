/* Files with secrets: whoever may read one knows the secret, too. Thread-safe. */
#ifndef MOLECULE_BASE_SECRET_FILE_H
#define MOLECULE_BASE_SECRET_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* From now on, for the whole process: files that others may read are refused. */
void secret_file_set_strict(bool strict);

/* Whether such a file is refused; says nothing of one that is not. */
bool secret_file_refused(const char *path, const char *what, char *problem, size_t problem_size);
/* Whether the file may be used. One that others may read or change is warned about, in the log of
 * `workspace` (NULL: the process's); or it is refused, and `problem` says why. One that cannot be
 * looked at may be used: reading it will fail. `what` it holds: "a token". */
bool secret_file_check(const char *path, const char *what, const char *workspace, char *problem,
                       size_t problem_size);

/* Takes a variable out of the environment, and out of where /proc/<pid>/environ shows it. */
void secret_wipe_variable(const char *name);

#endif
