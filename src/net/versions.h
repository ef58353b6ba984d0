/* The libraries in use, as `molecule version` shows them. */
#ifndef MOLECULE_NET_VERSIONS_H
#define MOLECULE_NET_VERSIONS_H

#include <stddef.h>

/* One per line: name and version. */
void versions_describe(char *text, size_t size);

#endif
