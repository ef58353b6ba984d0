/* What the process may use according to its limits (setrlimit(2)). */
#ifndef MOLECULE_BASE_LIMITS_H
#define MOLECULE_BASE_LIMITS_H

#include <stdbool.h>
#include <stddef.h>

/* Whether that many more files may be opened: libuv aborts if it cannot open its own. false:
 * `problem` says what to raise. */
bool limits_allow_files(int wanted, char *problem, size_t problem_size);

/* of an event loop, three threads and the connections to the platform */
#define LIMITS_FILES_LEAST 24

#endif
