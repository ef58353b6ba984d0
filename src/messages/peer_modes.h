/* How the peers of a workspace get their messages, as far as known. One that polls answers nothing
 * itself: the platform does, at once. A push peer's agent may work for minutes before it answers.
 * Pure: no I/O. */
#ifndef MOLECULE_MESSAGES_PEER_MODES_H
#define MOLECULE_MESSAGES_PEER_MODES_H

#include <stdint.h>

enum peer_mode { PEER_UNKNOWN, PEER_POLLS, PEER_PUSHED };

#define PEER_MODE_MS 60000 /* a workspace may register again at any time, the other way */
#define PEER_MODES 64      /* two peers may share a place: it holds the one heard from last */

struct peer_modes {
    struct {
        uint64_t key; /* of the peer's id */
        enum peer_mode mode;
        int64_t at_ms; /* monotonic */
    } places[PEER_MODES];
};

void peer_modes_note(struct peer_modes *modes, const char *peer, enum peer_mode mode,
                     int64_t now_ms);
enum peer_mode peer_modes_get(const struct peer_modes *modes, const char *peer, int64_t now_ms);

#endif
