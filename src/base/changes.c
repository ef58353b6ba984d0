#include "base/changes.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

struct changes *changes_make(void)
{
    struct changes *changes = memory_allocate(sizeof *changes);
    changes->end = &changes->first;
    return changes;
}

bool changes_add(struct changes **changes, enum change_verb verb, const char *key,
                 const char *value, size_t value_length, int64_t expires_ms, int64_t most)
{
    if (!*changes)
        *changes = changes_make();
    size_t bytes = sizeof(struct change) + strlen(key) + value_length;
    if ((*changes)->bytes + bytes > CHANGES_BYTES_MAXIMUM)
        return false;
    struct change *change = memory_allocate(sizeof *change);
    change->verb = verb;
    change->key = memory_copy_text(key);
    change->value = value ? memory_copy(value, value_length) : NULL;
    change->made_ms = clock_steady_ms();
    change->expires_ms = expires_ms;
    change->most = most;
    (*changes)->bytes += bytes;
    *(*changes)->end = change;
    (*changes)->end = &change->next;
    return true;
}

void changes_add_upload(struct changes **changes, const char *id)
{
    if (!*changes)
        *changes = changes_make();
    (*changes)->uploads = memory_resize((*changes)->uploads,
                                        ((*changes)->upload_count + 1) * sizeof(char *));
    (*changes)->uploads[(*changes)->upload_count++] = memory_copy_text(id);
}

void changes_free(struct changes *changes)
{
    if (!changes)
        return;
    while (changes->first) {
        struct change *change = changes->first;
        changes->first = change->next;
        free(change->key);
        free(change->value);
        free(change);
    }
    for (size_t i = 0; i < changes->upload_count; i++)
        free(changes->uploads[i]);
    free(changes->uploads);
    free(changes);
}
