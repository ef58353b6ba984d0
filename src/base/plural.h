/* "1 message", "2 messages": printf("%zu message%s", count, plural(count)). */
#ifndef MOLECULE_BASE_PLURAL_H
#define MOLECULE_BASE_PLURAL_H

#include <stddef.h>

static inline const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

#endif
