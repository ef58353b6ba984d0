/* FNV-1a of a text (http://www.isthe.com/chongo/tech/comp/fnv/): for tables of our own, not against
 * an adversary. */
#ifndef MOLECULE_BASE_HASH_H
#define MOLECULE_BASE_HASH_H

#include <stdint.h>

static inline uint64_t hash_text(const char *text)
{
    uint64_t hash = 14695981039346656037u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return hash;
}

#endif
