#include "host/peer_modes.h"

#include "base/hash.h"

#include <stddef.h>

void peer_modes_note(struct peer_modes *modes, const char *peer, enum peer_mode mode)
{
    uint64_t key = hash_text(peer);
    size_t place = (key >> 32) % PEER_MODES;
    modes->places[place].key = key;
    modes->places[place].mode = mode;
}

enum peer_mode peer_modes_get(const struct peer_modes *modes, const char *peer)
{
    uint64_t key = hash_text(peer);
    size_t place = (key >> 32) % PEER_MODES;
    return modes->places[place].key == key ? modes->places[place].mode : PEER_UNKNOWN;
}
