/* This program and the libraries in use, as `molecule version` shows them. */
#ifndef MOLECULE_NET_VERSIONS_H
#define MOLECULE_NET_VERSIONS_H

#include <stddef.h>

/* What this was built from: twelve digits of a git commit, what MOLECULE_COMMIT named, or "unknown"
 * (cmake/commit.cmake). */
extern const char versions_commit[];
/* One per line: name and version. */
void versions_describe(char *text, size_t size);
/* As labels of a metric: curl="7.88.1",uv="1.44.2",… */
void versions_label(char *text, size_t size);

#endif
