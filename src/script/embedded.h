/* The files below lua/, linked into the binary by cmake/embed.cmake. */
#ifndef MOLECULE_SCRIPT_EMBEDDED_H
#define MOLECULE_SCRIPT_EMBEDDED_H

#include <stddef.h>

struct embedded_file {
    const char *name;          /* relative to lua/, for example "molecule/backends/mock.lua" */
    const unsigned char *data; /* followed by a NUL that `length` does not count */
    size_t length;
};

/* Ends with an entry whose name is NULL. */
extern const struct embedded_file embedded_files[];

/* The file of that name, or NULL. */
const struct embedded_file *embedded_find(const char *name);

/* The names of the backends among them, comma-separated. */
const char *embedded_backends(void);

#endif
