#include "base/shared.h"

#include "base/memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct shared {
    atomic_size_t owners;
    char bytes[];
};

static struct shared *shared_of(const char *bytes)
{
    return (struct shared *)((char *)bytes - offsetof(struct shared, bytes));
}

char *shared_allocate(size_t length)
{
    struct shared *shared = memory_resize(NULL, sizeof *shared + length + 1);
    atomic_init(&shared->owners, 1);
    shared->bytes[length] = '\0';
    return shared->bytes;
}

const char *shared_copy(const void *bytes, size_t length)
{
    char *copy = shared_allocate(length);
    if (length > 0)
        memcpy(copy, bytes, length);
    return copy;
}

const char *shared_take(const char *bytes)
{
    if (bytes)
        atomic_fetch_add(&shared_of(bytes)->owners, 1);
    return bytes;
}

void shared_release(const char *bytes)
{
    if (bytes && atomic_fetch_sub(&shared_of(bytes)->owners, 1) == 1)
        free(shared_of(bytes));
}
