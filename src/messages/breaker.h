/* Two agents that answer everything answer each other forever. Molecule's mark their replies; for
 * others this counts turns: a peer's unmarked message that came soon after our reply to it. A peer
 * with too many a minute is held. */
#ifndef MOLECULE_MESSAGES_BREAKER_H
#define MOLECULE_MESSAGES_BREAKER_H

#include "molecule/options.h"

#include <stdint.h>

struct inbox_entry;
struct breaker_peer;

/* Zeroed except for the options, it knows no peer. */
struct breaker {
    const struct molecule_workspace_options *options; /* borrowed */
    struct breaker_peer *peers;
};

/* The entry is about to be handled: 0, or how many milliseconds its peer is held. Logs a warning
 * when that begins. */
int64_t breaker_wait(struct breaker *breaker, const struct inbox_entry *entry);
/* A reply to this peer was posted; NULL: the canvas. */
void breaker_replied(struct breaker *breaker, const char *peer);
void breaker_close(struct breaker *breaker);

#endif
