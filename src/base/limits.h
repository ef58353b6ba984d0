/* What the process may use, as its limits (setrlimit(2)) have it. */
#ifndef MOLECULE_BASE_LIMITS_H
#define MOLECULE_BASE_LIMITS_H

#include <stdbool.h>
#include <stddef.h>

/* Whether so many more files may be opened: libuv ends the process where it cannot have its own.
 * false: `problem` says what to raise. */
bool limits_allow_files(int wanted, char *problem, size_t problem_size);

/* of an event loop, three threads and the connections to the platform */
#define LIMITS_FILES_LEAST 24

#endif
