#include "messages/peer_modes.h"

#include "base/hash.h"

#include <stdbool.h>
#include <stddef.h>

void peer_modes_note(struct peer_modes *modes, const char *peer, enum peer_mode mode,
                     int64_t now_ms)
{
    uint64_t key = hash_text(peer);
    size_t place = (key >> 32) % PEER_MODES;
    modes->places[place].key = key;
    modes->places[place].mode = mode;
    modes->places[place].at_ms = now_ms;
}

enum peer_mode peer_modes_get(const struct peer_modes *modes, const char *peer, int64_t now_ms)
{
    uint64_t key = hash_text(peer);
    size_t place = (key >> 32) % PEER_MODES;
    bool known = modes->places[place].key == key &&
                 now_ms - modes->places[place].at_ms < PEER_MODE_MS;
    return known ? modes->places[place].mode : PEER_UNKNOWN;
}
