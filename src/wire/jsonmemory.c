#include "wire/jsonmemory.h"

#include <jansson.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_OVERHEAD 16 /* of the allocator, about */

static _Thread_local struct {
    bool counts, refused;
    size_t used, most;
} memory;

static void *take(size_t size)
{
    if (memory.counts && (memory.used > memory.most || size > memory.most - memory.used)) {
        memory.refused = true;
        return NULL;
    }
    void *block = malloc(size);
    if (memory.counts && block)
        memory.used += malloc_usable_size(block) + BLOCK_OVERHEAD;
    return block;
}

static void give_back(void *block)
{
    if (memory.counts && block) {
        size_t size = malloc_usable_size(block) + BLOCK_OVERHEAD;
        memory.used -= size < memory.used ? size : memory.used;
    }
    free(block);
}

void jsonmemory_install(void)
{
    json_set_alloc_funcs(take, give_back);
}

void jsonmemory_begin(size_t most)
{
    memory.counts = true;
    memory.refused = false;
    memory.used = 0;
    memory.most = most;
}

size_t jsonmemory_end(bool *refused)
{
    memory.counts = false;
    if (refused)
        *refused = memory.refused;
    return memory.used;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the value was when it was read */
static void overwrite(json_t *value)
{
    size_t i;
    const char *key;
    json_t *each;
    if (value->refcount != 1)
        return;
    if (json_is_string(value))
        explicit_bzero((char *)json_string_value(value), json_string_length(value));
    json_array_foreach (value, i, each)
        overwrite(each);
    json_object_foreach (value, key, each)
        overwrite(each);
}

void jsonmemory_wipe(json_t *value)
{
    if (value)
        overwrite(value);
    json_decref(value);
}
