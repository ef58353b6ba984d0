/* Two agents that answer everything answer each other for ever. Those of molecule mark their
 * replies; against others this counts turns: a peer's unmarked message that came soon after our
 * reply to it. A peer with too many a minute is held. */
#ifndef MOLECULE_HOST_BREAKER_H
#define MOLECULE_HOST_BREAKER_H

#include <stdint.h>

struct workspace;
struct inbox_entry;

/* The entry is about to be handled: 0, or how many milliseconds its peer is held. Says so, loudly,
 * when that begins. */
int64_t breaker_wait(struct workspace *workspace, const struct inbox_entry *entry);
/* A reply to this peer was posted. */
void breaker_replied(struct workspace *workspace, const char *peer);
void breaker_close(struct workspace *workspace);

#endif
